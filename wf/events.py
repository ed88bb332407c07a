"""What happens in a run, as records. The runner and the backends emit them; reports and the store listen."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import asdict

JobState = Literal["waiting", "running", "succeeded", "failed", "cancelled", "skipped"]
"""`skipped`: something that the job needs did not succeed. `cancelled`: it was stopped, by the user or because another
member of its matrix failed."""

RunState = Literal["running", "succeeded", "failed", "cancelled", "interrupted"]
"""`interrupted`: `wf` itself was killed; the next `wf` noticed."""


def now() -> datetime:
    """This moment in UTC, to the millisecond."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def as_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-21T21:30:00.123Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened in a run, at a moment."""

    at: datetime = field(default_factory=now)

    def to_json(self) -> dict[str, Any]:
        """The record as plain data, its kind under `event`."""
        return {"event": type(self).__name__, **asdict(self), "at": as_text(self.at)}


class RunStarted(Event, frozen=True, kw_only=True):
    """A run has its number; nothing has started yet."""

    run: int
    workflow: str
    backend: str
    backend_reason: str
    jobs: tuple[str, ...]


class Preparing(Event, frozen=True, kw_only=True):
    """The backend is getting something ready that takes time, such as an image: one line of its progress."""

    what: str
    line: str


class JobStarted(Event, frozen=True, kw_only=True):
    """A job's process runs."""

    job: str
    reason: str = ""
    """Why it runs, and an earlier execution does not stand for it."""
    attempt: int = 1
    attempts: int = 1
    """How often it is tried, at most."""


class AttemptFailed(Event, frozen=True, kw_only=True):
    """A job's process has failed, and the job is tried again: it has not come to its end."""

    job: str
    attempt: int
    """Counted from 1."""
    attempts: int
    seconds: float
    exit_code: int | None
    error: str
    pause: float
    """Seconds before the next attempt."""


class JobLog(Event, frozen=True, kw_only=True):
    """Lines of a job's log that came together, without their ends, with secrets masked."""

    job: str
    lines: tuple[str, ...]


class JobNote(Event, frozen=True, kw_only=True):
    """Something that the user should know about a job, such as an output that nobody declared."""

    job: str
    message: str


class JobFinished(Event, frozen=True, kw_only=True):
    """A job has come to its end, whichever it was."""

    job: str
    state: JobState
    seconds: float
    """From its start to its end; 0 for one that never started."""
    exit_code: int | None = None
    error: str = ""
    """Why it failed, was skipped or cancelled, in a sentence."""
    cached_from: int | None = None
    """The run whose outputs stand for this job's, which did not have to run."""


class RunFinished(Event, frozen=True, kw_only=True):
    """The run is over and everything about it is stored."""

    run: int
    state: RunState
    seconds: float


Emit = Callable[[Event], None]
