"""`wf fsck`: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

from tests.harness import Project, job
from wf.cli import main


@pytest.fixture(name="file")
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of a job that has run."""
    project = Project(tmp_path)
    project.run("a", a=job(outputs={"x": "string"}, leaves={"x": "one"}))
    monkeypatch.chdir(tmp_path)
    return project.job("a").outputs[0].path


@pytest.mark.usefixtures("file")
def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and 0."""
    assert main(["fsck"]) == 0
    assert capsys.readouterr().out == "1 artifact, 3 B: all is well\n"


def test_damage_ends_with_1(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said what is wrong, and what to do; as JSON too."""
    file.chmod(0o644)
    file.write_text("two")
    what = f"artifact {file.name[:12]}, which is `a.x` of run 1, is damaged"
    remedy = "`wf fsck --repair` puts it aside; `wf run flow.yaml` runs `a` again"

    assert main(["fsck"]) == 1
    assert capsys.readouterr().out == f"1 artifact, 3 B: read\n\n{what}\n  {remedy}\n"
    assert main(["fsck", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "artifacts": 1,
        "bytes": 3,
        "findings": [{"what": what, "remedy": remedy, "repaired": False}],
    }


def test_a_repair_that_makes_all_well_ends_with_0(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is then."""
    link = file.parents[3] / ".wf/runs/1/outputs/a/x"
    link.unlink()

    assert main(["fsck", "--repair"]) == 0
    assert capsys.readouterr().out == (
        "1 artifact, 3 B: read\n\n.wf/runs/1/outputs/a/x does not lead to the output\n  made again\n"
    )
    assert link.read_text() == "one"
