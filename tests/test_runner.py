"""`wf.runner`, with its scheduler and workers, in the fake backend."""

import threading
from pathlib import Path

import pytest

from tests.harness import Clock, Project, ScriptedBackend, job, once_started, plan
from wf.backends.base import Launch
from wf.errors import EnvironmentProblem
from wf.events import Event, JobFinished, JobStarted, RunFinished, RunStarted
from wf.runner import run_plan
from wf.secrets import Secrets
from wf.store import Store

ROOT = Path(__file__).parents[1]


# Order


def test_jobs_follow_what_they_need(project: Project) -> None:
    """Each job starts after all that it needs, and the run succeeds when all have."""
    result = project.run("a -> b -> d, a -> c -> d")

    assert result.state == "succeeded"
    assert result.jobs == dict.fromkeys("abdc", "succeeded")
    order = project.starts_and_ends()
    for before, after in ("ab", "ac", "bd", "cd"):
        assert order.index(f"-{before}") < order.index(f"+{after}")


def test_at_most_so_many_at_once(project: Project) -> None:
    """No more jobs run at once than were asked for, and no fewer while there are enough that are ready."""
    together = threading.Barrier(2)

    def meet(_: Launch) -> None:
        together.wait(60)

    busy = job(does=meet)

    project.run("a, b, c, d", at_once=2, a=busy, b=busy, c=busy, d=busy)

    assert project.backend.most_at_once == 2


def test_ready_jobs_start_in_the_order_of_the_plan(project: Project) -> None:
    """One at a time, independent jobs run in the order in which the workflow has them."""
    project.run("d, b, c, a", at_once=1)

    # What one leaves may still be stored while the next one runs.
    assert [each for each in project.starts_and_ends() if each.startswith("+")] == ["+d", "+b", "+c", "+a"]
    assert project.backend.most_at_once == 1


def test_no_barrier(project: Project) -> None:
    """A job starts when its own needs are done, while a slow job of their level still runs."""
    b_runs = threading.Event()

    slow, b = job(does=lambda _: int(not b_runs.wait(60))), job(does=lambda _: b_runs.set())
    result = project.run("a -> b, slow", slow=slow, b=b)

    assert result.state == "succeeded"


# Failure


def test_failure_stops_dependents_only(project: Project) -> None:
    """A failed job's dependents are skipped, near and far, and say why; its siblings go on."""
    skipped = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, JobFinished) and event.job == "c":
            skipped.set()

    project.emit = listen

    sibling = job(does=lambda _: int(not skipped.wait(60)))
    result = project.run("bad -> b -> c, sibling -> d", bad=job(exit=3), sibling=sibling)

    assert result.state == "failed"
    assert project.story() == [
        "bad failed: exited with code 3",
        "b skipped: it needs `bad`, which failed",
        "c skipped: it needs `b`, which was skipped",
        "sibling succeeded",
        "d succeeded",
    ]


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (job(exit=1), "exited with code 1"),
        (job(exit=139), "exited with code 139 (SIGSEGV)"),
        (job(exit=255), "exited with code 255"),
        (job(oom=True), "ran out of memory"),
        (job(oom=True, memory=2 << 30), "ran out of memory at 2048 MiB: raise `resources.memory`"),
        (job(error="the engine lost it"), "the engine lost it"),
        (job(start_fail="no such image"), "no such image"),
    ],
)
def test_failures_say_why(project: Project, what: job, error: str) -> None:
    """Each way to fail has its sentence, in the events and in the history."""
    project.run("a", a=what)

    assert project.story() == [f"a failed: {error}"]
    assert (project.job("a").state, project.job("a").error) == ("failed", error)


def test_a_bug_fails_its_job_only(project: Project) -> None:
    """An unexpected exception becomes the failure of one job; its task is destroyed and the others run."""

    def crash(_launch: Launch) -> None:
        raise ZeroDivisionError("oh")

    project.run("a, b", at_once=1, a=job(does=crash))

    assert project.story()[-2:] == ["a failed: a bug in wf: ZeroDivisionError: oh", "b succeeded"]
    assert 'raise ZeroDivisionError("oh")' in project.story()[0]


def test_timeout(project: Project, clock: Clock) -> None:
    """A task that runs too long is stopped, has failed, and its dependents are skipped."""
    project.emit = once_started("a", lambda: clock.move_on(60))

    result = project.run("c -> a -> b", a=job(sleep=300, timeout=60))

    assert result.state == "failed"
    assert project.story() == [
        "c succeeded",
        "a failed: timed out after 60 s",
        "b skipped: it needs `a`, which failed",
    ]


def test_timeout_kills_the_stubborn(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that ignores being asked to end is killed after the grace period."""
    monkeypatch.setattr("wf.runner.ending.GRACE", 0.1)

    project.run("a", a=job(sleep=30, timeout=0.1, stubborn=True))

    assert project.story() == ["a failed: timed out after 0.1 s"]
    assert project.job("a").exit_code == 137


def test_given_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose engine does not answer is given up after a while, the run ends, and the next `wf` sweeps."""
    monkeypatch.setattr("wf.runner.ending.GRACE", 0.05)
    monkeypatch.setattr("wf.runner.ending.PATIENCE", 0.05)
    freed = threading.Event()
    backend = ScriptedBackend({"a": lambda _launch: int(freed.wait(20))})
    backend.teardown = lambda: None  # type: ignore[method-assign] # the real one could not clean up either

    project.run_plan(plan("a", project.root, a=job(timeout=0.05)), backend=backend)
    freed.set()

    assert [run.id for run in project.store.history.recover()] == [1]
    assert project.story() == ["a failed: timed out after 0.05 s; it did not end when it was killed"]


def test_a_workflow_that_takes_too_long_is_stopped(project: Project, clock: Clock) -> None:
    """What runs is stopped, what waits never starts, what has succeeded stays so, and the run says why it failed."""
    project.emit = once_started("slow", lambda: clock.move_on(60))

    result = project.run("done -> slow -> late", timeout=60, slow=job(sleep=300))

    why = "the workflow timed out after 60 s"
    assert project.story() == ["done succeeded", f"late skipped: {why}", f"slow failed: {why}"]
    assert (result.state, project.store.history.run().error) == ("failed", why)


def test_a_workflow_that_ends_in_time_succeeds(project: Project) -> None:
    """Its timeout leaves no trace."""
    assert project.run("a -> b", timeout=60).state == "succeeded"
    assert project.store.history.run().error == ""


def test_history_that_cannot_be_written(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the history breaks in the middle of a run, what runs is killed, and the error is the run's."""

    def full(*_: object) -> None:
        raise EnvironmentProblem("disk full")

    all_run = threading.Event()

    def listen(_: Event) -> None:
        if len(project.starts_and_ends()) == 3:
            all_run.set()

    project.emit = listen
    monkeypatch.setattr(project.store.history, "finish_job", full)
    a = job(does=lambda _: int(not all_run.wait(60)))
    with pytest.raises(EnvironmentProblem, match="disk full"):
        project.run("a, b, c", a=a, b=job(sleep=300), c=job(sleep=300, stubborn=True))

    assert all(handle.destroyed for handle in project.backend.handles)
    run = project.store.history.run()
    assert (run.state, run.error) == ("failed", "disk full")
    assert {(each.state, each.error) for each in project.store.history.jobs(run.id)} == {
        ("cancelled", "the run broke off")
    }


# Preparing


def test_run_that_cannot_be_prepared_is_recorded(project: Project) -> None:
    """What the backend lacks is raised, and the history says that the run failed and why."""
    backend = ScriptedBackend(prepare_error="no Docker here")

    with pytest.raises(EnvironmentProblem, match="no Docker here"):
        project.run_plan(plan("a -> b", project.root), backend=backend)

    run = project.store.history.run()
    assert (run.state, run.error) == ("failed", "no Docker here")
    assert [(each.name, each.state) for each in project.store.history.jobs(run.id)] == [
        ("a", "skipped"),
        ("b", "skipped"),
    ]
    started, finished = project.events
    assert isinstance(started, RunStarted)
    assert (started.run, started.workflow, started.jobs) == (1, "flow.yaml", ("a", "b"))
    assert isinstance(finished, RunFinished)
    assert finished.state == "failed"


def test_missing_secrets_together(project: Project) -> None:
    """All secrets that are not set are named before anything starts; optional ones may be missing."""
    with pytest.raises(EnvironmentProblem, match=r"^secrets `KEY`, `TOKEN` are not set$"):
        project.run("a, b", a=job(secrets={"X": "TOKEN", "Z": "MAYBE?"}), b=job(secrets={"Y": "KEY"}))

    assert project.backend.handles == []


def test_unknown_dataset(project: Project) -> None:
    """A dataset that is not there fails the run before anything starts, and the message says how to make it."""
    with pytest.raises(EnvironmentProblem) as caught:
        project.run("a", a=job(inputs={"x": "dataset ratings"}))

    assert str(caught.value) == "there is no dataset `ratings` in this project"
    assert caught.value.hint == "Import it: `wf datasets import ratings PATH`."
    assert project.backend.handles == []


# What goes wrong around a run


def test_broken_report_changes_nothing(tmp_path: Path) -> None:
    """A report that raises is left out; the run goes on, and the result says so."""
    calls: list[Event] = []

    def broken(event: Event) -> None:
        calls.append(event)
        if isinstance(event, JobStarted):
            raise BrokenPipeError("nobody reads")

    result = run_plan(
        plan("a -> b", tmp_path),
        backend=ScriptedBackend(),
        store=Store.open(tmp_path),
        secrets=Secrets(),
        emit=broken,
        jobs=2,
    )

    assert result.state == "succeeded"
    assert isinstance(calls[-1], JobStarted)
    assert result.warnings == ("the report broke and was left out: BrokenPipeError: nobody reads",)


def test_failing_teardown_is_a_warning(project: Project) -> None:
    """What cannot be removed after a run does not change how it went; it is said, and swept by the next `wf`."""

    def fails() -> None:
        raise EnvironmentProblem("the engine is gone")

    backend = ScriptedBackend()
    backend.teardown = fails  # type: ignore[method-assign]
    result = project.run_plan(plan("a", project.root), backend=backend)

    assert result.state == "succeeded"
    assert result.warnings == ("something of the run may be left in fake: the engine is gone",)
    assert [run.id for run in project.store.history.recover()] == [1]
