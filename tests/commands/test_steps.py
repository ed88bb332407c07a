"""`wf steps`."""

import json
from pathlib import Path

import pytest

from steps import STEPS
from tests.projects import REPOSITORY
from wf.cli import main


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def test_every_step_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, in the order of a training run."""
    assert main(["steps"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STEPS)
    assert all(len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its parameters with a description of each, what it reads and writes, and where it runs."""
    assert main(["steps", name, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert main(["steps", name]) == 0
    text = capsys.readouterr().out

    assert all("description" in parameter for parameter in described["with"]["properties"].values())
    assert all(f"\n  {parameter}: " in text for parameter in described["with"]["properties"])
    assert all(f"\n  {port} ({form}" in text for port, form in (described["reads"] | described["writes"]).items())
    assert f"\nruns in: image containers/{described['image']}" in text


def test_an_unknown_step_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the finger."""
    assert main(["steps", "trian"]) == 2
    assert capsys.readouterr().err == "error: there is no step `trian`\n  did you mean `train`?\n\n1 error\n"


def test_a_project_without_steps_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With where they would lie."""
    monkeypatch.chdir(tmp_path)

    assert main(["steps"]) == 2
    assert capsys.readouterr().err == (
        f"error: `{tmp_path}` has no steps\n  a project's steps lie in `steps/`\n\n1 error\n"
    )
