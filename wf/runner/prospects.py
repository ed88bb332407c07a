"""Whether a job would run at all, as far as its `if` and what it needs let that be known before anything has run."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from wf.errors import TaskFailed
from wf.graph import ancestors
from wf.plan import JobMetric, Plan, Task, Text, UpstreamOutput
from wf.runner.conditions import why_not

if TYPE_CHECKING:
    from wf.events import JobState

Verdict = Literal["runs", "perhaps", "skipped"]


class Prospect(Struct, frozen=True):
    """What is known about one job."""

    verdict: Verdict
    sentence: str = ""
    """Why it would be skipped, or on what it depends whether it is."""


RUNS: Final = Prospect("runs")


class Prospects:
    """Looks at the jobs of a plan in their order, each after all that it needs."""

    def __init__(self, plan: Plan, text: Callable[[UpstreamOutput], str]) -> None:
        self._needs = {task.id: task.needs for task in plan.tasks}
        self._text = text
        self._metrics: dict[tuple[str, str], float] = {}
        self._ends: dict[str, JobState] = {}
        """How the jobs end of which that is certain: those that are done, and those that are skipped."""
        self._doubtful: set[str] = set()
        """Jobs that may be skipped."""

    def of(self, task: Task) -> Prospect:
        """Whether a task would run."""
        found = self._look_at(task)
        if found.verdict == "skipped":
            self._ends[task.id] = "skipped"
        elif found.verdict == "perhaps":
            self._doubtful.add(task.id)
        return found

    def done(self, job: str, metrics: Mapping[str, float]) -> None:
        """Note that a job which would run is done already, with these figures."""
        if job not in self._doubtful:
            self._ends[job] = "succeeded"
            self._metrics |= {(job, name): value for name, value in metrics.items()}

    def _look_at(self, task: Task) -> Prospect:
        if task.condition.after == "success":
            if skipped := next((need for need in task.needs if self._ends.get(need) == "skipped"), None):
                return Prospect("skipped", f"it needs `{skipped}`, which is skipped")
            if doubtful := next((need for need in task.needs if need in self._doubtful), None):
                return Prospect("perhaps", f"only if `{doubtful}` runs")
        if task.condition.after == "failure":
            if all(job in self._ends for job in ancestors(self._needs, task.id)):
                return Prospect("skipped", "`failure()`: all jobs before it are done, or skipped")
            return Prospect("perhaps", "only if a job before it fails")
        if (job := self._undecided(task)) is not None:
            return Prospect("perhaps", f"only if `{task.condition.text}`, which is known after `{job}`")
        try:
            reason = why_not(task.condition, self._ends, (), self._text_of, self._metric_of)
        except TaskFailed as problem:
            return Prospect("runs", f"it fails: {problem}")
        return Prospect("skipped", reason) if reason else RUNS

    def _text_of(self, output: UpstreamOutput) -> str | None:
        return self._text(output) if self._ends[output.job] == "succeeded" else None

    def _metric_of(self, metric: JobMetric) -> float | None:
        return self._metrics.get((metric.job, metric.name))

    def _undecided(self, task: Task) -> str | None:
        """The job on whose end the task's comparison waits, if it is not known."""
        subject = task.condition.comparison.subject if task.condition.comparison else None
        if subject is None or isinstance(subject, Text) or subject.job in self._ends:
            return None
        return subject.job
