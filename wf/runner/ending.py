"""Ending jobs early: because the user, a limit of time, or the failure of another asks for it.

A task is asked to end, then killed, then given up.
"""

import math
import time
from collections.abc import Callable, Mapping
from queue import Empty

from wf.events import Emit, JobNote, JobState
from wf.plan import Plan, Task
from wf.runner.messages import Ended, Started
from wf.runner.running import Running
from wf.runner.shared import PATIENCE, Shared
from wf.store.job_rows import JobEnd

GRACE = 5.0
"""Seconds between asking a task to end and killing it."""

CLEANUP = 60.0
"""Seconds that jobs which run whatever happens have after the run was stopped."""

STOPPED = "stopped by the user"

ASKED, KILLED, GIVEN_UP = 1, 2, 3
"""How hard a task was told to end."""


class Ending:
    """Who is to end before its time, and by when."""

    def __init__(
        self,
        plan: Plan,
        shared: Shared,
        emit: Emit,
        states: Mapping[str, JobState],
        running: dict[str, Running],
        end: Callable[[Task, JobEnd], None],
        finish: Callable[[Task, JobEnd], None],
    ) -> None:
        """`states` and `running` are those of the scheduler.

        `end` records how a job has ended; `finish` does too, and sees what that means for others.
        """
        self.signals = 0
        """How often the user asked for an end."""
        self.error = ""
        """What ended the run early, other than the user."""
        self.gave_up = False
        """Whether a task could not be ended: something of it may be left in the backend."""
        self._plan = plan
        self._shared = shared
        self._emit = emit
        self._states = states
        self._running = running
        self._end = end
        self._finish = finish
        self._deadline = math.inf if plan.timeout is None else time.monotonic() + plan.timeout
        """When the run has taken too long."""
        self._cleanup_deadline = math.inf
        """When a run that was stopped has taken too long to clean up."""

    @property
    def is_stopping(self) -> bool:
        """Whether the whole run is ending early."""
        return self.signals > 0 or bool(self.error)

    @property
    def due(self) -> float:
        """When `press_the_late` has something to do, by the monotonic clock; infinite if never."""
        return min(self._deadline, self._cleanup_deadline, *(each.deadline for each in self._running.values()))

    def stop_everything(self) -> None:
        """Each signal presses harder than the one before. What cleans up has some time, until the second."""
        self.signals += 1
        spared = self.signals == 1 and not self.error
        for running in list(self._running.values()):
            if spared and running.task.condition.is_cleanup:
                continue
            running.ending = running.ending or ("cancelled", STOPPED)
            self._press(running, max(running.pressure, min(self.signals, GIVEN_UP)))
            if self.signals == 1:
                self._emit(JobNote(job=running.task.id, message="asked to end; another Ctrl-C kills it"))
        self._end_waiting(JobEnd("cancelled", error=STOPPED), but_cleanup=spared)

    def fail_fast(self, task: Task) -> None:
        """End what the failure of a member of a matrix ends: the other members."""
        if task.member is None or not task.fails_fast:
            return
        error = f"`{task.id}` failed, and its matrix is fail-fast"
        for running in list(self._running.values()):
            if running.ending is None and running.is_member_of(task.member.job):
                running.ending = ("cancelled", error)
                self._press(running, ASKED)
        for other in self._plan.tasks:
            if other.member and other.member.job == task.member.job and self._states[other.id] == "waiting":
                self._end(other, JobEnd("skipped", error=error))

    def press_the_late(self) -> None:
        """Press those whose time is over."""
        if self._deadline <= time.monotonic():
            self._time_out()
        if self._cleanup_deadline <= time.monotonic():
            self._end_cleanup(f"it was not done {CLEANUP:g} s after the run was stopped")
        for running in list(self._running.values()):
            if running.deadline <= time.monotonic():
                if running.ending is None:
                    running.timed_out = True
                    running.ending = ("failed", f"timed out after {running.task.timeout:g} s")
                self._press(running, running.pressure + 1)

    def started(self, running: Running) -> None:
        """The process of a task runs: its time begins, unless it was told to end before."""
        if running.pressure:
            self._send_stop(running)
        elif running.task.timeout is not None:
            running.deadline = running.started + running.task.timeout

    def kill_all(self) -> None:
        """Leave no process behind, without touching the history or the report, which may be what is broken."""
        for running in self._running.values():
            running.worker.told_to_end.set()
            running.pressure = KILLED
            self._send_stop(running)
        deadline = time.monotonic() + PATIENCE
        while self._running:
            try:
                message = self._shared.mailbox.receive(max(0.0, deadline - time.monotonic()))
            except Empty:
                self.gave_up = True
                return
            match message:
                case Started() if message.job in self._running:
                    self._running[message.job].handle = message.handle
                    self._send_stop(self._running[message.job])
                case Ended() if message.job in self._running:
                    self._running.pop(message.job).worker.join(max(0.0, deadline - time.monotonic()))

    def _time_out(self) -> None:
        """The whole run has taken too long: nothing more starts but what cleans up, and what runs is asked to end."""
        self.error = f"the workflow timed out after {self._plan.timeout:g} s"
        for running in list(self._running.values()):
            if running.ending is None and not running.task.condition.is_cleanup:
                running.ending = ("failed", self.error)
                self._press(running, ASKED)
        self._end_waiting(JobEnd("skipped", error=self.error), but_cleanup=True)

    def _end_cleanup(self, error: str) -> None:
        """Cleaning up after a stopped run takes too long."""
        for running in list(self._running.values()):
            if running.ending is None:
                running.ending = ("failed", error)
                self._press(running, ASKED)
        self._end_waiting(JobEnd("skipped", error=error), but_cleanup=False)

    def _end_waiting(self, end: JobEnd, *, but_cleanup: bool) -> None:
        self._deadline = math.inf
        self._cleanup_deadline = time.monotonic() + CLEANUP if but_cleanup else math.inf
        for task in self._plan.tasks:
            if self._states[task.id] == "waiting" and not (but_cleanup and task.condition.is_cleanup):
                self._end(task, end)

    def _press(self, running: Running, pressure: int) -> None:
        running.worker.told_to_end.set()
        running.pressure = pressure
        if pressure >= GIVEN_UP:
            self._give_up(running)
            return
        running.deadline = time.monotonic() + (GRACE if pressure == ASKED else PATIENCE)
        self._send_stop(running)

    def _send_stop(self, running: Running) -> None:
        if running.handle is None:
            return
        try:
            self._shared.backend.stop(running.handle, kill=running.pressure >= KILLED)
        except Exception as error:  # noqa: BLE001 -- the deadline goes on to the next means
            message = self._shared.clean(f"could not be stopped: {error}")
            self._emit(JobNote(job=running.task.id, message=message))

    def _give_up(self, running: Running) -> None:
        self.gave_up = True
        state, error = running.ending or ("failed", "")
        seconds = time.monotonic() - running.started if running.handle is not None else 0.0
        self._finish(running.task, JobEnd(state, seconds, error=f"{error}; it did not end when it was killed"))
