"""An engine that goes away while `wf` lives: what it runs goes on, or starts once more."""

from pathlib import Path

from tests.harness import Project, job
from wf.events import JobLog, JobNote, JobStarted


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
