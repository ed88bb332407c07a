"""`wf runs`: which it lists, and in which order."""

import json
from pathlib import Path

import pytest

from tests.commands.test_diff import recording
from tests.harness import Project, job
from wf.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four runs: 1 and 2 succeeded with figures, 3 failed, 4 is of another file. The first was long ago."""
    (tmp_path / "wf.toml").touch()
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    for rmse in (1.5, 0.75):
        project.run(
            "a -> b", a=job(does=recording({"rmse": rmse, "rows": 7})), b=job(does=recording({"rmse": rmse + 1}))
        )
    project.run("a", a=job(exit=1))
    connection = project.store.history._connection
    project.run("a")
    connection.execute("UPDATE runs SET workflow = 'flows/other.yaml' WHERE id = 4")
    connection.execute("UPDATE runs SET started = '2020-02-03T04:05:06.000Z' WHERE id = 1")


def _listed(capsys: Capture, *words: str) -> list[int]:
    assert main(["runs", *words, "--json"]) == 0
    return [run["id"] for run in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ([], [4, 3, 2, 1]),
        (["--limit", "2"], [4, 3]),
        (["--limit", "0"], [4, 3, 2, 1]),
        (["--workflow", "other"], [4]),
        (["--workflow", "flows/other.yaml"], [4]),
        (["--workflow", "flow.yaml"], [3, 2, 1]),
        (["--state", "failed"], [3]),
        (["--state", "failed", "--state", "succeeded"], [4, 3, 2, 1]),
        (["--since", "2d"], [4, 3, 2]),
        (["--since", "2020-02-03"], [4, 3, 2, 1]),
        (["--since", "2020-02-05T10:00"], [4, 3, 2]),
        (["--metric", "a.rmse<1"], [2]),
        (["--metric", "rmse < 2"], [2]),
        (["--metric", "rows=7", "--metric", "a.rmse >= 1.5"], [1]),
        (["--metric", "rows!=7"], []),
        (["--metric", "rows"], [2, 1]),
        (["--sort", "a.rmse"], [2, 1]),
        (["--sort", "a.rmse", "--reverse", "--limit", "1"], [1]),
        (["--sort", "run", "--reverse"], [1, 2, 3, 4]),
        (["--sort", "workflow"], [3, 2, 1, 4]),
    ],
)
def test_runs_that_somebody_looks_for(capsys: Capture, words: list[str], runs: list[int]) -> None:
    """Several filters hold together."""
    assert _listed(capsys, *words) == runs


def test_metrics_that_were_asked_for_are_shown(capsys: Capture) -> None:
    """In columns of their own; of several jobs with the same metric the last counts."""
    assert main(["runs", "--metric", "rmse<3", "--sort", "rows"]) == 0

    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["run", "workflow", "state", "started", "took", "rmse", "rows"]
    assert [[row[0], *row[-2:]] for row in rows[1:]] == [["2", "1.75", "7"], ["1", "2.5", "7"]]


def test_no_run_is_like_that(capsys: Capture) -> None:
    """Which is not the same as none at all."""
    assert main(["runs", "--state", "interrupted"]) == 0
    assert capsys.readouterr().out == "no run is like that\n"


def test_sorting_by_nothing_that_is_there(capsys: Capture) -> None:
    """What can be sorted by is named."""
    assert main(["runs", "--sort", "age"]) == 2
    assert capsys.readouterr().err == (
        "error: no run has a metric `age` to sort by\n"
        "  beside metrics there are run, workflow, state, took\n\n1 error\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "monday"], "argument --since: `monday` is no moment: write 2d, 12h or 2026-11-21"),
        (["--metric", "rmse<low"], "argument --metric: `low` is no number: write 'rmse<1.05'"),
    ],
)
def test_filters_that_mean_nothing(capsys: Capture, words: list[str], said: str) -> None:
    """What to write instead."""
    with pytest.raises(SystemExit):
        main(["runs", *words])
    assert capsys.readouterr().err.splitlines()[-1] == f"wf runs: error: {said}"


def test_runs_are_deleted_by_name(tmp_path: Path, capsys: Capture) -> None:
    """What others need stays, and is named; without --yes it is only shown."""
    project = Project(tmp_path)
    for _ in range(2):
        project.run("a", a=job(outputs={"x": "ratings", "y": "volume"}, leaves={"x": "one", "y": "two"}, reuse=True))
    version = project.store.datasets.find("ratings").ref

    assert main(["runs", "delete", "5"]) == 0
    assert main(["runs", "delete", "5", "5", "--yes"]) == 0
    assert main(["runs", "delete", "latest", "--yes"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "would delete run 5",
        f"would keep 5/a/x: needed by {version}, run 6",
        "would keep 5/a/y: needed by run 6",
        "nothing was deleted: add --yes to do it",
        "deleted run 5: outputs of 0 B are gone",
        f"kept 5/a/x: needed by {version}, run 6",
        "kept 5/a/y: needed by run 6",
        "deleted run 6: outputs of 3 B are gone",
        f"kept 6/a/x: needed by {version}",
    ]
    assert [run.id for run in project.store.history.runs()] == [4, 3, 2, 1]


def test_a_pinned_run_is_not_deleted(capsys: Capture) -> None:
    """Nor any other that was named with it."""
    assert main(["runs", "pin", "2"]) == 0

    assert main(["runs", "delete", "1", "2", "--yes"]) == 3

    assert capsys.readouterr().err == "error: run 2 is pinned\n  `wf runs unpin 2` lets it go.\n"
    assert _listed(capsys) == [4, 3, 2, 1]
