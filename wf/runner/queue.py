"""Which job may start next: what it needs has ended, its pause is over, and its matrix has room for it."""

import heapq
import math
import time
from collections.abc import Callable
from graphlib import TopologicalSorter

from wf.plan import Plan, Task


class Queue:
    """The jobs of one run that have not started. Those that could start come in the order of the plan."""

    def __init__(self, plan: Plan) -> None:
        self._tasks = plan.tasks
        self._position = {task.id: position for position, task in enumerate(plan.tasks)}
        self._sorter = TopologicalSorter({task.id: task.needs for task in plan.tasks})
        self._sorter.prepare()
        self._given: set[str] = set()
        """Jobs whose needs have all ended."""
        self._ended: set[str] = set()
        self._waiting: set[int] = set()
        """Those in the two heaps that still want to start."""
        self._ready: list[int] = []
        self._paused: list[tuple[float, int]] = []
        """When the pause of a job before its next attempt ends, by the monotonic clock."""
        self._advance()

    def __bool__(self) -> bool:
        """Whether a job could start now or later, with nothing else happening."""
        return bool(self._waiting)

    def next(self, has_room: Callable[[Task], bool], is_time: Callable[[Task], bool]) -> Task | None:
        """Take the first job that there is room for, if it is time to begin with it: until then, no other passes it."""
        while self._paused and self._paused[0][0] <= time.monotonic():
            heapq.heappush(self._ready, heapq.heappop(self._paused)[1])
        full = []
        found = None
        while self._ready and found is None:
            position = heapq.heappop(self._ready)
            if position not in self._waiting:
                continue
            if not has_room(self._tasks[position]):
                full.append(position)
            elif is_time(self._tasks[position]):
                self._waiting.discard(position)
                found = self._tasks[position]
            else:
                full.append(position)
                break
        for position in full:
            heapq.heappush(self._ready, position)
        return found

    @property
    def due(self) -> float:
        """When the next pause ends, by the monotonic clock; infinite if there is none."""
        return self._paused[0][0] if self._paused else math.inf

    def pause(self, task: Task, seconds: float) -> None:
        """Put back a job that is tried again."""
        position = self._position[task.id]
        self._waiting.add(position)
        heapq.heappush(self._paused, (time.monotonic() + seconds, position))

    def end(self, task: Task) -> None:
        """A job has come to its end, whichever it was and whether it started or not."""
        self._waiting.discard(self._position[task.id])
        self._ended.add(task.id)
        if task.id in self._given:
            self._sorter.done(task.id)
            self._advance()

    def _advance(self) -> None:
        while jobs := self._sorter.get_ready():
            for job in jobs:
                self._given.add(job)
                if job in self._ended:
                    self._sorter.done(job)
                else:
                    self._waiting.add(self._position[job])
                    heapq.heappush(self._ready, self._position[job])
