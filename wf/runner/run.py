"""Runs a plan: prepares it, carries out its tasks, and records all of it.

One thread, the one that calls `run_plan`, owns all state, writes the history and emits the events. Each task is carried
out by a worker in a thread of its own, which sends messages.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from wf.backends.base import Backend
from wf.control.control import Control
from wf.errors import WfError
from wf.events import Emit, Event, JobState, Preparing, RunFinished, RunStarted, RunState
from wf.logs import Masker
from wf.plan import DatasetRef, Plan
from wf.runner.code import Code
from wf.runner.interrupts import Interrupts
from wf.runner.messages import Mailbox
from wf.runner.reuse import Reuse
from wf.runner.scheduler import Scheduler
from wf.runner.shared import Shared
from wf.secrets import Secrets
from wf.store import Store
from wf.store.history import recorded_name
from wf.store.joblog import DEFAULT_LIMIT
from wf.store.layout import in_use
from wf.store.records import DatasetVersion
from wf.store.resume import LookedUp, Settings, TakenOver, Unfinished
from wf.store.snapshot import snapshot_steps

if TYPE_CHECKING:
    from wf.control.http import Handler

_NAMED_JOBS = 5


class RunResult(Struct, frozen=True):
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
    handlers: "Iterable[Handler]" = (),
    settings: Settings = Settings(),  # noqa: B008 - it is frozen
    resumes: Unfinished | None = None,
) -> RunResult:
    """Run a plan with at most `jobs` tasks at once. What has run before with all the same is taken from the store.

    A failed job stops those that need it and nothing else. The first Ctrl-C asks all tasks to end and kills them after
    a grace period, the second kills them at once. `handlers` answer what jobs ask `wf` while they run. Of
    each job's log about `log_limit` bytes are kept.

    `settings` are recorded with the run. One that `resumes` another takes over the jobs that are finished there.

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
        with in_use(store.layout.artifacts):  # what is taken over stays until that is recorded
            taken_over = _taken_over(plan, store, resumes)
            run = store.history.begin_run(plan, backend.name, settings, resumes.id if resumes else None, taken_over)
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
                    if resumes:
                        line = _what_goes_on(plan, taken_over)
                        report.emit(Preparing(what=f"run {resumes.id}", line=line))
                    scheduler = _prepare(
                        plan,
                        run,
                        backend,
                        store,
                        secrets,
                        report.emit,
                        jobs,
                        reuse,
                        control,
                        log_limit,
                        resumes,
                        taken_over,
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
                if scheduler is not None and scheduler.left_traces and not left:
                    left = not _is_swept(backend, run)
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
    resumes: Unfinished | None,
    taken_over: Sequence[TakenOver],
) -> Scheduler:
    """Everything that has to be there before the first task starts. What can fail soonest comes first."""
    looked_up = resumes.looked_up if resumes else LookedUp()
    finished = {job.job for job in taken_over}
    left = replace(plan, tasks=tuple(task for task in plan.tasks if task.id not in finished))
    values = secrets.resolve(ref for task in left.tasks for ref in task.secrets.values())
    store.history.keep_changes(run, lambda text: Masker([*values.values(), *secrets.values()]).mask(text))
    sources = [given.source for task in left.tasks for given in task.inputs]
    datasets = _find_datasets([source.ref for source in sources if isinstance(source, DatasetRef)], looked_up, store)
    code = _find_code(looked_up, store) if any(task.is_step for task in left.tasks) else None
    versions = {ref: version.ref for ref, version in datasets.items()}
    store.history.keep_looked_up(
        run, LookedUp(code.digest if code else looked_up.code, {**looked_up.datasets, **versions})
    )
    backend.prepare(left.for_backend(), emit)
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
    return Scheduler(
        plan,
        datasets=datasets,
        shared=shared,
        store=store,
        emit=emit,
        jobs=jobs,
        reuse=reuse,
        taken_over=taken_over,
    )


def _taken_over(plan: Plan, store: Store, resumes: Unfinished | None) -> Sequence[TakenOver]:
    """What the resumed run has finished, but for jobs that ran because of how others had ended.

    Where jobs change what they share, nothing is: the changes went with that run.
    """
    if resumes is None or any(task.may_have_views and task.inputs_mode == "shared" for task in plan.tasks):
        return ()
    return [job for job in store.history.finished_jobs(resumes.id) if plan.task(job.job).condition.after == "success"]


def _what_goes_on(plan: Plan, taken_over: Sequence[TakenOver]) -> str:
    finished = [job.job for job in taken_over]
    left = [task.id for task in plan.tasks if task.id not in finished]
    return f"goes on; finished there: {_names(finished)}; left to do: {_names(left)}"


def _names(jobs: Sequence[str]) -> str:
    shown = ", ".join(f"`{job}`" for job in jobs[:_NAMED_JOBS])
    return f"{shown} and {len(jobs) - _NAMED_JOBS} more" if len(jobs) > _NAMED_JOBS else shown or "nothing"


def _find_datasets(refs: Sequence[str], looked_up: LookedUp, store: Store) -> dict[str, DatasetVersion]:
    """Each reference with the version that it names: for a run that is resumed, the one that it did name."""
    if not refs:
        return {}
    exact = {ref: looked_up.datasets.get(ref, ref) for ref in refs}
    found = store.datasets.find_all(exact.values())
    return {ref: found[exact[ref]] for ref in refs}


def _find_code(looked_up: LookedUp, store: Store) -> Code:
    """The steps as they are now; for a run that is resumed, as they were."""
    folder = store.layout.code / looked_up.code
    if looked_up.code and folder.exists():
        return Code(looked_up.code, folder)
    return Code(*snapshot_steps(store.layout))


def _is_swept(backend: Backend, run: int) -> bool:
    """Remove what an engine that was away, or refused, has kept of tasks. If it refuses again, the next `wf` tries."""
    try:
        backend.sweep([run])
    except WfError:
        return False
    return True


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
