"""`wf validate`. What it says about mistakes is tested with docs/errors.md."""

from pathlib import Path

import pytest

from tests.projects import REPOSITORY, make_project
from wf.cli import main


def test_our_workflows_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    """Every file in workflows/, without a warning."""
    files = [str(path) for path in sorted((REPOSITORY / "workflows").rglob("*.yaml"))]

    assert main(["validate", *files]) == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split(": ok")[0] for line in out.splitlines()] == files


def test_a_wrong_file_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All files are checked; the exit code tells that one is wrong."""
    good = make_project(tmp_path, "jobs: {A: {uses: container@v1, with: {image: x}}}")
    bad, missing = tmp_path / "bad.yaml", tmp_path / "missing.yaml"
    bad.write_text("jobs: {A: {uses: nothing@v1}}")

    assert main(["validate", str(bad), str(missing), str(good)]) == 2

    out, err = capsys.readouterr()
    assert out == f"{good}: ok, 1 job\n"
    assert "unknown action `nothing@v1`" in err
    assert f"cannot read `{missing}`: No such file or directory" in err
    assert err.endswith("2 errors\n")
