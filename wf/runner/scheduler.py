"""The loop: start what is ready while there is room, wait for a message, act on it, until nothing runs.

A job starts the moment its own needs have ended as it asks; there are no levels.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from queue import Empty

from wf.backends.base import Handle
from wf.cache import CacheKey
from wf.errors import TaskFailed
from wf.events import AttemptFailed, Emit, JobFinished, JobLog, JobNote, JobStarted, JobState, RunState
from wf.graph import ancestors
from wf.logs import without_controls
from wf.plan import (
    INDEX,
    Cause,
    DatasetRef,
    GatheredOutput,
    InputSource,
    JobMetric,
    Plan,
    SharedVolume,
    Task,
    Text,
    UpstreamOutput,
)
from wf.runner.conditions import unmet_need, why_not
from wf.runner.gather import index_text
from wf.runner.queue import Queue
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
from wf.store.claims import Claim, Holder, Taken
from wf.store.history import JobEnd, recorded_name
from wf.store.layout import in_use
from wf.store.records import DatasetVersion, InputRecord
from wf.store.resume import TakenOver

GRACE = 5.0
"""Seconds between asking a task to end and killing it."""

CLEANUP = 60.0
"""Seconds that jobs which run whatever happens have after the run was stopped."""

POLL = 0.05
"""Seconds between looking whether the job that this one waits for is done elsewhere."""

STOPPED = "stopped by the user"

_ASKED, _KILLED, _GIVEN_UP = 1, 2, 3


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A task whose inputs are there."""

    task: Task
    given: Mapping[str, Given]
    inputs: tuple[InputRecord, ...]
    key: CacheKey


@dataclass(eq=False)
class _Running:
    """A task under way."""

    task: Task
    worker: Worker
    key: CacheKey
    inputs: tuple[InputRecord, ...]
    decision: Decision
    claim: Claim | None
    handle: Handle | None = None
    """`None` until its process runs."""
    started: float = 0.0
    deadline: float = math.inf
    """When it is pressed harder to end."""
    pressure: int = 0
    """How hard it was told to end: 0 for not at all."""
    ending: tuple[JobState, str] | None = None
    """How it counts once it has ended, because it was told to."""
    attempt: int = 1
    timed_out: bool = False


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
        taken_over: Sequence[TakenOver] = (),
    ) -> None:
        self.states: dict[str, JobState] = {task.id: "waiting" for task in plan.tasks}
        self.states |= {job.job: "succeeded" for job in taken_over}
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
        self._needs = {task.id: task.needs for task in plan.tasks}
        self._queue = Queue(plan)
        self._attempts: dict[str, int] = {}
        """How often jobs were tried in vain."""
        self._running: dict[str, _Running] = {}
        self._blocked: dict[str, _Prepared] = {}
        """Those whose job another run, or another job of this one, is carrying out."""
        self._taken_over = taken_over
        self._digests = {(job.job, name): each.digest for job in taken_over for name, each in job.outputs.items()}
        self._metrics = {(job.job, name): value for job in taken_over for name, value in job.metrics.items()}
        self._cleaning: list[Worker] = []
        self._signals = 0
        self._deadline = math.inf
        """When the run has taken too long."""
        self._cleanup_deadline = math.inf
        """When a run that was stopped has taken too long to clean up."""
        self.error = ""
        """What ended the run early, other than the user."""

    def run(self) -> RunState:
        """Run until every job has come to its end."""
        if self._plan.timeout is not None:
            self._deadline = time.monotonic() + self._plan.timeout
        for job in self._taken_over:
            self._emit(JobFinished(job=job.job, state="succeeded", seconds=0.0, cached_from=job.origin))
            self._queue.end(self._plan.task(job.job))
        try:
            while self._queue or self._running:
                while len(self._running) < self._jobs and (task := self._queue.next(self._has_room)):
                    self._consider(task)
                if self._queue or self._running:
                    self._wait()
        finally:
            if self._running:  # only a bug in wf, or a history that cannot be written, leads here
                self._kill_all()
        self._await_cleaning()
        ends = set(self.states.values())
        if self._signals and "cancelled" in ends:
            return "cancelled"
        return "failed" if "failed" in ends or self.error else "succeeded"

    def interrupt(self) -> None:
        """End the run early: once politely, twice at once. May be called from a signal handler."""
        self._shared.mailbox.interrupt()

    def _has_room(self, task: Task) -> bool:
        if task.member is None or task.member.max_parallel is None:
            return True
        return len(self._running_members(task.member.job)) < task.member.max_parallel

    def _running_members(self, job: str) -> list[_Running]:
        return [each for each in self._running.values() if each.task.member and each.task.member.job == job]

    def _consider(self, task: Task) -> None:
        """Start a job whose needs have all ended, unless its condition says no."""
        if prepared := self._blocked.get(task.id):
            self._carry_out(prepared)
            return
        try:
            before = ancestors(self._needs, task.id)
            reason = why_not(task.condition, self.states, before, self._text, self._metric)
        except TaskFailed as problem:
            self._finish(task, JobEnd("failed", error=str(problem)))
            return
        missing = [each.name for each in task.inputs if not self._is_there(each.source)]
        if reason or (missing and task.model):
            self._finish(task, JobEnd("skipped", error=reason or "the model to register was not made"))
            return
        for name in missing:
            self._emit(JobNote(job=task.id, message=f"its input `{name}` is left out: nobody made it"))
        self._start(task, {each.name: self._input(each.source) for each in task.inputs if each.name not in missing})

    def _text(self, output: UpstreamOutput) -> str:
        return self._output(output.job, output.output).path.read_text(encoding="utf-8", errors="replace")

    def _metric(self, metric: JobMetric) -> float | None:
        return self._metrics.get((metric.job, metric.name))

    def _start(self, task: Task, inputs: Mapping[str, Given]) -> None:
        records = tuple(record for name, given in inputs.items() for record in _records(name, given))
        key = make_key(
            task,
            {each.name: each.digest for each in records},
            image=self._shared.backend.image_digest(task) if task.image else "",
            secrets=self._shared.secrets,
            code=self._shared.code,
            digest_of=self._store.digest_of,
        )
        prepared = _Prepared(task, inputs, records, key)
        if not self._is_done_before(prepared):
            self._carry_out(prepared)

    def _is_done_before(self, prepared: _Prepared) -> bool:
        """Whether an earlier execution stands for the task, whose end is then recorded."""
        task = prepared.task
        if not self._reuse.may_stand_in(task):
            return False
        with in_use(self._shared.layout.artifacts):  # what stands for its outputs stays until that is recorded
            earlier = self._store.earlier(prepared.key)
            if earlier is None:
                return False
            self._store.history.start_job(self._shared.run, task.id, prepared.key, prepared.inputs)
            outputs = [(output, earlier.outputs[output.name]) for output in task.outputs]
            self._succeed(task, JobEnd("succeeded", 0.0, 0, "", outputs, earlier.metrics, earlier.run))
            return True

    def _carry_out(self, prepared: _Prepared) -> None:
        """Start the task, unless somebody does the same at this moment: then it waits for what comes of that."""
        task, key = prepared.task, prepared.key
        claim = self._store.claims.take(self._claim_name(prepared)) if task.image is not None else None
        if isinstance(claim, Taken):
            if task.id not in self._blocked:
                self._emit(JobNote(job=task.id, message=self._waits_for(claim.holder)))
            self._blocked[task.id] = prepared
            self._queue.pause(task, POLL)
            return
        self._blocked.pop(task.id, None)
        if self._is_done_before(prepared):  # in the moment before the claim was free
            if claim is not None:
                claim.give_back()
            return
        if claim is not None and claim.left_by is None:
            claim.name(Holder(self._shared.run, task.id))
        decision = decide(task, key, self._reuse, self._store, self._workflow, self._shared.run)
        attempt = self._attempts.get(task.id, 0) + 1
        worker = Worker(self._shared, task, prepared.given, key, attempt, claim)
        self._running[task.id] = _Running(task, worker, key, prepared.inputs, decision, claim, attempt=attempt)
        self.states[task.id] = "running"
        worker.start()

    def _claim_name(self, prepared: _Prepared) -> str:
        """What the same job is called in every run; for one that runs in any case, in this one and those it resumes."""
        task, digest = prepared.task, prepared.key.digest
        if self._reuse.may_stand_in(task) and task.outputs:
            return digest
        return f"{digest}-{self._store.history.first_attempt(self._shared.run)}-{self._plan.tasks.index(task)}"

    def _waits_for(self, holder: Holder | None) -> str:
        if holder is None:
            return "waiting for another run, which does the same job"
        if holder.run == self._shared.run:
            return f"waiting for `{holder.job}`, which is the same job"
        return f"waiting for run {holder.run}, which does the same job"

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
            case SharedVolume(name):
                folder = self._shared.layout.volume(self._shared.run, name)
                folder.mkdir(parents=True, exist_ok=True)
                return StoredInput(f"volume {name}", text_digest(""), folder)
            case UpstreamOutput(job, output):
                return self._output(job, output)
            case GatheredOutput(_, output, members):
                made = replace(source, members=tuple(each for each in members if (each[0], output) in self._digests))
                parts = {entry: self._output(job, output) for job, entry in made.members}
                return GatheredInput(parts, index_text(made, self._plan))

    def _is_there(self, source: InputSource) -> bool:
        """Whether the jobs that write it have: what runs after a failure may find less than it asks for."""
        match source:
            case UpstreamOutput(job, output):
                return (job, output) in self._digests
            case GatheredOutput(_, output, members):
                return any((job, output) in self._digests for job, _ in members)
            case _:
                return True

    def _output(self, job: str, output: str) -> StoredInput:
        digest = self._digests[job, output]
        return StoredInput(f"{job}.outputs.{output}", digest, self._store.artifacts.path(digest))

    def _wait(self) -> None:
        ends = (each.deadline for each in self._running.values())
        deadline = min(self._deadline, self._cleanup_deadline, self._queue.due, *ends)
        with contextlib.suppress(Empty):
            rest = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
            self._handle(self._shared.mailbox.receive(rest))
        if deadline > time.monotonic():
            return
        if self._deadline <= time.monotonic():
            self._time_out()
        if self._cleanup_deadline <= time.monotonic():
            self._end_cleanup(f"it was not done {CLEANUP:g} s after the run was stopped")
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
        self._emit(
            JobStarted(
                job=message.job,
                reason=decision.reason if decision.is_news and running.attempt == 1 else "",
                attempt=running.attempt,
                attempts=running.task.retry.attempts,
            )
        )
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
            end = JobEnd(state, seconds, exit_code, self._clean(error))
            is_oom = message.exit is not None and message.exit.out_of_memory
            cause: Cause = "timeout" if running.timed_out else "oom" if is_oom else "error"
            if state == "failed" and self._may_try_again(running, cause):
                self._try_again(running, end)
            else:
                self._finish(running.task, end)

    @property
    def _is_stopping(self) -> bool:
        return self._signals > 0 or bool(self.error)

    def _may_try_again(self, running: _Running, cause: Cause) -> bool:
        retry = running.task.retry
        return running.attempt < retry.attempts and cause in retry.on and not self._is_stopping

    def _try_again(self, running: _Running, end: JobEnd) -> None:
        """Record a failed attempt, and put the job back for another one."""
        task, attempt = running.task, running.attempt
        running.worker.join(PATIENCE)  # its folder is the next attempt's
        del self._running[task.id]
        self._attempts[task.id] = attempt
        self.states[task.id] = "waiting"
        pause = task.retry.pause(attempt)
        self._store.history.fail_attempt(self._shared.run, task.id, attempt, end)
        running.worker.recorded.set()
        if running.claim is not None:
            running.claim.give_back()
        self._emit(
            AttemptFailed(
                job=task.id,
                attempt=attempt,
                attempts=task.retry.attempts,
                seconds=end.seconds,
                exit_code=end.exit_code,
                error=end.error,
                pause=pause,
            )
        )
        self._queue.pause(task, pause)

    def _succeed(self, task: Task, end: JobEnd) -> None:
        for output, artifact in end.outputs:
            self._digests[task.id, output.name] = artifact.digest
        self._metrics |= {(task.id, name): value for name, value in end.metrics.items()}
        self._finish(task, end)

    def _finish(self, task: Task, end: JobEnd) -> None:
        """A job has come to its end: record it, and see what that means for others."""
        self._end(task, end)
        if self._is_stopping or end.state == "succeeded":
            return
        if end.state == "failed":
            self._fail_fast(task)
        for other in self._plan.tasks:  # in an order in which what is skipped first is needed by what follows
            if self.states[other.id] == "waiting" and (reason := unmet_need(other, self.states)):
                self._end(other, JobEnd("skipped", error=reason))

    def _end(self, task: Task, end: JobEnd) -> None:
        running = self._running.pop(task.id, None)
        self.states[task.id] = end.state
        self._store.history.finish_job(self._shared.run, task.id, end)
        if running is not None:
            running.worker.recorded.set()
            if running.claim is not None:
                running.claim.let_go() if running.pressure >= _GIVEN_UP else running.claim.give_back()
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
        self._queue.end(task)

    def _fail_fast(self, task: Task) -> None:
        """End what the failure of a member of a matrix ends: the other members."""
        if task.member is None or not task.member.fail_fast:
            return
        error = f"`{task.id}` failed, and its matrix is fail-fast"
        for running in self._running_members(task.member.job):
            if running.ending is None:
                running.ending = ("cancelled", error)
                self._press(running, _ASKED)
        for other in self._plan.tasks:
            if other.member and other.member.job == task.member.job and self.states[other.id] == "waiting":
                self._end(other, JobEnd("skipped", error=error))

    # Ending tasks early

    def _stop_everything(self) -> None:
        """Each signal presses harder than the one before. What cleans up has some time, until the second."""
        self._signals += 1
        spared = self._signals == 1 and not self.error
        for running in list(self._running.values()):
            if spared and running.task.condition.is_cleanup:
                continue
            running.ending = running.ending or ("cancelled", STOPPED)
            self._press(running, max(running.pressure, min(self._signals, _GIVEN_UP)))
            if self._signals == 1:
                self._emit(JobNote(job=running.task.id, message="asked to end; another Ctrl-C kills it"))
        self._end_waiting(JobEnd("cancelled", error=STOPPED), but_cleanup=spared)

    def _time_out(self) -> None:
        """The whole run has taken too long: nothing more starts but what cleans up, and what runs is asked to end."""
        self._deadline = math.inf
        self.error = f"the workflow timed out after {self._plan.timeout:g} s"
        for running in list(self._running.values()):
            if running.ending is None and not running.task.condition.is_cleanup:
                running.ending = ("failed", self.error)
                self._press(running, _ASKED)
        self._end_waiting(JobEnd("skipped", error=self.error), but_cleanup=True)

    def _end_waiting(self, end: JobEnd, *, but_cleanup: bool) -> None:
        self._deadline = math.inf
        self._cleanup_deadline = time.monotonic() + CLEANUP if but_cleanup else math.inf
        for task in self._plan.tasks:
            if self.states[task.id] == "waiting" and not (but_cleanup and task.condition.is_cleanup):
                self._end(task, end)

    def _end_cleanup(self, error: str) -> None:
        """Cleaning up after a stopped run takes too long."""
        self._cleanup_deadline = math.inf
        for running in list(self._running.values()):
            if running.ending is None:
                running.ending = ("failed", error)
                self._press(running, _ASKED)
        self._end_waiting(JobEnd("skipped", error=error), but_cleanup=False)

    def _press_the_late(self) -> None:
        for running in list(self._running.values()):
            if running.deadline <= time.monotonic():
                if running.ending is None:
                    running.timed_out = True
                    running.ending = ("failed", f"timed out after {running.task.timeout:g} s")
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
        return self._shared.masker.mask(without_controls(text).replace("\r", " "))


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
