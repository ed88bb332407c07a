"""What the history keeps of a job: written in transactions of `wf.store.history`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from wf.cache import CacheKey
from wf.events import JobState, as_text, now
from wf.plan import TaskOutput
from wf.store.artifacts import Artifact
from wf.store.database import Connection
from wf.store.records import InputRecord

if TYPE_CHECKING:
    from wf.store.models import NewModel


class JobEnd(Struct, frozen=True):
    """All that is stored when a job comes to its end."""

    state: JobState
    seconds: float = 0.0
    exit_code: int | None = None
    error: str = ""
    outputs: Sequence[tuple[TaskOutput, Artifact]] = ()
    metrics: Mapping[str, float] = {}
    cached_from: int | None = None
    """The run whose outputs these are, where the job did not have to run."""
    model: "NewModel | None" = None


class ReusedJob(Struct, frozen=True):
    """A job that did not have to run, and what stands for what it would have left."""

    job: str
    key: CacheKey
    inputs: Sequence[InputRecord]
    end: JobEnd


def write_starts(
    db: Connection, run: int, starts: Iterable[tuple[str, CacheKey, Iterable[InputRecord]]], reason: str = ""
) -> None:
    """The processes of jobs run, or need not."""
    starts, moment = tuple(starts), as_text(now())
    db.executemany(
        "UPDATE jobs SET state = 'running', started = ?, key = ?, key_digest = ?, reason = ? "
        "WHERE run = ? AND name = ?",
        [(moment, key.text, key.digest, reason, run, job) for job, key, _ in starts],
    )
    db.executemany(
        "INSERT OR REPLACE INTO inputs (run, job, name, source, digest) VALUES (?, ?, ?, ?, ?)",
        [(run, job, each.name, each.source, each.digest) for job, _, inputs in starts for each in inputs],
    )


def write_ends(db: Connection, run: int, ends: Sequence[tuple[str, JobEnd]]) -> None:
    """Jobs have come to their ends, with everything that they left."""
    moment = as_text(now())
    db.executemany(
        "UPDATE jobs SET state = ?, finished = ?, seconds = ?, exit_code = ?, error = ?, cached_from = ? "
        "WHERE run = ? AND name = ?",
        [(end.state, moment, end.seconds, end.exit_code, end.error, end.cached_from, run, job) for job, end in ends],
    )
    outputs = [(job, output, artifact) for job, end in ends for output, artifact in end.outputs]
    db.executemany(
        "INSERT OR IGNORE INTO artifacts (digest, kind, bytes, files) VALUES (?, ?, ?, ?)",
        [(each.digest, each.kind, each.bytes, each.files) for _, _, each in outputs],
    )
    db.executemany(
        "INSERT INTO outputs (run, job, name, type, format, digest) VALUES (?, ?, ?, ?, ?, ?)",
        [(run, job, output.name, output.type, output.format, each.digest) for job, output, each in outputs],
    )
    db.executemany(
        "INSERT INTO metrics (run, job, name, value) VALUES (?, ?, ?, ?)",
        [(run, job, name, value) for job, end in ends for name, value in end.metrics.items()],
    )
    for job, end in ends:
        for output, artifact in end.outputs:
            if output.dataset is not None:
                _add_version(db, run, job, output, artifact, is_cached=end.cached_from is not None)
        if end.model is not None:
            from wf.store.models import add_model

            add_model(db, end.model, run, job)


def _add_version(
    db: Connection, run: int, job: str, output: TaskOutput, artifact: Artifact, *, is_cached: bool
) -> None:
    """Make an output the latest version of its dataset, unless it was taken from there."""
    from wf.store.datasets import add_version, is_latest

    assert output.dataset is not None, f"{output.name} goes to no dataset"
    if not (is_cached and is_latest(db, output.dataset, artifact.digest)):
        add_version(db, output.dataset, artifact, run=run, job=job, output=output.name)
