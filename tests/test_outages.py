"""An engine that goes away while `wf` lives: what it runs goes on, or starts once more."""

import threading
from pathlib import Path

import pytest

from tests.harness import Project, ScriptedBackend, job, plan
from wf.backends.base import Handle
from wf.events import JobLog, JobNote, JobStarted
from wf.plan import Retry


def test_a_job_that_went_with_its_engine_starts_once_more(tmp_path: Path) -> None:
    """That is no failed attempt; what it had left and printed counts no more."""
    project = Project(tmp_path)

    project.run("a -> b", a=job(gone="once", log="one\ntwo\n", outputs={"x": "volume"}, leaves={"x": "1"}))

    assert project.story()[-2:] == ["a succeeded", "b succeeded"]
    assert [event.message for event in project.events if isinstance(event, JobNote)] == [
        "no engine answers: waiting for it, up to 120 s",
        "the engine is back: the job starts once more",
    ]
    assert sum(isinstance(event, JobStarted) and event.job == "a" for event in project.events) == 2
    assert [line for event in project.events if isinstance(event, JobLog) for line in event.lines] == ["one", "two"] * 2
    (a, _) = project.store.history.jobs(1)
    assert a.log.read_text() == "one\ntwo\n"


def test_an_engine_that_stays_away_fails_the_job(tmp_path: Path) -> None:
    """With what the engine's silence was; the run can be resumed."""
    project = Project(tmp_path)

    project.run("a -> b", a=job(gone="forever"))

    assert project.story()[-2:] == ["a failed: no engine answers", "b skipped: it needs `a`, which failed"]
    assert project.store.history.find_unfinished("1").id == 1


def test_what_an_outage_has_left_is_swept_up_at_the_end(tmp_path: Path) -> None:
    """Nobody has the names of what an engine was making when it went."""
    project, backend = Project(tmp_path), ScriptedBackend()

    project.run_plan(plan("a", tmp_path, a=job(gone="once")), backend=backend)

    assert backend.swept == [1]
    assert project.store.history.recover() == ()


class _Slow(ScriptedBackend):
    """Its engine removes nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def destroy(self, handle: Handle) -> None:
        self.go_on.wait(60)
        super().destroy(handle)

    def teardown(self) -> None:
        """Without what others insist on."""


def test_what_is_not_removed_in_time_is_swept_up_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine with much to do may take long; a job whose traces are there still is not tried again among them."""
    monkeypatch.setattr("wf.runner.scheduler.PATIENCE", 0.2)
    project, backend = Project(tmp_path), _Slow()

    project.run_plan(plan("a, b", tmp_path, b=job(exit=1, retry=Retry(2))), backend=backend)
    swept_up = [run.id for run in project.store.history.recover()]
    backend.go_on.set()

    assert sorted(project.story()) == [
        "a succeeded",
        "b failed: exited with code 1; not tried again, as it is not cleared away yet",
    ]
    assert swept_up == [1]
