"""Runs a plan: prepares it, carries out its tasks, and records all of it.

One thread, the one that calls `run_plan`, owns all state, writes the history and emits the events. Each task is carried
out by a worker in a thread of its own, which sends messages.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wf.backends.base import Backend
from wf.control.control import Control
from wf.control.http import Handler
from wf.errors import WfError
from wf.events import Emit, Event, JobState, RunFinished, RunStarted, RunState
from wf.logs import Masker
from wf.plan import DatasetRef, Plan
from wf.runner.interrupts import Interrupts
from wf.runner.reuse import Reuse
from wf.runner.scheduler import Scheduler
from wf.runner.worker import Code, Mailbox, Shared
from wf.secrets import Secrets
from wf.store import Store
from wf.store.history import recorded_name
from wf.store.joblog import DEFAULT_LIMIT
from wf.store.snapshot import snapshot_steps


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. Everything else about it is in the history."""

    run: int
    state: RunState
    jobs: Mapping[str, JobState]
    warnings: tuple[str, ...] = ()
    """What went wrong around the run without changing it, such as a report that broke."""


def run_plan(
    plan: Plan,
    *,
    backend: Backend,
    store: Store,
    secrets: Secrets,
    emit: Emit,
    jobs: int,
    reuse: Reuse = Reuse(),  # noqa: B008 - it is frozen
    log_limit: int = DEFAULT_LIMIT,
    backend_reason: str = "",
    handlers: Iterable[Handler] = (),
) -> RunResult:
    """Run a plan with at most `jobs` tasks at once. What has run before with all the same is taken from the store.

    A failed job stops those that need it and nothing else. The first Ctrl-C asks all tasks to end and kills them after
    a grace period, the second kills them at once. `handlers` answer what jobs ask `wf` while they run. Of
    each job's log about `log_limit` bytes are kept.

    Raises `EnvironmentProblem` if the run cannot be prepared; it is then recorded as failed, with the reason.
    """
    report = _Report(emit)
    started = time.monotonic()
    states: dict[str, JobState] = {task.id: "waiting" for task in plan.tasks}
    state: RunState = "failed"
    error = ""
    scheduler: Scheduler | None = None
    left = False
    with Interrupts() as interrupts:
        run = store.history.begin_run(plan, backend.name)
        control = Control(run, (task.id for task in plan.tasks if task.control), handlers, backend.doorway)
        try:
            report.emit(
                RunStarted(
                    run=run,
                    workflow=recorded_name(plan),
                    backend=backend.name,
                    backend_reason=backend_reason,
                    jobs=tuple(states),
                )
            )
            try:
                with interrupts.raising():
                    scheduler = _prepare(
                        plan, run, backend, store, secrets, report.emit, jobs, reuse, control, log_limit
                    )
                interrupts.on_signal = scheduler.interrupt
                if interrupts.received:
                    scheduler.interrupt()
                states = scheduler.states
                state = scheduler.run()
                error = scheduler.error
            finally:
                control.close()
                left = _tear_down(backend, report) or (scheduler is not None and scheduler.gave_up)
        except KeyboardInterrupt:
            state, states = "cancelled", dict.fromkeys(states, "cancelled")
        except WfError as problem:
            error = str(problem)
            raise
        except BaseException as bug:
            error = f"a bug in wf: {type(bug).__name__}: {bug}"
            raise
        finally:
            store.history.finish_run(run, state, error, swept=not left)
            report.emit(RunFinished(run=run, state=state, seconds=time.monotonic() - started))
    return RunResult(run, state, states, report.warnings)


def _prepare(
    plan: Plan,
    run: int,
    backend: Backend,
    store: Store,
    secrets: Secrets,
    emit: Emit,
    jobs: int,
    reuse: Reuse,
    control: Control,
    log_limit: int,
) -> Scheduler:
    """Everything that has to be there before the first task starts. What can fail soonest comes first."""
    values = secrets.resolve(ref for task in plan.tasks for ref in task.secrets.values())
    store.history.keep_changes(run, lambda text: Masker([*values.values(), *secrets.values()]).mask(text))
    sources = [given.source for task in plan.tasks for given in task.inputs]
    datasets = store.datasets.find_all(source.ref for source in sources if isinstance(source, DatasetRef))
    code = Code(*snapshot_steps(store.layout)) if any(task.is_step for task in plan.tasks) else None
    backend.prepare(plan.for_backend(), emit)
    shared = Shared(
        run=run,
        backend=backend,
        layout=store.layout,
        artifacts=store.artifacts,
        secrets=values,
        masker=Masker([*values.values(), *control.tokens.values()]),
        code=code,
        mailbox=Mailbox(),
        log_limit=log_limit,
        control=control,
    )
    return Scheduler(plan, datasets=datasets, shared=shared, store=store, emit=emit, jobs=jobs, reuse=reuse)


def _tear_down(backend: Backend, report: "_Report") -> bool:
    """Whether something may be left: that does not change how the run went, and the next `wf` tries again."""
    try:
        backend.teardown()
    except WfError as problem:
        report.warnings += (f"something of the run may be left in {backend.name}: {problem}",)
        return True
    return False


class _Report:
    """Passes events on to a listener that may break: it is then left alone, and the run goes on."""

    def __init__(self, emit: Emit) -> None:
        self._emit: Emit | None = emit
        self._lock = threading.Lock()  # a backend may prepare several things at once
        self.warnings: tuple[str, ...] = ()

    def emit(self, event: Event) -> None:
        """Tell the listener, if it still listens."""
        with self._lock:
            if self._emit is None:
                return
            try:
                self._emit(event)
            except Exception as error:  # noqa: BLE001 -- whatever a report does wrong, the run is not to blame
                self._emit = None
                self.warnings += (f"the report broke and was left out: {type(error).__name__}: {error}",)
