"""Whether a job whose needs have all come to their end runs; if not, the sentence that says why."""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from wf.errors import TaskFailed
from wf.events import JobState
from wf.plan import Comparison, Condition, JobMetric, JobResult, Scalar, Task, Text, UpstreamOutput

UNSUCCESSFUL: Final[Mapping[JobState, str]] = {
    "failed": "failed",
    "skipped": "was skipped",
    "cancelled": "was stopped",
}
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def unmet_need(task: Task, states: Mapping[str, JobState]) -> str:
    """Why a task that runs after success only cannot run, as soon as that is certain; else nothing."""
    if task.condition.after != "success":
        return ""
    unmet = next((need for need in task.needs if states[need] in UNSUCCESSFUL), None)
    return f"it needs `{unmet}`, which {UNSUCCESSFUL[states[unmet]]}" if unmet is not None else ""


def why_not(
    condition: Condition,
    states: Mapping[str, JobState],
    before: Iterable[str],
    output: Callable[[UpstreamOutput], str | None],
    metric: Callable[[JobMetric], float | None],
) -> str:
    """Why a task does not run, although what it needs has ended as it must; nothing if it runs.

    Args:
        condition: of the task.
        states: of all jobs.
        before: the jobs that the task waits for, directly or through others.
        output: gives the text of an output, if there is one.
        metric: gives a figure, if there is one.

    Raises:
        TaskFailed: it cannot be decided.
    """
    if condition.after == "failure" and not any(states[job] == "failed" for job in before):
        return "`failure()`: no job before it failed"
    if condition.comparison is None:
        return ""
    found = _find(condition.comparison, states, output, metric)
    if _holds(found, condition.comparison):
        return ""
    return f"`{condition.text}` does not hold: it is `{found}`"


def _find(
    comparison: Comparison,
    states: Mapping[str, JobState],
    output: Callable[[UpstreamOutput], str | None],
    metric: Callable[[JobMetric], float | None],
) -> Scalar:
    match comparison.subject:
        case Text(value):
            return value
        case JobResult(job):
            return states[job]
        case UpstreamOutput():
            text = output(comparison.subject)
            if text is None:
                written = comparison.subject
                raise TaskFailed(f"its condition cannot be decided: `{written.job}` did not write `{written.output}`")
            return text.strip()
        case JobMetric(job, name):
            figure = metric(comparison.subject)
            if figure is None:
                raise TaskFailed(f"its condition cannot be decided: `{job}` recorded no metric `{name}`")
            return figure


def _holds(found: Scalar, comparison: Comparison) -> bool:
    from wf.source import scalar

    value = comparison.value
    seen = scalar(found) if isinstance(found, str) and not isinstance(value, str) else found
    if comparison.operator in ("==", "!="):
        equal = (type(seen) is type(value) and seen == value) or (
            _is_number(seen) and _is_number(value) and seen == value
        )
        return equal == (comparison.operator == "==")
    if not isinstance(seen, int | float) or isinstance(seen, bool):
        raise TaskFailed(f"its condition cannot be decided: `{str(found)[:80]}` is not a number")
    assert isinstance(value, int | float), "the compiler lets only numbers be ordered"
    return _OPERATORS[comparison.operator](seen, value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
