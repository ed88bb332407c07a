"""Two runs side by side: what went into their jobs, and what came out. Pure functions of what the history holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, to_builtins

from wf.cache import differences
from wf.report.text import columns, duration, size
from wf.store.records import JobRecord, OutputRecord, RunRecord


class Change(Struct, frozen=True):
    """A value in the first run and in the second; `None` where one has none."""

    name: str
    before: Any
    after: Any


class JobComparison(Struct, frozen=True):
    """A job that is in both runs."""

    name: str
    causes: tuple[str, ...]
    """What differs of all that its outputs depend on, a sentence each."""
    state: Change
    seconds: Change
    metrics: tuple[Change, ...]
    """All that either run has, the same ones too."""
    outputs: tuple[Change, ...]
    """Those whose content differs, as records."""

    @property
    def is_same(self) -> bool:
        """Whether it made the same of the same."""
        changed = (*self.outputs, *(each for each in (*self.metrics, self.state) if each.before != each.after))
        return not self.causes and not changed


class Comparison(Struct, frozen=True):
    """What differs between two runs."""

    before: RunRecord
    after: RunRecord
    facts: tuple[Change, ...]
    """Of the runs as wholes, such as the commit."""
    inputs: tuple[Change, ...]
    """Workflow inputs with different values."""
    jobs: tuple[JobComparison, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain data; a change has `before` and `after`."""
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "changed": [to_builtins(each) for each in self.facts],
            "inputs": [to_builtins(each) for each in self.inputs],
            "jobs": [to_builtins(each) for each in self.jobs],
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
        }


_FACTS = {
    "workflow": "workflow",
    "state": "state",
    "backend": "backend",
    "git_commit": "commit",
    "git_dirty": "with changes",
    "wf_version": "wf",
}
"""Fields of a run -> what people call them."""


def compare(
    before: RunRecord, jobs_before: Sequence[JobRecord], after: RunRecord, jobs_after: Sequence[JobRecord]
) -> Comparison:
    """Compare two runs, jobs by their names."""
    old, new = {job.name: job for job in jobs_before}, {job.name: job for job in jobs_after}
    return Comparison(
        before,
        after,
        tuple(_differing(Change(name, getattr(before, name), getattr(after, name)) for name in _FACTS)),
        tuple(_differing(_pairs(before.inputs, after.inputs))),
        tuple(_compare_jobs(old[name], new[name]) for name in new if name in old),
        tuple(name for name in old if name not in new),
        tuple(name for name in new if name not in old),
    )


def _compare_jobs(before: JobRecord, after: JobRecord) -> JobComparison:
    outputs = _pairs({each.name: each for each in before.outputs}, {each.name: each for each in after.outputs})
    return JobComparison(
        after.name,
        tuple(_causes(before, after)),
        Change("state", before.state, after.state),
        Change("seconds", before.seconds, after.seconds),
        tuple(_pairs(before.metrics, after.metrics)),
        tuple(
            Change(each.name, _content(each.before), _content(each.after))
            for each in outputs
            if _content(each.before) != _content(each.after)
        ),
    )


def _causes(before: JobRecord, after: JobRecord) -> Iterator[str]:
    if before.key is None or after.key is None:
        return
    sources = {each.name: each.source for each in before.inputs}, {each.name: each.source for each in after.inputs}
    for sentence in differences(after.key, before.key):
        name = sentence.removeprefix("input ").removesuffix(" changed")
        old, new = (each.get(name) for each in sources)
        yield f"{sentence}: {old} -> {new}" if sentence == f"input {name} changed" and old != new else sentence


def _content(output: OutputRecord | None) -> dict[str, Any] | None:
    return {"digest": output.digest, "bytes": output.bytes, "files": output.files} if output else None


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        yield Change(name, before.get(name), after.get(name))


def _differing(changes: Iterable[Change]) -> Iterator[Change]:
    return (each for each in changes if each.before != each.after)


# For people


def render(comparison: Comparison) -> str:
    """The comparison as lines: what is the same is only counted or named."""
    before, after = comparison.before, comparison.after
    lines = [f"run {before.id} -> run {after.id}  {after.workflow}"]
    rows = [(_FACTS[each.name], _arrow(each)) for each in comparison.facts]
    rows += [(f"input {each.name}", _arrow(each)) for each in comparison.inputs]
    lines += columns(rows) if rows else []
    for job in comparison.jobs:
        if not job.is_same:
            lines += ["", job.name, *columns(list(_rows(job)), "  ")]
    same = [job.name for job in comparison.jobs if job.is_same]
    ends = [
        (f"only in run {before.id}", comparison.only_before),
        (f"only in run {after.id}", comparison.only_after),
        ("the same", same),
    ]
    lines += [""] + [f"{label}: {', '.join(names)}" for label, names in ends if names]
    return "\n".join(lines).rstrip()


def _rows(job: JobComparison) -> Iterator[tuple[str, str]]:
    if job.state.before != job.state.after:
        yield "state", _arrow(job.state)
    for sentence in job.causes:
        yield "changed", sentence
    for metric in job.metrics:
        yield "metric", f"{metric.name}  {_figures(metric)}"
    for output in job.outputs:
        sizes = Change("", *(size(each["bytes"]) if each else None for each in (output.before, output.after)))
        yield "output", f"{output.name} changed" + (f", {_arrow(sizes)}" if sizes.before != sizes.after else "")
    if job.seconds.before and job.seconds.after:
        yield "took", f"{duration(job.seconds.before)} -> {duration(job.seconds.after)}"


def _figures(metric: Change) -> str:
    before, after = metric.before, metric.after
    if before is None or after is None or before == after:
        return f"{after:.6g}, the same" if before == after else _arrow(metric)
    share = f", {(after - before) / abs(before):+.2%}" if before else ""
    return f"{before:.6g} -> {after:.6g}  ({after - before:+.4g}{share})"


def _arrow(change: Change) -> str:
    return f"{_shown(change.before)} -> {_shown(change.after)}"


def _shown(value: object) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
