"""What is done for a job before it is its turn, and for one whose process has ended."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.harness import Clock, Project, ScriptedBackend, job, plan
from wf.backends.base import Handle, Launch, NotWantedError, Turn
from wf.backends.fake import FakeHandle
from wf.errors import EngineGone
from wf.events import JobStarted
from wf.plan import MatrixMember, Retry
from wf.runner.messages import Mailbox
from wf.runner.outputs import Collected, collect
from wf.runner.running import Running
from wf.runner.turns import Turns


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made ready stays so until a test has seen it, however busy the machine is."""
    monkeypatch.setattr("wf.runner.turns.SOON", 60.0)


def test_a_task_waits_for_its_turn() -> None:
    """It is given, or given up, once for all who wait."""
    given, given_up = Turn(), Turn()
    given.give()
    given_up.give_up()
    given.wait()
    assert not given.is_given_up
    assert given_up.is_given_up
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
    lock, second, never = threading.Lock(), threading.Event(), threading.Event()

    def collect_slowly(task: Any, *others: Any) -> Collected:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
            if most == 2:
                second.set()
        assert second.wait(60), "the next job should run by now"
        never.wait(0.2)  # a third one would come in this time
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


class _Talking(ScriptedBackend):
    """Tasks do what they do before they close their output."""

    def logs(self, handle: Handle) -> Iterator[bytes]:
        assert isinstance(handle, FakeHandle)
        yield from super().logs(handle)
        if script := self._scripts.pop(handle.launch.task.id, None):
            script(handle.launch)


def test_the_next_job_is_made_ready_while_one_has_just_started(tmp_path: Path) -> None:
    """It may be a short one, although it still talks."""
    project = Project(tmp_path)

    result = project.run_plan(
        plan("a, b", tmp_path), at_once=1, backend=_Talking({"a": lambda _: _await(project, "b")})
    )

    assert result.jobs == {"a": "succeeded", "b": "succeeded"}
    assert project.backend.most_at_once == 1


@pytest.fixture
def in_vain(tmp_path: Path, clock: Clock) -> tuple[Project, Callable[[Launch], None]]:
    """A project, and what a job does until `b` was made ready in vain, and nothing is left of that."""
    project = Project(tmp_path)

    def wait(_: Launch) -> None:
        _await(project, "b")
        clock.move_on(60)
        _until(lambda: not project.store.layout.job(1, "b").outputs.exists())
        _until(lambda: len(list(project.store.layout.claims.iterdir())) == 1)

    return project, wait


def test_who_waits_in_vain_gives_way(in_vain: tuple[Project, Callable[[Launch], None]]) -> None:
    """A job that runs for long keeps none ready: neither its claim nor its folder, until there is room."""
    project, wait = in_vain

    result = project.run("a, b", at_once=1, a=job(does=wait))

    assert result.jobs == {"a": "succeeded", "b": "succeeded"}
    assert project.backend.most_at_once == 1
    assert list(project.store.layout.claims.iterdir()) == []


def test_another_run_takes_what_was_made_ready_in_vain(in_vain: tuple[Project, Callable[[Launch], None]]) -> None:
    """It need not wait for a job that itself waits."""
    project, wait = in_vain
    same = job(outputs={"x": "numbers"}, leaves={"x": "one"}, reuse=True)
    other: list[str] = []

    def let_another_do_it(launch: Launch) -> None:
        wait(launch)
        theirs = Project(project.root)
        theirs.run("b", b=same)
        other.extend(theirs.decisions())
        theirs.store.close()

    project.run("a, b", at_once=1, a=job(does=let_another_do_it), b=same)

    assert other == ["b ran"]
    assert project.decisions() == ["a ran", "b from 2"]


def test_ctrl_c_ends_what_was_made_ready_in_vain(in_vain: tuple[Project, Callable[[Launch], None]]) -> None:
    """Like everything else that waits."""
    project, wait = in_vain

    def interrupt(launch: Launch) -> None:
        wait(launch)
        os.kill(os.getpid(), signal.SIGINT)
        _until(lambda: "b cancelled: stopped by the user" in project.story())

    result = project.run("a, b", at_once=1, a=job(does=interrupt))

    assert result.jobs == {"a": "cancelled", "b": "cancelled"}
    assert list(project.store.layout.claims.iterdir()) == []
    assert not project.store.layout.job(1, "b").path.exists()


def test_notes_on_a_job_are_told_once(in_vain: tuple[Project, Callable[[Launch], None]]) -> None:
    """Not again after it was made ready in vain."""
    project, wait = in_vain

    project.run("a, b", at_once=1, a=job(does=wait), b=job(secrets={"KEY": "KEY"}), secrets={"KEY": "ab"})

    note = "b note: the secret in KEY has less than 4 characters: its log shows it"
    assert project.story().count(note) == 1


def test_what_an_attempt_printed_outlives_what_was_made_ready_in_vain(
    in_vain: tuple[Project, Callable[[Launch], None]],
) -> None:
    """The next attempt waits behind another job, goes back to the queue, and starts at last."""
    project, wait = in_vain

    project.run("b, a", at_once=1, a=job(does=wait), b=job(exit=1, log="said\n", retry=Retry(2, backoff=0.01)))

    folder = project.store.layout.job(1, "b")
    assert "b failed: exited with code 1" in project.story()
    assert (folder.attempt_log(1).read_text(), folder.log.read_text()) == ("said\n", "said\n")


class _Seeing(ScriptedBackend):
    """It sees processes end before it knows how."""

    def watch(self, handle: Handle, gone: Callable[[], None]) -> None:
        gone()


def test_a_process_that_is_gone_makes_room(tmp_path: Path) -> None:
    """Before it is known how it ended."""
    project = Project(tmp_path)
    backend = _Seeing({"a": lambda _: _until(lambda: len(project.backend.handles) == 2)})

    result = project.run_plan(plan("a, b", tmp_path, a=job(exit=1)), at_once=1, backend=backend)

    assert result.jobs == {"a": "failed", "b": "succeeded"}


class _SeeingLate(ScriptedBackend):
    """It says of the first process of `a` that it is gone when the second one runs."""

    gone: Callable[[], None] | None = None

    def watch(self, handle: Handle, gone: Callable[[], None]) -> None:
        assert isinstance(handle, FakeHandle)
        if handle.launch.task.id == "a":
            (self.gone or (lambda: None))()
            self.gone = gone


def test_a_process_that_was_gone_before_makes_no_room(tmp_path: Path) -> None:
    """What is left of its job is another process by now."""
    project, backend = Project(tmp_path), _SeeingLate()
    jobs = {"a": job(exit=1, sleep=0.2, retry=Retry(2, backoff=0)), **{name: job(sleep=0.2) for name in "bcdef"}}

    project.run_plan(plan("a, b, c, d, e, f", tmp_path, **jobs), at_once=1, backend=backend)

    order = "".join(handle.launch.task.id for handle in backend.handles)
    assert sorted(order) == list("aabcdef")
    assert not order.endswith("a"), "somebody should have waited while the second process ran"
    assert backend.most_at_once == 1


def test_no_job_of_a_matrix_starts_while_it_is_not_known_whether_one_has_failed(tmp_path: Path) -> None:
    """If it has, and its matrix is fail-fast, none may."""
    project = Project(tmp_path)
    members = {name: job(member=MatrixMember("m", {}), exit=1) for name in ("a", "b")}

    result = project.run_plan(plan("a, b", tmp_path, **members), at_once=1, backend=_Seeing())

    assert result.jobs == {"a": "failed", "b": "skipped"}


def _running(name: str, **changes: Any) -> Running:
    """A job under way, of which only what is given matters."""
    running: Any = Running(job(**changes).task(name, ()), *[None] * 5)  # type: ignore[arg-type]
    running.worker = SimpleNamespace(turn=Turn(), told_to_end=threading.Event())
    return running  # type: ignore[no-any-return]


def test_each_waits_for_one(tmp_path: Path) -> None:
    """Who follows the one that ends comes first, then who came first; there is one for each that may end."""
    under_way = {name: _running(name) for name in ("a", "b")}
    turns = Turns(2, under_way)
    for each in under_way.values():
        each.started = time.monotonic()
        turns.started(each)
    followers = [_running("c"), _running("d")]
    for each in followers:
        each.follows = turns.follows
        turns.add(each)

    assert [each.follows for each in followers] == list(under_way.values())
    assert not turns.can_take_more
    assert turns.next() is None
    turns.exited(under_way["b"])
    assert turns.next() is followers[1]
    turns.give(followers[1])
    del under_way["b"]
    assert turns.next() is followers[0]


def test_what_is_dear_keeps_its_place(tmp_path: Path) -> None:
    """Those that come later and are cheap do not pass it while it is not made ready."""
    project = Project(tmp_path)
    made = job(outputs={"x": "volume"}, leaves={"x": "1"})
    dear = job(inputs={"x": "s.outputs.x"})

    jobs: dict[str, Any] = {"s": made, "dear": dear, **{name: job(sleep=0.2) for name in "abcd"}}
    result = project.run("s -> dear, a, b, c, d", at_once=1, **jobs)

    starts = [event.job for event in project.events if isinstance(event, JobStarted)]
    assert set(result.jobs.values()) == {"succeeded"}
    assert starts.index("dear") < starts.index("c")


def test_what_is_dear_is_not_made_ready_for_one_that_may_go_on() -> None:
    """Views of inputs are made once it has closed its output."""
    under_way = {"a": _running("a")}
    turns, dear, cheap = Turns(1, under_way), _running("b", inputs={"x": "dataset x"}), _running("c")
    under_way["a"].started = time.monotonic()
    turns.started(under_way["a"])

    assert [turns.is_cheap_enough(each.task) for each in (dear, cheap)] == [False, True]
    turns.closed(under_way["a"])
    assert turns.is_cheap_enough(dear.task)


def _await(project: Project, name: str) -> None:
    """Until the job's folder for outputs is there."""
    _until(project.store.layout.job(1, name).outputs.exists)


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("this should hold by now")
