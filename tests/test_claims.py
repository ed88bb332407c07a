"""Several runs at once: the same job is done once, whoever asked for it first."""

import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Project, ScriptedBackend, job, plan
from wf.errors import EnvironmentProblem
from wf.runner import Reuse

SLOW = job(outputs={"x": "numbers"}, leaves={"x": "one"}, sleep=1.0, reuse=True)


class Side(threading.Thread):
    """A run in a thread of its own, with a store of its own: what another `wf` would be."""

    def __init__(self, root: Path, job: job, name: str = "a", reuse: Reuse | None = None) -> None:
        super().__init__()
        self._root, self._job, self._name, self._reuse = root, job, name, reuse
        self.story: list[str] = []
        self.decisions: list[str] = []
        self.start()

    def run(self) -> None:
        """Run the workflow of one job."""
        project = Project(self._root)
        jobs: dict[str, Any] = {self._name: self._job}
        project.run(self._name, reuse=self._reuse, **jobs)
        self.story, self.decisions = project.story(), project.decisions()
        project.store.close()


def await_claim(root: Path) -> None:
    """Until a run has begun with its job."""
    while not any((root / ".wf/claims").iterdir()):
        time.sleep(0.01)
    time.sleep(0.05)


def both(first: Side, second: Side) -> tuple[list[str], list[str]]:
    """What they tell when both have ended."""
    first.join()
    second.join()
    return [*first.decisions, *first.story], [*second.decisions, *second.story]


def test_the_same_job_is_done_once(tmp_path: Path) -> None:
    """The second waits and takes the result; also where it gives the job another name."""
    Project(tmp_path).store.close()
    first = Side(tmp_path, SLOW)
    await_claim(tmp_path)

    assert both(first, Side(tmp_path, SLOW, "b")) == (
        ["a ran", "a succeeded"],
        ["b from 1", "b note: waiting for run 1, which does the same job", "b succeeded"],
    )
    assert list((tmp_path / ".wf/claims").iterdir()) == []


def test_the_second_does_it_itself_where_the_first_fails(tmp_path: Path) -> None:
    """It does not fail with it."""
    Project(tmp_path).store.close()
    count = tmp_path / "count"

    def fail_once(_: object) -> int:
        if count.exists():
            return 0
        count.touch()
        time.sleep(1.0)
        return 1

    flaky = job(outputs={"x": "volume"}, does=fail_once, reuse=True)
    first = Side(tmp_path, flaky)
    await_claim(tmp_path)

    assert both(first, Side(tmp_path, flaky)) == (
        ["a ran", "a failed: exited with code 1"],
        ["a ran: it failed in run 1", "a note: waiting for run 1, which does the same job", "a succeeded"],
    )


def test_a_forced_job_waits_for_nobody(tmp_path: Path) -> None:
    """It runs in any case, so it would gain nothing."""
    Project(tmp_path).store.close()
    first = Side(tmp_path, SLOW)
    await_claim(tmp_path)

    second = Side(tmp_path, SLOW, reuse=Reuse(allowed=False))
    both(first, second)

    assert second.story == ["a succeeded"]


def test_two_jobs_of_a_run_that_are_the_same(tmp_path: Path) -> None:
    """One is done, the other takes its result, without a slot meanwhile."""
    project = Project(tmp_path)

    project.run("a, b, c", a=SLOW, b=SLOW, c=job(sleep=0.1), at_once=2)

    story = project.story()
    assert story[0] == "b note: waiting for `a`, which is the same job"
    assert story.index("a succeeded") < story.index("b succeeded")
    assert project.decisions()[-1] == "b from 1"


def test_a_run_that_waits_can_be_stopped(tmp_path: Path) -> None:
    """By the timeout of its workflow, as by Ctrl-C."""
    Project(tmp_path).store.close()
    first = Side(tmp_path, SLOW)
    await_claim(tmp_path)
    project = Project(tmp_path)

    project.run("a", a=SLOW, timeout=0.1)

    assert project.story() == [
        "a note: waiting for run 1, which does the same job",
        "a skipped: the workflow timed out after 0.1 s",
    ]
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
