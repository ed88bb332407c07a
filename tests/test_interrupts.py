"""Ctrl-C, signals and `kill -9`, of a `wf` that is a process of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.harness import Project, ScriptedBackend, job, plan, tree
from wf.backends.base import Launch
from wf.events import JobNote
from wf.store import Store

ROOT = Path(__file__).parents[1]


_CHILD = """
import signal
import sys
from pathlib import Path
from tests.harness import Project, job
from wf.runner import ending

ending.GRACE = 600.0  # nobody is killed because a busy machine was slow
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, wf ignores it as it should

class Loud(list):
    def append(self, event):
        print(type(event).__name__, getattr(event, "job", ""), flush=True)

root, graph, *words = sys.argv[1:]
project = Project(Path(root), events=Loud())
result = project.run(graph, at_once=2, a=job(sleep=300, stubborn="stubborn" in words))
print(result.state, dict(result.jobs), flush=True)
"""


def _start_child(root: Path, graph: str, *words: str) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(root), graph, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    _read_until("JobStarted a", child)
    return child


def _read_until(event: str, child: "subprocess.Popen[str]") -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if line == f"{event}\n":
            return
    raise AssertionError("the child ended early")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_cancels(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM or a closed terminal end the run soon, and the history says that it was cancelled."""
    child = _start_child(tmp_path, "a -> b")

    child.send_signal(number)
    output, _ = child.communicate(timeout=60)

    assert output.splitlines()[-1] == "cancelled {'a': 'cancelled', 'b': 'cancelled'}"
    history = Store.open(tmp_path).history
    assert history.run().state == "cancelled"
    assert [(each.state, each.error) for each in history.jobs(1)] == [("cancelled", "stopped by the user")] * 2


def test_second_signal_kills(tmp_path: Path) -> None:
    """A task that ignores the first Ctrl-C is killed by the second one at once."""
    child = _start_child(tmp_path, "a", "stubborn")

    child.send_signal(signal.SIGINT)
    _read_until("JobNote a", child)  # asked to end
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)

    (record,) = Store.open(tmp_path).history.jobs(1)
    assert (record.state, record.exit_code) == ("cancelled", 137)


def test_a_signal_that_does_not_end_the_wait_is_heard(project: Project) -> None:
    """It came in the moment before, or to another thread: nobody waits for something else to happen."""
    heard = threading.Event()

    def interrupt(_: Launch) -> int:
        time.sleep(0.2)  # until the runner most likely waits: one that does not hears it in any case
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return int(not heard.wait(60))

    project.emit = lambda event: heard.set() if isinstance(event, JobNote) else None

    result = project.run("a", a=job(does=interrupt))

    assert result.jobs == {"a": "cancelled"}


def test_signal_while_preparing(project: Project) -> None:
    """Ctrl-C while the backend prepares cancels the run before it starts anything."""
    backend = ScriptedBackend()

    def prepare(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    backend.prepare = prepare  # type: ignore[method-assign,assignment]
    result = project.run_plan(plan("a", project.root), backend=backend)

    assert (result.state, result.jobs) == ("cancelled", {"a": "cancelled"})
    assert project.store.history.run().state == "cancelled"
    assert project.job("a").state == "cancelled"


def test_killed_wf_is_noticed(tmp_path: Path) -> None:
    """After `kill -9` the run counts as interrupted, its leftovers are to be swept once, and only its log stays."""
    child = _start_child(tmp_path, "a -> b")
    assert Store.open(tmp_path).history.recover() == ()  # it still runs
    child.kill()
    child.communicate()
    store = Store.open(tmp_path)
    outputs = store.layout.job(1, "a").outputs
    assert outputs.is_dir()

    (left,) = store.history.recover()
    assert store.history.recover() == (store.history.run(1),)
    store.history.mark_swept([left.id])

    assert store.history.recover() == ()
    assert (left.id, left.backend) == (1, "fake")
    run = store.history.run(1)
    assert (run.state, run.error) == ("interrupted", "wf was killed")
    assert {(each.state, each.error) for each in store.history.jobs(1)} == {("cancelled", "wf was killed")}
    assert tree(store.layout.run(1)) == {"jobs": "/", "jobs/a": "/", "jobs/a/log": ""}


def test_two_runs_at_once(tmp_path: Path) -> None:
    """Two processes run in one project at the same time, with numbers and records of their own."""
    children = [_start_child(tmp_path, "a -> b") for _ in range(2)]

    project = Project(tmp_path)
    result = project.run("a")
    for child in children:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)

    assert result.run == 3
    assert [run.state for run in project.store.history.runs()] == ["succeeded", "cancelled", "cancelled"]
