"""`wf why`."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.harness import Project, job
from wf.cli import main
from wf.runner import Reuse

MAKE = job(outputs={"data": "volume"}, leaves={"data": "12"}, env={"MODE": "slow"}, reuse=True)
USE = job(outputs={"sum": "volume"}, leaves={"sum": "3"}, inputs={"data": "make.outputs.data"}, reuse=True)
GRAPH = "make -> use -> tell"


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "wf.toml").touch()
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    project.run(GRAPH, make=MAKE, use=USE)
    return project


def test_every_job_of_a_run_has_its_sentence(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that ran, those that did not have to, and those that could not."""
    project.run(GRAPH, make=replace(MAKE, env={"MODE": "fast"}), use=USE, tell=job(exit=1))
    project.run(GRAPH, make=replace(MAKE, exit=1), use=USE, reuse=Reuse(forced=frozenset({"make"})))

    for run in ("1", "2", "latest"):
        assert main(["why", run]) == 0

    assert capsys.readouterr().out == (
        "make  ran: it has not run before\n"
        "use   ran: it has not run before\n"
        "tell  ran: it leaves no outputs, so it runs for its effect\n"
        'make  ran: env.MODE "slow" -> "fast", compared with run 1\n'
        "use   cached from run 1: all that its outputs depend on is the same\n"
        "tell  ran: it leaves no outputs, so it runs for its effect\n"
        "make  ran: forced\n"
        "use   skipped: it needs `make`, which failed\n"
        "tell  skipped: it needs `use`, which was skipped\n"
    )


def test_a_job_that_is_not_there(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The run and the jobs that it has are named."""
    project.run("make", make=MAKE)

    assert main(["why", "2", "take"]) == 2
    assert capsys.readouterr().err == "error: run 2 has no job `take`\n  it has `make`\n\n1 error\n"
