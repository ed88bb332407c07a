"""Runs that somebody looks for."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import PurePath

from msgspec import Struct

from wf.events import RunState, as_text
from wf.store.database import Connection, Row

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
"""Longer ones first, as that is how they are told apart."""


class MetricCondition(Struct, frozen=True):
    """What a metric of a run must be."""

    name: str
    """`NAME`, or `JOB.NAME` where several jobs record one of that name."""
    comparison: str = ""
    """A key of `COMPARISONS`; without one the run needs only have the metric."""
    value: float = 0.0


class RunFilter(Struct, frozen=True):
    """What is true of the runs that are looked for."""

    workflow: str = ""
    """Its path, or only its file's name, with or without its ending."""
    states: frozenset[RunState] = frozenset()
    since: datetime | None = None
    metrics: Sequence[MetricCondition] = ()


def find_runs(connection: Connection, wanted: RunFilter) -> list[Row]:
    """The rows of the runs for which all is true, newest first."""
    since = as_text(wanted.since) if wanted.since else ""
    rows = connection.execute("SELECT * FROM runs WHERE started >= ? ORDER BY id DESC", (since,)).fetchall()
    rows = [row for row in rows if not wanted.states or row["state"] in wanted.states]
    rows = [row for row in rows if not wanted.workflow or _is_named(row["workflow"], wanted.workflow)]
    for condition in wanted.metrics:
        values = metric_of_runs(connection, condition.name)
        rows = [row for row in rows if row["id"] in values and _holds(condition, values[row["id"]])]
    return rows


def metric_of_runs(connection: Connection, name: str) -> dict[int, float]:
    """Run -> the value of a metric, given as `NAME` or `JOB.NAME`. Of several jobs that record it, the last counts."""
    rows = connection.execute(
        "SELECT m.run, value FROM metrics AS m JOIN jobs ON (jobs.run, jobs.name) = (m.run, m.job) "
        "WHERE ? IN (m.name, m.job || '.' || m.name) ORDER BY m.run, position",
        (name,),
    )
    return {row["run"]: row["value"] for row in rows}


def _is_named(path: str, wanted: str) -> bool:
    known = PurePath(path)
    return wanted in {path, known.name, known.stem}


def _holds(condition: MetricCondition, value: float) -> bool:
    return not condition.comparison or COMPARISONS[condition.comparison](value, condition.value)
