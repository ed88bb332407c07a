"""Ctrl-C, signals and `kill -9`, of a `wf` that is a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness import Project, ScriptedBackend, plan, tree
from wf.store import Store

ROOT = Path(__file__).parents[1]


_CHILD = """
import signal
import sys
from pathlib import Path
from tests.harness import Project, job

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, wf ignores it as it should

class Loud(list):
    def append(self, event):
        print(type(event).__name__, getattr(event, "job", ""), flush=True)

root, graph, *words = sys.argv[1:]
project = Project(Path(root), events=Loud())
result = project.run(graph, at_once=2, a=job(sleep=60, stubborn="stubborn" in words))
print(result.state, dict(result.jobs), flush=True)
"""


def _start_child(root: Path, graph: str, *words: str) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(root), graph, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line == "JobStarted a\n":
            return child
    raise AssertionError("the child ended early")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_cancels(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM or a closed terminal end the run soon, and the history says that it was cancelled."""
    child = _start_child(tmp_path, "a -> b")
    began = time.monotonic()

    child.send_signal(number)
    output, _ = child.communicate(timeout=20)

    assert output.splitlines()[-1] == "cancelled {'a': 'cancelled', 'b': 'cancelled'}"
    assert time.monotonic() - began < 3
    history = Store.open(tmp_path).history
    assert history.run().state == "cancelled"
    assert [(each.state, each.error) for each in history.jobs(1)] == [("cancelled", "stopped by the user")] * 2


def test_second_signal_kills(tmp_path: Path) -> None:
    """A task that ignores the first Ctrl-C is killed by the second one at once."""
    child = _start_child(tmp_path, "a", "stubborn")
    began = time.monotonic()

    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)

    assert time.monotonic() - began < 3
    (record,) = Store.open(tmp_path).history.jobs(1)
    assert (record.state, record.exit_code) == ("cancelled", 137)


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
        child.communicate(timeout=20)

    assert result.run == 3
    assert [run.state for run in project.store.history.runs()] == ["succeeded", "cancelled", "cancelled"]
