"""Whose turn it is: how many processes may run, and which jobs are made ready for the room that there will be soon.

A job is made ready to follow one that may end at any moment: one that has just started, as most short jobs do not run
for longer, or one that has closed its output. It waits for that one for a second at most. Then it goes back to the
queue as if it had never been looked at, and whatever is free sooner, or comes earlier in the file, has its chance.
"""

import math
import time
from collections.abc import Mapping, Sequence

from wf.plan import Task
from wf.runner.running import Running

SOON = 1.0
"""Seconds for which a job that has just started, or has closed its output, counts as one that may end soon."""


class Turns:
    """The turns of one run's jobs."""

    def __init__(self, jobs: int, running: Mapping[str, Running]) -> None:
        """At most `jobs` processes run at once; `running` holds those that had their turn, by their jobs."""
        self._jobs = jobs
        self._running = running
        self._ready: dict[str, Running] = {}
        """Those that wait for their turn, first come, first served; for everybody else they have not begun."""
        self._withdrawn: dict[str, Running] = {}
        """Those that waited in vain, until nothing is left of what was made ready."""
        self._are_short = True
        """Whether the last job that was waited for ended soon: jobs of one run are alike."""

    def __bool__(self) -> bool:
        """Whether a job is in here that has not had its turn."""
        return bool(self._ready or self._withdrawn)

    @property
    def room(self) -> int:
        """How many processes more may run. What stores its outputs needs none, if that does not pile up."""
        running = sum(not each.has_exited for each in self._running.values())
        return min(self._jobs - running, 2 * self._jobs - len(self._running))

    @property
    def can_take_more(self) -> bool:
        """Whether one more job may start, or be made ready."""
        return self.room > 0 or self._next_to_end is not None

    @property
    def follows(self) -> Running | None:
        """For whose end a job would have to wait, if there is no room."""
        return None if self.room > 0 else self._next_to_end

    @property
    def _next_to_end(self) -> Running | None:
        """A job that may end soon, and that nobody waits for: the one that most likely does."""
        now = time.monotonic()
        followed = [each.follows for each in self._ready.values()]
        ending = (each for each in self._running.values() if not each.has_exited and each.may_end_until > now)
        free = (each for each in ending if each not in followed)
        return min(free, key=lambda each: not each.has_closed, default=None)

    @property
    def due(self) -> float:
        """When somebody has waited in vain, by the monotonic clock; infinite if nobody waits."""
        return min(map(_waits_until, self._ready.values()), default=math.inf)

    def is_cheap_enough(self, task: Task) -> bool:
        """Whether the task may be made ready, even for somebody who goes on: views of its inputs take long to make."""
        return self.room > 0 or not task.may_have_views or bool(self._next_to_end and self._next_to_end.has_closed)

    def add(self, running: Running) -> None:
        """A job is made ready."""
        self._ready[running.task.id] = running

    def next(self) -> Running | None:
        """Whose turn it is: who waits for one that has ended, or else who came first."""
        if self.room <= 0:
            return None
        waiting = sorted(self._ready.values(), key=lambda each: each.follows is None or not each.follows.has_exited)
        return waiting[0] if waiting else None

    def give(self, running: Running) -> None:
        """It is its turn."""
        del self._ready[running.task.id]
        running.follows = None
        running.worker.turn.give()

    def started(self, running: Running) -> None:
        """Its process runs, and may be a short one."""
        running.has_closed = running.has_exited = False  # if it starts once more, after an outage
        running.may_end_until = running.started + SOON if self._are_short else 0.0

    def closed(self, running: Running) -> None:
        """Its process has closed its output, as one does that ends."""
        running.has_closed = True
        running.may_end_until = time.monotonic() + SOON

    def exited(self, running: Running) -> None:
        """Its process has ended, so that there is room for another one."""
        if running.has_exited:
            return
        running.has_exited = True
        self._are_short = time.monotonic() - running.started < SOON

    def withdraw_the_late(self) -> None:
        """Let go of those that have waited in vain."""
        now = time.monotonic()
        for running in [each for each in self._ready.values() if _waits_until(each) <= now]:
            self._are_short = False
            self._withdrawn[running.task.id] = self._give_up(running)

    def pop(self, job: str) -> Running | None:
        """Take out a job whose worker has ended before its turn, if it is in here."""
        return self._ready.pop(job, None) or self._withdrawn.pop(job, None)

    def discard(self, job: str) -> Running | None:
        """Let go of a job that is not to have its turn any more, if it is in here."""
        if running := self._ready.get(job):
            return self._give_up(running)
        return self._withdrawn.pop(job, None)

    def all(self) -> Sequence[Running]:
        """All that are in here."""
        return [*self._ready.values(), *self._withdrawn.values()]

    def _give_up(self, running: Running) -> Running:
        del self._ready[running.task.id]
        running.follows = None
        running.worker.told_to_end.set()
        running.worker.turn.give_up()
        return running


def _waits_until(running: Running) -> float:
    return running.follows.may_end_until if running.follows else 0.0
