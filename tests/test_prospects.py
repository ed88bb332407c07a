"""What `wf plan` knows of jobs with an `if` before anything has run."""

from pathlib import Path

import pytest

from tests.harness import job, plan
from tests.test_conditions import ALWAYS, FAILURE, when
from wf.plan import Condition, JobMetric, JobResult, Plan, Text, UpstreamOutput
from wf.runner.prospects import Prospect, Prospects

RUNS = Prospect("runs")


def _of(it: Plan, done: dict[str, dict[str, float]], texts: dict[str, str] | None = None) -> dict[str, Prospect]:
    """Of each job, where some are done already, with their metrics."""
    prospects = Prospects(it, lambda output: (texts or {})[output.job])
    found = {}
    for task in it.tasks:
        found[task.id] = prospects.of(task)
        if task.id in done:
            prospects.done(task.id, done[task.id])
    return found


@pytest.mark.parametrize(
    ("condition", "done", "expected"),
    [
        (FAILURE, False, Prospect("perhaps", "only if a job before it fails")),
        (FAILURE, True, Prospect("skipped", "`failure()`: all jobs before it are done, or skipped")),
        (ALWAYS, False, RUNS),
        (when(Text("1"), "==", 1), False, RUNS),
        (when(Text("2"), "==", 1), False, Prospect("skipped", "`the condition` does not hold: it is `2`")),
        (
            when(JobMetric("a", "rmse"), "<", 1.0),
            False,
            Prospect("perhaps", "only if `the condition`, which is known after `a`"),
        ),
        (when(JobMetric("a", "rmse"), "<", 1.0), True, RUNS),
        (
            when(JobMetric("a", "rmse"), "<", 0.5),
            True,
            Prospect("skipped", "`the condition` does not hold: it is `0.9`"),
        ),
        (
            when(JobMetric("a", "mae"), "<", 0.5),
            True,
            Prospect("runs", "it fails: its condition cannot be decided: `a` recorded no metric `mae`"),
        ),
        (when(UpstreamOutput("a", "x"), "==", "yes"), True, RUNS),
        (
            when(UpstreamOutput("a", "x"), "==", "yes"),
            False,
            Prospect("perhaps", "only if `the condition`, which is known after `a`"),
        ),
        (
            when(JobResult("a"), "==", "failed"),
            False,
            Prospect("perhaps", "only if `the condition`, which is known after `a`"),
        ),
        (
            when(JobResult("a"), "==", "failed"),
            True,
            Prospect("skipped", "`the condition` does not hold: it is `succeeded`"),
        ),
    ],
)
def test_a_condition_is_decided_as_soon_as_it_can_be(
    condition: Condition, done: bool, expected: Prospect, tmp_path: Path
) -> None:
    """By values of inputs, or by jobs that are done; else it is said what it depends on."""
    it = plan("a -> b", tmp_path, b=job(condition=condition))

    assert _of(it, {"a": {"rmse": 0.9}} if done else {}, {"a": "yes\n"}) == {"a": RUNS, "b": expected}


def test_what_needs_a_job_shares_its_fate(tmp_path: Path) -> None:
    """Skipped with one that is skipped, in doubt with one that is; but for what runs in any case."""
    never = job(condition=when(Text("no"), "==", "yes"))
    it = plan("a -> b -> c, a -> d -> e -> f", tmp_path, b=never, d=job(condition=FAILURE), f=job(condition=ALWAYS))

    assert _of(it, {}) == {
        "a": RUNS,
        "b": Prospect("skipped", "`the condition` does not hold: it is `no`"),
        "c": Prospect("skipped", "it needs `b`, which is skipped"),
        "d": Prospect("perhaps", "only if a job before it fails"),
        "e": Prospect("perhaps", "only if `d` runs"),
        "f": RUNS,
    }


def test_a_job_in_doubt_decides_nothing_although_it_was_done_before(tmp_path: Path) -> None:
    """It may be skipped this time."""
    it = plan("a -> b -> c", tmp_path, b=job(condition=FAILURE), c=job(condition=when(JobMetric("b", "z"), "<", 1.0)))

    assert _of(it, {"b": {"z": 0.0}})["c"] == Prospect("perhaps", "only if `b` runs")
