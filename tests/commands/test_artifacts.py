"""`wf artifacts`, and the lineage that it, `wf datasets show` and `wf show` tell."""

import json
from pathlib import Path

import pytest

from tests.harness import Project, job, tree
from wf.cli import main

Capture = pytest.CaptureFixture[str]

CLEAN = job(inputs={"raw": "dataset raw"}, outputs={"rows": "clean"}, leaves={"rows": "12"}, reuse=True)
COUNT = job(inputs={"rows": "Clean.outputs.rows"}, outputs={"n": "string"}, leaves={"n": "2"}, reuse=True)


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The dataset raw, cleaned in runs 1 and (reused) 2, which also counted it; run 3 made a model of it."""
    (tmp_path / "wf.toml").touch()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "data").write_text("1 2 ")
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    project.store.datasets.import_path("raw", tmp_path / "raw")
    project.run("Clean", Clean=CLEAN)
    project.run("Clean -> Count", Clean=CLEAN, Count=COUNT)
    project.run(
        "Fit",
        Fit=job(inputs={"rows": "dataset clean"}, outputs={"model": "fitted"}, leaves={"model": "network!"}),
    )
    return project


def _refs(project: Project) -> tuple[str, str, str]:
    find = project.store.datasets.find
    return find("raw").ref, find("clean").ref, find("fitted").ref


def test_artifacts_are_listed_with_what_they_are(project: Project, capsys: Capture) -> None:
    """The biggest first; those of one run if asked for."""
    raw, clean, fitted = _refs(project)
    digests = {ref: project.store.datasets.find(ref).digest[:12] for ref in (raw, clean, fitted)}

    assert main(["artifacts", "list"]) == 0
    whole = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert main(["artifacts", "list", "latest", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)

    assert [[cell.strip() for cell in row if cell] for row in whole[:4]] == [
        ["artifact", "size", "files", "made by", "is"],
        [digests[fitted], "8 B", "1", "run 3, Fit.model", fitted],
        [digests[raw], "4 B", "1", raw],
        [digests[clean], "2 B", "1", "run 1, Clean.rows", clean],
    ]
    assert (one["digest"][:12], one["dataset"]) == (digests[fitted], fitted)


def test_lineage_both_ways(project: Project, capsys: Capture) -> None:
    """What made it and of what, what reused it, what read it, and what that led to."""
    raw, clean, fitted = _refs(project)

    assert main(["artifacts", "show", "1/clean/rows"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert main(["datasets", "show", raw]) == 0
    imported = capsys.readouterr().out.splitlines()

    assert shown[3:] == [
        f"dataset    {clean}",
        "made by    run 1, Clean.rows",
        f"made from  {raw}",
        "reused in  run 2",
        "read by    run 2, Count.rows; run 3, Fit.rows",
        f"led to     {fitted}",
    ]
    assert imported[0] == f"version    {raw}"
    assert imported[-3:] == [
        f"made from  import of {project.root / 'raw'}",
        "read by    run 1, Clean.raw; run 2, Clean.raw",
        f"led to     {clean}, {fitted}",
    ]


def test_a_run_shows_where_its_inputs_come_from_and_who_read_its_outputs(project: Project, capsys: Capture) -> None:
    """In other runs."""
    _, clean, _ = _refs(project)

    assert main(["show", "1"]) == 0
    first = capsys.readouterr().out
    assert main(["show", "3"]) == 0

    assert "  read by  run 2, Count; run 3, Fit\n" in first
    assert f"  read     rows <- {clean}  made by run 1, Clean\n" in capsys.readouterr().out


def test_artifacts_are_exported(project: Project, capsys: Capture) -> None:
    """Folders, and files; `path` says where they lie."""
    digest = project.store.datasets.find("clean").digest
    assert main(["artifacts", "export", digest[:8], "copy"]) == 0
    assert main(["artifacts", "export", "2/Count/n", "n.txt"]) == 0
    assert main(["artifacts", "path", "latest/Fit/model"]) == 0

    out = capsys.readouterr().out.splitlines()
    assert tree(Path("copy")) == {"data": "12"}
    assert Path("n.txt").read_text() == "2"
    assert out[:2] == ["2 B in copy", "1 B in n.txt"]
    assert tree(Path(out[2])) == {"data": "network!"}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "1/Clean/row"], "there is no output `1/Clean/row`\n  run 1 has `Clean/rows`"),
        (
            ["show", "0000"],
            (
                "there is no artifact `0000`\n  write RUN/JOB/OUTPUT, or the beginning of a digest: "
                "`wf artifacts list` shows them"
            ),
        ),
        (["export", "2/Count/n", "raw"], "`raw` is there already\n  name a new file"),
        (["export", "1/Clean/rows", "raw"], "`raw` is not an empty folder\n  name a folder that is new or empty"),
    ],
)
def test_refusals(capsys: Capture, words: list[str], said: str) -> None:
    """What is wrong, and what to do."""
    assert main(["artifacts", *words]) == 2
    assert capsys.readouterr().err == f"error: {said}\n\n1 error\n"
