"""Jobs that need not run, as earlier executions stand for them: found one by one, recorded many at once."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import Final

from wf.cache import CacheKey
from wf.events import Emit, Event, JobFinished
from wf.plan import Task
from wf.store import Store
from wf.store.job_rows import JobEnd, ReusedJob
from wf.store.layout import in_use
from wf.store.records import InputRecord
from wf.store.reuse import Earlier

_AT_ONCE: Final = 1000


class DoneBefore:
    """The jobs of one run that were found done since the last were recorded."""

    def __init__(self, run: int, workflow: str, store: Store, emit: Emit) -> None:
        self._run = run
        self._workflow = workflow
        self._store = store
        self._emit = emit
        self._found: list[ReusedJob] = []
        self._keeping = ExitStack()
        """Holds what stands for their outputs until that is recorded."""

    def find(self, task: Task, key: CacheKey, inputs: tuple[InputRecord, ...]) -> JobEnd | None:
        """How the task ends without running, if an earlier execution can stand for it."""
        if not self._found:
            self._keeping.enter_context(in_use(self._store.layout.artifacts))
        earlier = self._earlier(key)
        if earlier is None:
            if not self._found:
                self._keeping.close()
            return None
        outputs = [(output, earlier.outputs[output.name]) for output in task.outputs]
        end = JobEnd("succeeded", 0.0, 0, "", outputs, earlier.metrics, earlier.run)
        self._found.append(ReusedJob(task.id, key, inputs, end))
        if len(self._found) >= _AT_ONCE:
            self.record()
        return end

    def _earlier(self, key: CacheKey) -> Earlier | None:
        known = self._run_before.get(key.digest)
        return known if known and known.is_whole(key, self._store.artifacts) else self._store.earlier(key)

    @cached_property
    def _run_before(self) -> Mapping[str, Earlier]:
        """Where most jobs of a run are found, if they are."""
        return self._store.run_before(self._run, self._workflow)

    def record(self) -> None:
        """Write to the history what was found, and tell about it."""
        found, self._found = self._found, []
        if not found:
            return
        with self._keeping:
            self._store.history.reuse_jobs(self._run, found)
        for job in found:
            self._emit(
                JobFinished(job=job.job, state="succeeded", seconds=0.0, exit_code=0, cached_from=job.end.cached_from)
            )

    def tell(self, event: Event) -> None:
        """Tell about something else, after all that was found before it."""
        self.record()
        self._emit(event)
