"""What every step shares: from a command line to a run and an exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from steps.entry import IntList, Step, StepError, StepInputs, Workspace, run_step


class Inputs(StepInputs):
    """Parameters of all kinds."""

    epochs: int = 3
    sizes: IntList = (1, 2)
    path: Path | None = None


STEP = Step("sample", "A sample.", inputs=Inputs, reads={"before": "x"}, writes={"after": "y"})


def never(*_: object) -> None:
    """A step that must not run."""
    pytest.fail("it ran")


@pytest.fixture(name="folders")
def _folders(tmp_path: Path) -> list[str]:
    (tmp_path / "in" / "before").mkdir(parents=True)
    return ["--inputs-dir", str(tmp_path / "in"), "--outputs-dir", str(tmp_path / "out")]


def test_flags_win_over_json_and_json_over_defaults(folders: list[str]) -> None:
    """Lists may be written with commas."""
    seen: list[Inputs] = []

    code = run_step(
        STEP,
        lambda inputs, _: seen.append(inputs),
        [*folders, "--sizes", "4,5", "--with", '{"epochs": 7, "sizes": [6]}'],
    )

    assert code == 0
    assert seen == [Inputs(epochs=7, sizes=(4, 5))]


def test_output_folders_exist_before_the_step_runs(folders: list[str], tmp_path: Path) -> None:
    """And figures that it records are kept together."""

    def run(_: Inputs, work: Workspace) -> None:
        assert work.output("after").is_dir()
        work.record({"rmse": 1.0})
        work.record({"mae": 0.5})

    assert run_step(STEP, run, folders) == 0
    assert json.loads((tmp_path / "out/.wf/metrics.json").read_text()) == {"rmse": 1.0, "mae": 0.5}


def test_wrong_parameters_end_with_2_and_are_all_named(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Before the step runs."""
    assert run_step(STEP, never, [*folders, "--epochs", "many", "--sizes", "x"]) == 2
    assert capsys.readouterr().err == (
        "error: sample: epochs: Input should be a valid integer, unable to parse string as an integer\n"
        "error: sample: sizes.0: Input should be a valid integer, unable to parse string as an integer\n"
    )


def test_a_missing_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the folder where it was looked for."""
    assert run_step(STEP, never, ["--inputs-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: input before is missing: there is no {tmp_path}/before\n"


def test_an_expected_failure_is_one_line(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and no traceback."""

    def run(*_: object) -> None:
        raise StepError("the ratings are gone: bring them back")

    assert run_step(STEP, run, folders) == 1
    assert capsys.readouterr().err == "error: the ratings are gone: bring them back\n"


def test_a_package_that_is_not_installed_is_named(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With how to install it."""

    def run(*_: object) -> None:
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401

    assert run_step(STEP, run, folders) == 1
    assert capsys.readouterr().err == (
        "error: sample needs the Python package no_such_package, which is not installed\n"
        "  pip install -e '.[steps]' installs all that the steps need\n"
    )


def test_a_mounted_file_replaces_the_path_of_the_host(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container a host path lies elsewhere."""
    seen: list[Inputs] = []
    monkeypatch.setenv("WF_LOCAL_FILES", json.dumps({"path": "/local/path/ratings.csv"}))

    run_step(STEP, lambda inputs, _: seen.append(inputs), [*folders, "--path", str(tmp_path / "ratings.csv")])

    assert seen[0].path == Path("/local/path/ratings.csv")


@pytest.mark.parametrize("name", ["ingest", "clean", "split", "train", "evaluate", "export"])
def test_help_of_every_step_works_alone(name: str) -> None:
    """As a program, with every parameter explained."""
    shown = subprocess.run(
        [sys.executable, "-m", f"steps.{name}", "--help"], capture_output=True, text=True, check=True
    )

    assert shown.stdout.startswith(f"usage: python -m steps.{name}")
    assert "folders:" in shown.stdout


def test_scratch_lies_beside_an_output_and_goes(tmp_path: Path) -> None:
    """In a container the system's temporary files are memory; what is on the disk of outputs is not."""
    work = Workspace(inputs=tmp_path, outputs=tmp_path / "out", state=tmp_path / "state", cache=tmp_path / "cache")
    work.output("report").mkdir(parents=True)

    with work.scratch("report") as scratch:
        (scratch / "rows").write_text("1,2")
        assert scratch.parent == work.output("report")

    assert list(work.output("report").iterdir()) == []
