"""Several runs at once: the same job is done once, whoever asked for it first."""

import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.harness import Clock, Project, ScriptedBackend, job, plan
from wf.backends.base import Launch
from wf.errors import EnvironmentProblem
from wf.events import JobNote
from wf.runner import Reuse

SAME = job(outputs={"x": "numbers"}, leaves={"x": "one"}, reuse=True)


class Side(threading.Thread):
    """A run of one job in a thread of its own, with a store of its own: what another `wf` would be."""

    def __init__(self, root: Path, name: str = "a", exits: int = 0, reuse: Reuse | None = None) -> None:
        super().__init__()
        self._root, self._name, self._exits, self._reuse = root, name, exits, reuse
        self.begun, self.waits, self.may_end = threading.Event(), threading.Event(), threading.Event()
        """Its job runs; it is noted that it waits for another; it may end."""
        self.story: list[str] = []
        self.decisions: list[str] = []
        self.start()

    def run(self) -> None:
        """Run the workflow of one job."""
        project = Project(self._root)
        project.emit = lambda event: self.waits.set() if isinstance(event, JobNote) else None
        jobs: dict[str, Any] = {self._name: replace(SAME, does=self._work)}
        project.run(self._name, reuse=self._reuse, **jobs)
        self.story, self.decisions = project.story(), project.decisions()
        project.store.close()

    def _work(self, _: Launch) -> int:
        self.begun.set()
        assert self.may_end.wait(60)
        return self._exits

    @property
    def told(self) -> list[str]:
        """What it decided, and what became of it."""
        return [*self.decisions, *self.story]


def under_way(root: Path, exits: int = 0) -> Side:
    """A run that has begun with its job, and goes on until it may end."""
    Project(root).store.close()
    side = Side(root, exits=exits)
    assert side.begun.wait(60)
    return side


def end(first: Side, second: Side) -> None:
    """Let the first end once the second waits for it."""
    second.may_end.set()
    assert second.waits.wait(60)
    first.may_end.set()
    first.join()
    second.join()


def test_the_same_job_is_done_once(tmp_path: Path) -> None:
    """The second waits and takes the result; also where it gives the job another name."""
    first = under_way(tmp_path)
    second = Side(tmp_path, "b")
    end(first, second)

    assert first.told == ["a ran", "a succeeded"]
    assert second.told == ["b from 1", "b note: waiting for run 1, which does the same job", "b succeeded"]
    assert list((tmp_path / ".wf/claims").iterdir()) == []


def test_the_second_does_it_itself_where_the_first_fails(tmp_path: Path) -> None:
    """It does not fail with it."""
    first = under_way(tmp_path, exits=1)
    second = Side(tmp_path)
    end(first, second)

    waits = "a note: waiting for run 1, which does the same job"
    assert first.told == ["a ran", "a failed: exited with code 1"]
    assert second.told == ["a ran: it failed in run 1", waits, "a succeeded"]


def test_a_forced_job_waits_for_nobody(tmp_path: Path) -> None:
    """It runs in any case, so it would gain nothing."""
    first = under_way(tmp_path)
    second = Side(tmp_path, reuse=Reuse(allowed=False))
    second.may_end.set()
    second.join()
    first.may_end.set()
    first.join()

    assert second.story == ["a succeeded"]


def test_two_jobs_of_a_run_that_are_the_same(tmp_path: Path) -> None:
    """One is done, the other takes its result, without a slot meanwhile."""
    project, c_runs = Project(tmp_path), threading.Event()
    a, c = replace(SAME, does=lambda _: int(not c_runs.wait(60))), job(does=lambda _: c_runs.set())

    project.run("a, b, c", a=a, b=SAME, c=c, at_once=2)

    story = project.story()
    assert story[0] == "b note: waiting for `a`, which is the same job"
    assert story.index("a succeeded") < story.index("b succeeded")
    assert project.decisions()[-1] == "b from 1"


def test_a_run_that_waits_can_be_stopped(tmp_path: Path, clock: Clock) -> None:
    """By the timeout of its workflow, as by Ctrl-C."""
    first = under_way(tmp_path)
    project = Project(tmp_path)
    project.emit = lambda event: clock.move_on(60) if isinstance(event, JobNote) else None

    project.run("a", a=SAME, timeout=60)

    assert project.story() == [
        "a note: waiting for run 1, which does the same job",
        "a skipped: the workflow timed out after 60 s",
    ]
    first.may_end.set()
    first.join()


class _Refusing(ScriptedBackend):
    """Its engine is gone for good."""

    def sweep(self, runs: Collection[int]) -> int:
        """Not even looked for."""
        raise EnvironmentProblem("the engine is gone")


@pytest.mark.parametrize(("backend", "left"), [(ScriptedBackend, []), (_Refusing, [1])])
def test_what_could_not_start_is_swept_up(backend: type[ScriptedBackend], left: list[int], tmp_path: Path) -> None:
    """An engine that dies while it starts something cannot take back what it has begun with: now, or for the next."""
    project = Project(tmp_path)

    project.run_plan(plan("a", tmp_path, a=job(start_fail="the engine is gone")), backend=backend())

    assert [run.id for run in project.store.history.recover()] == left
