"""The loop: start what is ready while there is room, wait for a message, act on it, until nothing runs.

A job starts the moment its own needs have ended as it asks; there are no levels. While a process may end soon, the
next job is made ready, so that it starts as soon as there is room, while the outputs of the one before it are stored.
"""

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from queue import Empty
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from wf.cache import CacheKey
from wf.errors import TaskFailed
from wf.events import AttemptFailed, Emit, JobFinished, JobLog, JobNote, JobStarted, JobState, RunState
from wf.graph import ancestors
from wf.plan import Cause, Plan, Task
from wf.runner.conditions import unmet_need, why_not
from wf.runner.done import DoneBefore
from wf.runner.ending import GIVEN_UP, Ending
from wf.runner.messages import Closed, Ended, Exited, Gone, Lines, Message, Note, Started, Undone
from wf.runner.queue import Queue
from wf.runner.results import Given, Results, input_records
from wf.runner.reuse import Reuse, decide, make_key
from wf.runner.running import Running
from wf.runner.shared import PATIENCE, Shared
from wf.runner.turns import Turns
from wf.store import Store
from wf.store.claims import Holder, Taken
from wf.store.history import recorded_name
from wf.store.job_rows import JobEnd
from wf.store.records import DatasetVersion, InputRecord
from wf.store.resume import TakenOver

if TYPE_CHECKING:
    from wf.runner.worker import Worker

POLL = 0.05
"""Seconds between looking whether the job that this one waits for is done elsewhere."""

_LONGEST_WAIT = 1.0
"""Seconds after which a wait is begun anew: a signal does not end it if it came in the moment before, or if the kernel
gave it to another thread, and Python handles it between two instructions of this one."""


class _Prepared(Struct, frozen=True):
    """A task whose inputs are there."""

    task: Task
    given: Mapping[str, Given]
    inputs: tuple[InputRecord, ...]
    key: CacheKey


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
        self._plan = plan
        self._workflow = recorded_name(plan)
        self._shared = shared
        self._store = store
        self._done_before = DoneBefore(shared.run, self._workflow, store, emit)
        self._emit = self._done_before.tell
        self._reuse = reuse
        self._needs = {task.id: task.needs for task in plan.tasks}
        self._queue = Queue(plan)
        self._attempts: dict[str, int] = {}
        """How often jobs were tried in vain."""
        self._running: dict[str, Running] = {}
        self._turns = Turns(jobs, self._running)
        self._blocked: dict[str, _Prepared] = {}
        """Those whose job another run, or another job of this one, is carrying out."""
        self._left: set[str] = set()
        """Jobs of which a killed `wf` has left something."""
        self._taken_over = taken_over
        self._results = Results(plan, shared.run, store, datasets, taken_over)
        self._noted: set[tuple[str, str]] = set()
        """What was told of jobs before their turn."""
        self._cleaning: list[Worker] = []
        self.left_traces = False
        """Whether something of a task that has ended may be left in the backend."""
        self._still_clearing = False
        self._ending = Ending(plan, shared, self._emit, self.states, self._running, self._end, self._finish)

    @property
    def error(self) -> str:
        """What ended the run early, other than the user."""
        return self._ending.error

    @property
    def gave_up(self) -> bool:
        """Whether something of a task may still be at work in the backend."""
        return self._ending.gave_up or self._still_clearing

    def run(self) -> RunState:
        """Run until every job has come to its end."""
        for job in self._taken_over:
            self._emit(JobFinished(job=job.job, state="succeeded", seconds=0.0, cached_from=job.origin))
            self._queue.end(self._plan.task(job.job))
        try:
            while self._queue or self._turns or self._running:
                self._turns.withdraw_the_late()
                while running := self._turns.next():
                    self._give_turn(running)
                while self._turns.can_take_more and (task := self._queue.next(self._has_room, self._is_time)):
                    self._consider(task)
                if self._queue or self._turns or self._running:
                    self._wait()
            self._done_before.record()
        finally:
            for running in self._turns.all():
                self._discard(running.task)
            if self._running:  # only a bug in wf, or a history that cannot be written, leads here
                self._ending.kill_all()
        self._await_cleaning()
        ends = set(self.states.values())
        if self._ending.signals and "cancelled" in ends:
            return "cancelled"
        return "failed" if "failed" in ends or self.error else "succeeded"

    def interrupt(self) -> None:
        """End the run early: once politely, twice at once. May be called from a signal handler."""
        self._shared.mailbox.interrupt()

    def _has_room(self, task: Task) -> bool:
        if task.member is None or task.member.max_parallel is None:
            return True
        begun = [*self._running.values(), *self._turns.all()]
        return sum(each.is_member_of(task.member.job) for each in begun) < task.member.max_parallel

    def _is_time(self, task: Task) -> bool:
        return self._turns.is_cheap_enough(task) and (self._turns.room > 0 or task.id not in self._left)

    def _consider(self, task: Task) -> None:
        """Start a job whose needs have all ended, unless its condition says no."""
        if prepared := self._blocked.get(task.id):
            self._carry_out(prepared)
            return
        try:
            before = ancestors(self._needs, task.id)
            reason = why_not(task.condition, self.states, before, self._results.text, self._results.metric)
        except TaskFailed as problem:
            self._finish(task, JobEnd("failed", error=str(problem)))
            return
        missing = [each.name for each in task.inputs if not self._results.has(each.source)]
        if reason or (missing and task.model):
            self._finish(task, JobEnd("skipped", error=reason or "the model to register was not made"))
            return
        for name in missing:
            self._note(task.id, f"its input `{name}` is left out: nobody made it")
        self._start(
            task, {each.name: self._results.input(each.source) for each in task.inputs if each.name not in missing}
        )

    def _start(self, task: Task, inputs: Mapping[str, Given]) -> None:
        records = tuple(record for name, given in inputs.items() for record in input_records(name, given))
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
        """Whether an earlier execution stands for the task, which has then ended."""
        task = prepared.task
        if not self._reuse.may_stand_in(task):
            return False
        end = self._done_before.find(task, prepared.key, prepared.inputs)
        if end is None:
            return False
        self._results.add(task, end)
        self.states[task.id] = end.state
        self._queue.end(task)
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
        if claim is not None and claim.left_by is not None and self._turns.room <= 0:
            claim.let_go()  # what a killed `wf` has left of it is looked after once there is room
            self._left.add(task.id)
            self._queue.pause(task, 0)
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
        from wf.runner.worker import Worker  # not needed where everything is done before

        follows = self._turns.follows
        worker = Worker(self._shared, task, prepared.given, key, attempt, claim, follows.handle if follows else None)
        running = Running(task, worker, key, prepared.inputs, decision, claim, attempt=attempt, follows=follows)
        self._turns.add(running)
        if self._turns.room > 0:
            self._give_turn(running)
        worker.start()

    def _give_turn(self, running: Running) -> None:
        self._turns.give(running)
        self._running[running.task.id] = running
        self.states[running.task.id] = "running"

    def _discard(self, task: Task) -> None:
        """Let go of a job that was made ready, if it was, and is not to start."""
        if running := self._turns.discard(task.id):
            self._cleaning.append(running.worker)
            if running.claim is not None:
                running.claim.give_back()

    def _put_back(self, running: Running) -> None:
        """A job that was made ready in vain waits like any other again."""
        self._cleaning.append(running.worker)
        if running.claim is not None:
            running.claim.give_back()
        self._queue.pause(running.task, 0)

    def _note(self, job: str, text: str) -> None:
        """Tell something of a job, but not once more what was told when it was made ready in vain."""
        if (job, text) in self._noted:
            return
        if job not in self._running:
            self._noted.add((job, text))
        self._emit(JobNote(job=job, message=text))

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
            in_time = worker.join(max(0.0, deadline - time.monotonic()))
            self.left_traces |= worker.left_traces
            self._still_clearing |= not in_time
        with contextlib.suppress(Empty):
            while True:
                self._handle(self._shared.mailbox.receive(0))

    def _wait(self) -> None:
        self._done_before.record()
        queue_due = self._queue.due if self._turns.can_take_more else math.inf
        deadline = min(self._ending.due, self._turns.due, queue_due)
        with contextlib.suppress(Empty):
            rest = min(deadline - time.monotonic(), _LONGEST_WAIT)
            self._handle(self._shared.mailbox.receive(max(0.0, rest)))
        if deadline <= time.monotonic():
            self._ending.press_the_late()

    def _handle(self, message: Message | None) -> None:
        if message is None:
            self._ending.stop_everything()
            return
        if isinstance(message, Ended | Undone) and (ended := self._turns.pop(message.job)):
            if isinstance(message, Undone):
                self._put_back(ended)
            else:  # it could not be made ready
                self._running[message.job] = ended
        running = self._running.get(message.job)
        match message:
            case Note():
                self._note(message.job, self._shared.clean(message.message))
            case _ if running is None:
                pass  # it was given up
            case Started():
                self._started(running, message)
            case Closed():
                self._turns.closed(running)
            case Gone() if message.handle is not running.handle or running.task.fails_fast:
                pass  # it was started once more since, or others may not start if it failed
            case Gone() | Exited():
                self._turns.exited(running)
            case Lines():
                self._emit(JobLog(job=message.job, lines=tuple(message.lines)))
            case Ended():
                self._ended(running, message)

    def _started(self, running: Running, message: Started) -> None:
        running.handle = message.handle
        running.started = message.at
        self._turns.started(running)
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
        self._ending.started(running)

    def _ended(self, running: Running, message: Ended) -> None:
        self._cleaning.append(running.worker)
        seconds = message.at - running.started if running.handle is not None else 0.0
        exit_code = message.exit.code if message.exit is not None else None
        if message.collected is not None:
            metrics = {self._shared.clean(name): value for name, value in message.collected.metrics.items()}
            left = message.collected
            end = JobEnd("succeeded", seconds, exit_code, "", left.outputs, metrics, model=left.model)
            self._succeed(running.task, end)
        else:
            state, error = running.ending or ("failed", message.error)
            end = JobEnd(state, seconds, exit_code, self._shared.clean(error))
            is_oom = message.exit is not None and message.exit.out_of_memory
            cause: Cause = "timeout" if running.timed_out else "oom" if is_oom else "error"
            if state == "failed" and self._may_try_again(running, cause):
                self._try_again(running, end)
            else:
                self._finish(running.task, end)

    def _may_try_again(self, running: Running, cause: Cause) -> bool:
        retry = running.task.retry
        return running.attempt < retry.attempts and cause in retry.on and not self._ending.is_stopping

    def _try_again(self, running: Running, end: JobEnd) -> None:
        """Record a failed attempt, and put the job back for another one."""
        task, attempt = running.task, running.attempt
        if not running.worker.join(PATIENCE):  # its folder would be the next attempt's
            self._finish(task, replace(end, error=f"{end.error}; not tried again, as it is not cleared away yet"))
            return
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
        self._results.add(task, end)
        self._finish(task, end)

    def _finish(self, task: Task, end: JobEnd) -> None:
        """A job has come to its end: record it, and see what that means for others."""
        self._end(task, end)
        if self._ending.is_stopping or end.state == "succeeded":
            return
        if end.state == "failed":
            self._ending.fail_fast(task)
        for other in self._plan.tasks:  # in an order in which what is skipped first is needed by what follows
            if self.states[other.id] == "waiting" and (reason := unmet_need(other, self.states)):
                self._end(other, JobEnd("skipped", error=reason))

    def _end(self, task: Task, end: JobEnd) -> None:
        self._discard(task)
        running = self._running.pop(task.id, None)
        self._store.history.finish_job(self._shared.run, task.id, end)
        if running is not None:
            running.worker.recorded.set()
            if running.claim is not None:
                running.claim.let_go() if running.pressure >= GIVEN_UP else running.claim.give_back()
        self.states[task.id] = end.state
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
