"""`wf diff`."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.harness import Project, Script, job
from wf.backends.base import Launch
from wf.cli import main

Capture = pytest.CaptureFixture[str]


def recording(metrics: Mapping[str, float], text: str = "") -> Script:
    """A job's work: it records figures, and leaves a text at its output `data` if there is one."""

    def work(launch: Launch) -> None:
        if text:
            (launch.outputs / "data" / "text").write_text(text)
        (launch.outputs / ".wf").mkdir()
        (launch.outputs / ".wf" / "metrics.json").write_text(json.dumps(dict(metrics)))

    return work


MAKE = job(
    outputs={"data": "volume"}, env={"RATE": "0.1"}, reuse=True, does=recording({"rmse": 1.25, "rows": 7}, "one")
)
USE = job(outputs={"sum": "volume"}, leaves={"sum": "3"}, inputs={"data": "make.outputs.data"}, reuse=True)


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "wf.toml").touch()
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    project.run("make -> use -> old, same", make=MAKE, use=USE)
    better = replace(MAKE, env={"RATE": "0.05"}, does=recording({"rmse": 1.0, "rows": 7, "new": 1}, "longer"))
    project.run("make -> use -> new, same", make=better, use=replace(USE, exit=1))
    return project


@pytest.mark.usefixtures("project")
def test_two_runs_side_by_side(capsys: Capture) -> None:
    """Causes, figures with their differences, outputs, ends; what is the same is only named."""
    assert main(["diff", "1", "2"]) == 0

    shown = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("  took ")]
    assert shown == [
        "run 1 -> run 2  flow.yaml",
        "state  succeeded -> failed",
        "",
        "make",
        '  changed  env.RATE "0.1" -> "0.05"',
        "  metric   rmse  1.25 -> 1  (-0.25, -20.00%)",
        "  metric   rows  7, the same",
        "  metric   new  (none) -> 1",
        "  output   data changed, 3 B -> 6 B",
        "",
        "use",
        "  state    succeeded -> failed",
        '  changed  env.FAKE_EXIT (unset) -> "1"',
        "  changed  input data changed",
        "  output   sum changed, 1 B -> (none)",
        "",
        "only in run 1: old",
        "only in run 2: new",
        "the same: same",
    ]


@pytest.mark.usefixtures("project")
def test_json_and_defaults(capsys: Capture) -> None:
    """Without names the last run is compared with the one before it."""
    assert main(["diff", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["before"]["id"], found["after"]["id"]) == (1, 2)
    assert found["jobs"][0]["metrics"][0] == {"name": "rmse", "before": 1.25, "after": 1.0}
    assert found["changed"] == [{"name": "state", "before": "succeeded", "after": "failed"}]


@pytest.mark.usefixtures("project")
def test_a_run_and_itself(capsys: Capture) -> None:
    """Nothing differs."""
    assert main(["diff", "1", "1"]) == 0
    assert capsys.readouterr().out == "run 1 -> run 1  flow.yaml\n\nthe same: make, use, old, same\n"


def test_a_first_run_has_nothing_to_be_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """It says how to name two."""
    (tmp_path / "wf.toml").touch()
    monkeypatch.chdir(tmp_path)
    Project(tmp_path).run("a")

    assert main(["diff"]) == 2
    assert capsys.readouterr().err == (
        "error: no run of flow.yaml was before run 1\n  name two: `wf diff RUN RUN`; `wf runs` lists them\n\n1 error\n"
    )


def test_a_new_version_of_a_dataset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """As what a job read."""
    (tmp_path / "wf.toml").touch()
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    reads = job(inputs={"words": "dataset words"}, outputs={"out": "volume"})
    (tmp_path / "words.txt").write_text("one")
    first = project.store.datasets.import_path("words", tmp_path / "words.txt").version.ref
    project.run("a", a=reads)
    (tmp_path / "words.txt").write_text("two")
    second = project.store.datasets.import_path("words", tmp_path / "words.txt").version.ref
    project.run("a", a=reads)

    assert main(["diff"]) == 0
    assert f"  changed  input words changed: {first} -> {second}\n" in capsys.readouterr().out
