"""Every error that `wf` raises on purpose, and the exit code each one ends with.

    WfError
    ├── TaskFailed            1    a job of the workflow failed
    ├── DeploymentFailed      1    a deployment did not come up, or its new revision did not hold
    ├── InvalidWorkflow       2    the workflow, its parameters or the command line are wrong
    ├── EnvironmentProblem    3    this machine lacks something: Docker, an image, disk, a GPU
    │   └── EngineGone        3    nothing answers where the engine should; what ran there may still run
    └── Interrupted         130    Ctrl-C or SIGTERM

Anything else that reaches the command line is a bug in `wf` and ends with 4.
"""

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct


class Span(Struct, frozen=True, order=True):
    """A place in a file. Lines and columns count from 1; `length` is in characters of that one line."""

    path: Path
    line: int
    column: int
    length: int = 1


class Problem(Struct, frozen=True):
    """One thing that is wrong with a file, and what to do about it.

    `message` starts in lower case and puts the user's own names in backticks. `hint` stands beside the caret.
    """

    message: str
    span: Span | None = None
    hint: str = ""
    is_warning: bool = False


class WfError(Exception):
    """An error to show as one message, without a traceback."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        """What to do about it: one or more whole lines, or nothing."""


class TaskFailed(WfError):
    """The run ended with a failed job. The report has already said which."""

    exit_code = 1


class DeploymentFailed(WfError):
    """What was to be deployed did not come up or did not hold. What served before serves still, if anything did."""

    exit_code = 1


class InvalidWorkflow(WfError):
    """A workflow that cannot run as it is written, with everything that is wrong with it, in order of line."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.span is None, p.span, p.message))
        super().__init__("; ".join(problem.message for problem in self.problems))


class EnvironmentProblem(WfError):
    """This machine cannot run it: no engine, no image, no disk, no GPU."""

    exit_code = 3


class EngineGone(EnvironmentProblem):
    """Nothing answers where the engine should, or it broke off. What it ran may still run."""


class Interrupted(WfError):
    """The user stopped it."""

    exit_code = 130
