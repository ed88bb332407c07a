"""What is done for a job before it is its turn, and for one whose process has ended."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Project, ScriptedBackend, job, plan
from wf.backends.base import Launch, NotWantedError, Turn
from wf.backends.fake import FakeHandle
from wf.errors import EngineGone
from wf.events import JobStarted
from wf.plan import Retry
from wf.runner.messages import Mailbox
from wf.runner.outputs import Collected, collect


def test_a_task_waits_for_its_turn() -> None:
    """It is given, or given up, once for all who wait."""
    given, given_up = Turn(), Turn()
    assert not given.is_decided
    given.give()
    given_up.give_up()
    assert given.is_decided
    given.wait()
    with pytest.raises(NotWantedError):
        given_up.wait()


def test_the_next_job_is_made_ready_while_one_ends(tmp_path: Path) -> None:
    """Once the process has closed its output: no two processes run, but the folders of the next are there."""
    project = Project(tmp_path)

    result = project.run("a, b", at_once=1, a=job(does=lambda _: _await(project, "b")))

    assert result.jobs == {"a": "succeeded", "b": "succeeded"}
    assert project.backend.most_at_once == 1


def test_outputs_are_stored_beside_the_next_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has ended well makes room at once."""
    project, stored = Project(tmp_path), threading.Event()

    def collect_slowly(task: Any, *others: Any) -> Collected:
        assert task.id != "a" or stored.wait(60), "`b` should run by now"
        return collect(task, *others)

    monkeypatch.setattr("wf.runner.worker.collect", collect_slowly)
    project.run("a, b", at_once=1, b=job(does=lambda _: stored.set()))

    assert project.starts_and_ends() in (["+a", "+b", "-a", "-b"], ["+a", "+b", "-b", "-a"])


def test_outputs_that_are_stored_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more jobs store theirs than may run."""
    project, at_work, most = Project(tmp_path), 0, 0
    lock, third = threading.Lock(), threading.Event()

    def collect_slowly(task: Any, *others: Any) -> Collected:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        third.wait(0.2)
        with lock:
            at_work -= 1
        return collect(task, *others)

    monkeypatch.setattr("wf.runner.worker.collect", collect_slowly)
    project.run("a, b, c, d, e", at_once=1)

    assert most == 2


def test_a_job_that_was_only_made_ready_has_not_begun(tmp_path: Path) -> None:
    """Ctrl-C ends it like those that wait."""
    project = Project(tmp_path)

    def interrupt(_: Launch) -> None:
        _await(project, "b")
        os.kill(os.getpid(), signal.SIGINT)
        _until(lambda: bool(project.story()))

    result = project.run("a, b", at_once=1, a=job(does=interrupt))

    assert result.state == "cancelled"
    assert [handle.launch.task.id for handle in project.backend.handles] == ["a"]
    assert [event.job for event in project.events if isinstance(event, JobStarted)] == ["a"]
    assert project.story() == [
        "a note: asked to end; another Ctrl-C kills it",
        "b cancelled: stopped by the user",
        "a cancelled: stopped by the user",
    ]
    assert not project.store.layout.job(1, "b").outputs.exists()


class _Away(ScriptedBackend):
    """Its engine goes away while `b` is made ready."""

    was_given_up = False

    def start(self, launch: Launch, turn: Turn) -> FakeHandle:
        if launch.task.id == "b":
            raise EngineGone("no engine answers")
        return super().start(launch, turn)

    def await_engine(self, patience: float, given_up: threading.Event) -> bool:
        self.was_given_up = given_up.wait(60)
        return False


def test_an_engine_is_not_waited_for_on_behalf_of_what_was_given_up(tmp_path: Path) -> None:
    """A job that was made ready while its engine went away ends with the run."""
    project = Project(tmp_path)

    def interrupt(_: Launch) -> None:
        _until(lambda: "b note: no engine answers: waiting for it, up to 120 s" in project.story())
        os.kill(os.getpid(), signal.SIGINT)
        _until(lambda: "b cancelled: stopped by the user" in project.story())

    backend = _Away({"a": interrupt})
    result = project.run_plan(plan("a, b", tmp_path), at_once=1, backend=backend)

    assert result.jobs == {"a": "cancelled", "b": "cancelled"}
    assert backend.was_given_up


def test_nothing_is_looked_after_while_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose pause before its next attempt is over waits like any other."""
    project, looks, receive = Project(tmp_path), 0, Mailbox.receive

    def count(mailbox: Mailbox, timeout: float | None) -> Any:
        nonlocal looks
        looks += 1
        return receive(mailbox, timeout)

    monkeypatch.setattr(Mailbox, "receive", count)
    project.run("a, b", at_once=1, a=job(exit=1, retry=Retry(2)), b=job(sleep=0.5))

    assert looks < 30


def _await(project: Project, name: str) -> None:
    """Until the job's folder for outputs is there."""
    _until(project.store.layout.job(1, name).outputs.exists)


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("this should hold by now")
