"""The loop: start what is ready while there is room, wait for a message, act on it, until nothing runs.

A job starts the moment its own needs have succeeded; there are no levels.
"""

import contextlib
import heapq
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from queue import Empty
from typing import Final

from wf.backends.base import Handle
from wf.cache import CacheKey
from wf.events import Emit, JobFinished, JobLog, JobNote, JobStarted, JobState, RunState
from wf.logs import without_controls
from wf.plan import INDEX, DatasetRef, GatheredOutput, InputSource, Plan, Task, Text, UpstreamOutput
from wf.runner.gather import index_text
from wf.runner.reuse import Decision, Reuse, decide, make_key
from wf.runner.worker import (
    PATIENCE,
    Ended,
    GatheredInput,
    Given,
    Lines,
    Message,
    Note,
    Shared,
    Started,
    StoredInput,
    Worker,
)
from wf.store import Store
from wf.store.artifacts import text_digest
from wf.store.history import JobEnd, recorded_name
from wf.store.layout import in_use
from wf.store.records import DatasetVersion, InputRecord

GRACE = 5.0
"""Seconds between asking a task to end and killing it."""

STOPPED = "stopped by the user"

_UNSUCCESSFUL: Final[Mapping[JobState, str]] = {
    "failed": "failed",
    "skipped": "was skipped",
    "cancelled": "was stopped",
}

_ASKED, _KILLED, _GIVEN_UP = 1, 2, 3


@dataclass(eq=False)
class _Running:
    """A task under way."""

    task: Task
    worker: Worker
    key: CacheKey
    inputs: tuple[InputRecord, ...]
    decision: Decision
    handle: Handle | None = None
    """`None` until its process runs."""
    started: float = 0.0
    deadline: float = math.inf
    """When it is pressed harder to end."""
    pressure: int = 0
    """How hard it was told to end: 0 for not at all."""
    ending: tuple[JobState, str] | None = None
    """How it counts once it has ended, because it was told to."""


class Scheduler:
    """One run's jobs, from ready to ended."""

    def __init__(
        self,
        plan: Plan,
        *,
        datasets: Mapping[str, DatasetVersion],
        shared: Shared,
        store: Store,
        emit: Emit,
        jobs: int,
        reuse: Reuse,
    ) -> None:
        self.states: dict[str, JobState] = {task.id: "waiting" for task in plan.tasks}
        self.gave_up = False
        """Whether a task could not be ended: something of it may be left in the backend."""
        self._plan = plan
        self._workflow = recorded_name(plan)
        self._datasets = datasets
        self._shared = shared
        self._store = store
        self._emit = emit
        self._jobs = jobs
        self._reuse = reuse
        self._position = {task.id: position for position, task in enumerate(plan.tasks)}
        self._sorter = TopologicalSorter({task.id: task.needs for task in plan.tasks})
        self._ready: list[int] = []
        self._running: dict[str, _Running] = {}
        self._digests: dict[tuple[str, str], str] = {}
        self._cleaning: list[Worker] = []
        self._signals = 0
        self._deadline = math.inf
        self.error = ""
        """What ended the run early, other than the user."""

    def run(self) -> RunState:
        """Run until every job has come to its end."""
        if self._plan.timeout is not None:
            self._deadline = time.monotonic() + self._plan.timeout
        self._sorter.prepare()
        self._release()
        try:
            while self._ready or self._running:
                while len(self._running) < self._jobs and (task := self._next()):
                    self._start(task)
                if self._running:
                    self._wait()
        finally:
            if self._running:  # only a bug in wf, or a history that cannot be written, leads here
                self._kill_all()
        self._await_cleaning()
        ends = set(self.states.values())
        if self._signals and "cancelled" in ends:
            return "cancelled"
        return "failed" if ends & {"failed", "skipped"} else "succeeded"

    def interrupt(self) -> None:
        """End the run early: once politely, twice at once. May be called from a signal handler."""
        self._shared.mailbox.interrupt()

    def _release(self) -> None:
        for job in self._sorter.get_ready():
            heapq.heappush(self._ready, self._position[job])

    def _next(self) -> Task | None:
        """The first task that is ready, and whose matrix lets it start now."""
        full = []
        found = None
        while self._ready and found is None:
            position = heapq.heappop(self._ready)
            task = self._plan.tasks[position]
            if self._has_room(task):
                found = task
            else:
                full.append(position)
        for position in full:
            heapq.heappush(self._ready, position)
        return found

    def _has_room(self, task: Task) -> bool:
        if task.member is None or task.member.max_parallel is None:
            return True
        return len(self._running_members(task.member.job)) < task.member.max_parallel

    def _running_members(self, job: str) -> list[_Running]:
        return [each for each in self._running.values() if each.task.member and each.task.member.job == job]

    def _start(self, task: Task) -> None:
        inputs = {each.name: self._input(each.source) for each in task.inputs}
        records = tuple(record for name, given in inputs.items() for record in _records(name, given))
        key = make_key(
            task,
            {each.name: each.digest for each in records},
            image=self._shared.backend.image_digest(task) if task.image else "",
            secrets=self._shared.secrets,
            code=self._shared.code,
        )
        with in_use(self._shared.layout.artifacts):  # what stands for its outputs stays until that is recorded
            decision = decide(task, key, self._reuse, self._store, self._workflow, self._shared.run)
            if earlier := decision.earlier:
                self._store.history.start_job(self._shared.run, task.id, key, records)
                outputs = [(output, earlier.outputs[output.name]) for output in task.outputs]
                self._succeed(task, JobEnd("succeeded", 0.0, 0, "", outputs, earlier.metrics, earlier.run))
                return
        worker = Worker(self._shared, task, inputs, key)
        self._running[task.id] = _Running(task, worker, key, records, decision)
        self.states[task.id] = "running"
        worker.start()

    def _await_cleaning(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for worker in self._cleaning:
            worker.join(max(0.0, deadline - time.monotonic()))
            self.gave_up |= worker.left_traces
        with contextlib.suppress(Empty):
            while True:
                self._handle(self._shared.mailbox.receive(0))

    def _input(self, source: InputSource) -> Given:
        match source:
            case Text(value):
                return value
            case DatasetRef(ref):
                version = self._datasets[ref]
                return StoredInput(version.ref, version.digest, self._store.artifacts.path(version.digest))
            case UpstreamOutput(job, output):
                return self._output(job, output)
            case GatheredOutput(_, output, members):
                parts = {entry: self._output(job, output) for job, entry in members}
                return GatheredInput(parts, index_text(source, self._plan))

    def _output(self, job: str, output: str) -> StoredInput:
        digest = self._digests[job, output]
        return StoredInput(f"{job}.outputs.{output}", digest, self._store.artifacts.path(digest))

    def _wait(self) -> None:
        deadline = min(self._deadline, *(each.deadline for each in self._running.values()))
        with contextlib.suppress(Empty):
            rest = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
            self._handle(self._shared.mailbox.receive(rest))
        if self._deadline <= time.monotonic():
            self._time_out()
        if deadline <= time.monotonic():
            self._press_the_late()

    def _handle(self, message: Message | None) -> None:
        if message is None:
            self._stop_everything()
            return
        running = self._running.get(message.job)
        match message:
            case Note():
                self._emit(JobNote(job=message.job, message=self._clean(message.message)))
            case _ if running is None:
                pass  # it was given up
            case Started():
                self._started(running, message)
            case Lines():
                self._emit(JobLog(job=message.job, lines=tuple(message.lines)))
            case Ended():
                self._ended(running, message)

    def _started(self, running: _Running, message: Started) -> None:
        running.handle = message.handle
        running.started = message.at
        decision = running.decision
        self._store.history.start_job(self._shared.run, message.job, running.key, running.inputs, decision.reason)
        self._emit(JobStarted(job=message.job, reason=decision.reason if decision.is_news else ""))
        if running.pressure:
            self._send_stop(running)  # it was told to end before it ran
        elif running.task.timeout is not None:
            running.deadline = running.started + running.task.timeout

    def _ended(self, running: _Running, message: Ended) -> None:
        self._cleaning.append(running.worker)
        seconds = message.at - running.started if running.handle is not None else 0.0
        exit_code = message.exit.code if message.exit is not None else None
        if message.collected is not None:
            metrics = {self._clean(name): value for name, value in message.collected.metrics.items()}
            left = message.collected
            end = JobEnd("succeeded", seconds, exit_code, "", left.outputs, metrics, model=left.model)
            self._succeed(running.task, end)
        else:
            state, error = running.ending or ("failed", message.error)
            self._finish(running.task, JobEnd(state, seconds, exit_code, self._clean(error)))

    def _succeed(self, task: Task, end: JobEnd) -> None:
        for output, artifact in end.outputs:
            self._digests[task.id, output.name] = artifact.digest
        self._finish(task, end)

    def _finish(self, task: Task, end: JobEnd) -> None:
        """A job has come to its end: record it, and let those that need it start, or not."""
        running = self._running.pop(task.id, None)
        self.states[task.id] = end.state
        self._store.history.finish_job(self._shared.run, task.id, end)
        if running is not None:
            running.worker.recorded.set()
        self._emit(
            JobFinished(
                job=task.id,
                state=end.state,
                seconds=end.seconds,
                exit_code=end.exit_code,
                error=end.error,
                cached_from=end.cached_from,
            )
        )
        if end.state == "succeeded":
            self._sorter.done(task.id)
            if not self._signals and not self.error:
                self._release()
        elif end.state in ("failed", "cancelled") and not self._signals:
            if end.state == "failed":
                self._fail_fast(task)
            self._skip_dependents()

    def _fail_fast(self, task: Task) -> None:
        """End what the failure of a member of a matrix ends: the other members."""
        if task.member is None or not task.member.fail_fast or self._signals or self.error:
            return
        error = f"`{task.id}` failed, and its matrix is fail-fast"
        for running in self._running_members(task.member.job):
            if running.ending is None:
                running.ending = ("cancelled", error)
                self._press(running, _ASKED)
        for other in self._plan.tasks:
            if other.member and other.member.job == task.member.job and self.states[other.id] == "waiting":
                self._ready = [position for position in self._ready if self._plan.tasks[position] is not other]
                self._finish(other, JobEnd("skipped", error=error))
        heapq.heapify(self._ready)

    def _skip_dependents(self) -> None:
        for task in self._plan.tasks:  # in an order in which what is skipped first is needed by what follows
            if self.states[task.id] != "waiting":
                continue
            unmet = next((need for need in task.needs if self.states[need] in _UNSUCCESSFUL), None)
            if unmet is not None:
                was = _UNSUCCESSFUL[self.states[unmet]]
                self._finish(task, JobEnd("skipped", error=f"it needs `{unmet}`, which {was}"))

    # Ending tasks early

    def _stop_everything(self) -> None:
        """Each signal presses harder than the one before."""
        self._signals += 1
        self._ready.clear()
        for running in list(self._running.values()):
            running.ending = running.ending or ("cancelled", STOPPED)
            self._press(running, max(running.pressure, min(self._signals, _GIVEN_UP)))
            if self._signals == 1:
                self._emit(JobNote(job=running.task.id, message="asked to end; another Ctrl-C kills it"))
        for task in self._plan.tasks:
            if self.states[task.id] == "waiting":
                self._finish(task, JobEnd("cancelled", error=STOPPED))

    def _time_out(self) -> None:
        """The whole run has taken too long: nothing more starts, and what runs is asked to end."""
        self._deadline = math.inf
        self.error = f"the workflow timed out after {self._plan.timeout:g} s"
        self._ready.clear()
        for running in list(self._running.values()):
            if running.ending is None:
                running.ending = ("failed", self.error)
                self._press(running, _ASKED)
        for task in self._plan.tasks:
            if self.states[task.id] == "waiting":
                self._finish(task, JobEnd("skipped", error=self.error))

    def _press_the_late(self) -> None:
        for running in list(self._running.values()):
            if running.deadline <= time.monotonic():
                timeout = running.task.timeout
                running.ending = running.ending or ("failed", f"timed out after {timeout:g} s")
                self._press(running, running.pressure + 1)

    def _press(self, running: _Running, pressure: int) -> None:
        running.worker.told_to_end.set()
        running.pressure = pressure
        if pressure >= _GIVEN_UP:
            self._give_up(running)
            return
        running.deadline = time.monotonic() + (GRACE if pressure == _ASKED else PATIENCE)
        self._send_stop(running)

    def _send_stop(self, running: _Running) -> None:
        if running.handle is None:
            return
        try:
            self._shared.backend.stop(running.handle, kill=running.pressure >= _KILLED)
        except Exception as error:  # noqa: BLE001 -- the deadline goes on to the next means
            self._emit(JobNote(job=running.task.id, message=self._clean(f"could not be stopped: {error}")))

    def _give_up(self, running: _Running) -> None:
        self.gave_up = True
        state, error = running.ending or ("failed", "")
        seconds = time.monotonic() - running.started if running.handle is not None else 0.0
        self._finish(running.task, JobEnd(state, seconds, error=f"{error}; it did not end when it was killed"))

    def _kill_all(self) -> None:
        """Leave no process behind, without touching the history or the report, which may be what is broken."""
        for running in self._running.values():
            running.worker.told_to_end.set()
            running.pressure = _KILLED
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

    def _clean(self, text: str) -> str:
        return self._shared.masker.mask(without_controls(text))


def _records(name: str, given: Given) -> Iterator[InputRecord]:
    match given:
        case StoredInput(source, digest):
            yield InputRecord(name, source, digest)
        case GatheredInput(parts, index):
            yield InputRecord(f"{name}/{INDEX}", "", text_digest(index))
            for entry, part in parts.items():
                yield InputRecord(f"{name}/{entry}", part.source, part.digest)
        case str():
            yield InputRecord(name, "", text_digest(given))
