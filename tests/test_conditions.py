"""`if:` of jobs: what it means, and what becomes of a run. The texts of refusals are in docs/errors.md."""

import os
import signal
from pathlib import Path

import pytest

from tests.harness import Clock, Project, job, once_started
from tests.projects import compile_text
from wf.backends.base import Launch
from wf.events import Event, JobStarted
from wf.plan import Comparison, Condition, JobMetric, JobResult, Text, UpstreamOutput

ALWAYS = Condition("always()", "anything")
FAILURE = Condition("failure()", "failure")


def when(subject: Text | UpstreamOutput | JobMetric | JobResult, operator: str, value: str | float | bool) -> Condition:
    """A condition that compares."""
    after = "anything" if isinstance(subject, JobResult) else "success"
    return Condition("the condition", after, Comparison(subject, operator, value))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("success()", Condition("success()")),
        ("failure()", Condition("failure()", "failure")),
        ("always()", Condition("always()", "anything")),
        ("A.result != failed", Condition("A.result != failed", "anything", Comparison(JobResult("A"), "!=", "failed"))),
        (
            "workflow.inputs.x == true",
            Condition("workflow.inputs.x == true", "success", Comparison(Text("7"), "==", True)),
        ),
        (
            "A.outputs.y=='a b'",
            Condition("A.outputs.y=='a b'", "success", Comparison(UpstreamOutput("A", "y"), "==", "a b")),
        ),
        (
            "A.metrics.z/z <= 0.5",
            Condition("A.metrics.z/z <= 0.5", "success", Comparison(JobMetric("A", "z/z"), "<=", 0.5)),
        ),
    ],
)
def test_conditions_are_understood(tmp_path: Path, text: str, condition: Condition) -> None:
    """Three words, or a reference, a sign and a value."""
    plan = compile_text(
        tmp_path,
        f"""
        inputs: {{x: {{type: string, with: {{value: 7}}}}}}
        jobs:
          A: {{uses: container@v1, with: {{image: x}}, outputs: {{y: {{type: string}}}}}}
          B: {{needs: [A], if: "{text}", uses: container@v1, with: {{image: x}}}}
        """,
    )

    assert plan.task("B").condition == condition


def test_after_a_failure_only_what_asks_for_it_runs(project: Project) -> None:
    """`failure()` looks at all jobs before it, and `always()` at none."""
    result = project.run(
        "a -> b -> c, b -> tidy, b -> mend, x -> calm",
        at_once=1,
        a=job(exit=1),
        tidy=job(condition=ALWAYS),
        mend=job(condition=FAILURE),
        calm=job(condition=FAILURE),
    )

    assert result.state == "failed"
    assert project.story()[:3] == [
        "a failed: exited with code 1",
        "b skipped: it needs `a`, which failed",
        "c skipped: it needs `b`, which was skipped",
    ]
    assert sorted(project.story()[3:]) == [
        "calm skipped: `failure()`: no job before it failed",
        "mend succeeded",
        "tidy succeeded",
        "x succeeded",
    ]


def test_a_run_in_which_a_condition_does_not_hold_succeeds(project: Project) -> None:
    """What needs the job that did not run does not run either."""
    result = project.run("a -> b -> c", b=job(condition=when(Text("no"), "==", "yes")))

    assert result.state == "succeeded"
    assert project.story() == [
        "a succeeded",
        "b skipped: `the condition` does not hold: it is `no`",
        "c skipped: it needs `b`, which was skipped",
    ]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        (when(JobResult("a"), "==", "succeeded"), True),
        (when(JobResult("a"), "==", "failed"), False),
        (when(UpstreamOutput("a", "word"), "==", "good"), True),
        (when(UpstreamOutput("a", "word"), "!=", "good"), False),
        (when(JobMetric("a", "rmse"), "<", 0.95), True),
        (when(JobMetric("a", "rmse"), ">=", 0.95), False),
        (when(Text("1.0"), "==", 1), True),
        (when(Text("true"), "==", True), True),
        (when(Text("1"), "==", True), False),
        (when(Text("10"), ">", 9), True),
        (when(Text("10"), "==", "10"), True),
    ],
)
def test_values_are_compared_as_what_they_are(project: Project, condition: Condition, runs: bool) -> None:
    """Numbers as numbers, truth values as such, and text without the space around it."""

    def measure(launch: Launch) -> None:
        (launch.outputs / ".wf").mkdir()
        (launch.outputs / ".wf" / "metrics.json").write_text('{"rmse": 0.91}')

    a = job(outputs={"word": "string"}, leaves={"word": "good\n"}, does=measure)
    project.run("a -> b", a=a, b=job(condition=condition))

    assert project.job("b").state == ("succeeded" if runs else "skipped")


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        (when(JobMetric("a", "rmse"), "<", 1), "its condition cannot be decided: `a` recorded no metric `rmse`"),
        (when(Text("fast"), "<", 1), "its condition cannot be decided: `fast` is not a number"),
    ],
)
def test_what_cannot_be_decided_fails(project: Project, condition: Condition, error: str) -> None:
    """Rather than to run, or not, by chance."""
    project.run("a -> b", b=job(condition=condition))

    assert project.job("b").error == error


def test_what_runs_after_a_failure_finds_what_was_made(project: Project) -> None:
    """Inputs that nobody made are left out, with a note."""
    project.run(
        "a -> tidy, b -> tidy",
        a=job(exit=1, outputs={"x": "string"}),
        b=job(outputs={"y": "string"}, leaves={"y": "made"}),
        tidy=job(condition=ALWAYS, inputs={"x": "a.outputs.x", "y": "b.outputs.y"}),
    )

    assert list(project.backend.launch("tidy").inputs) == ["y"]
    assert "tidy note: its input `x` is left out: nobody made it" in project.story()


def test_ctrl_c_lets_clean_up_run(project: Project) -> None:
    """Everything else is stopped; the run counts as stopped."""

    def listen(event: Event) -> None:
        if isinstance(event, JobStarted) and event.job == "a":
            os.kill(os.getpid(), signal.SIGINT)

    project.emit = listen

    jobs = {"a": job(sleep=30), "tidy": job(condition=ALWAYS), "mend": job(condition=FAILURE)}
    result = project.run("a -> b -> tidy, a -> mend", **jobs)  # type: ignore[arg-type]

    assert result.state == "cancelled"
    assert project.story() == [
        "a note: asked to end; another Ctrl-C kills it",
        "b cancelled: stopped by the user",
        "mend cancelled: stopped by the user",
        "a cancelled: stopped by the user",
        "tidy succeeded",
    ]


def test_a_second_ctrl_c_ends_clean_up(project: Project) -> None:
    """It is killed, like everything else."""

    def listen(event: Event) -> None:
        if isinstance(event, JobStarted):
            os.kill(os.getpid(), signal.SIGINT)

    project.emit = listen

    result = project.run("a -> tidy", a=job(sleep=30), tidy=job(sleep=30, condition=ALWAYS))

    assert result.state == "cancelled"
    assert project.story()[-1] == "tidy cancelled: stopped by the user"


def test_clean_up_has_an_end(project: Project, clock: Clock) -> None:
    """After a run was stopped it may not go on for ever."""

    def listen(event: Event) -> None:
        once_started("a", lambda: os.kill(os.getpid(), signal.SIGINT))(event)
        once_started("tidy", lambda: clock.move_on(60))(event)

    project.emit = listen

    project.run("a -> tidy", a=job(sleep=300), tidy=job(sleep=300, condition=ALWAYS))

    assert project.story()[-1] == "tidy failed: it was not done 60 s after the run was stopped"


def test_a_workflow_that_takes_too_long_cleans_up(project: Project, clock: Clock) -> None:
    """And has failed all the same."""
    project.emit = once_started("a", lambda: clock.move_on(60))

    result = project.run("a -> b, a -> tidy", timeout=60, a=job(sleep=300), tidy=job(condition=ALWAYS))

    assert result.state == "failed"
    assert project.story() == [
        "b skipped: the workflow timed out after 60 s",
        "a failed: the workflow timed out after 60 s",
        "tidy succeeded",
    ]


def test_a_comparison_with_what_was_not_made_is_told(tmp_path: Path) -> None:
    """The job that should have written it failed; one between them ran all the same."""
    project = Project(tmp_path)
    asks = job(condition=when(UpstreamOutput("a", "x"), "==", "yes"))

    project.run("a -> b -> c", a=job(exit=1, outputs={"x": "string"}), b=job(condition=ALWAYS), c=asks)
    assert project.story()[-1] == "c failed: its condition cannot be decided: `a` did not write `x`"
