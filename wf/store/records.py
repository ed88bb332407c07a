"""What the history holds, as records to read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, to_builtins

from wf.events import JobState, RunState
from wf.plan import IOType, ModelType


class Record(Struct, frozen=True):
    """Something that can be printed as JSON."""

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        plain: dict[str, Any] = to_builtins(self, enc_hook=str)
        return plain


class InputRecord(Record, frozen=True):
    """What a job read."""

    name: str
    source: str
    """`JOB.outputs.NAME`, `DATASET:VERSION`, or nothing for text that the workflow gives."""
    digest: str


class OutputRecord(Record, frozen=True):
    """What a job left."""

    name: str
    type: IOType
    format: str | None
    digest: str
    kind: Literal["file", "folder"]
    bytes: int
    files: int
    path: Path
    """Where it lies in the store."""
    link: Path
    """The same under a name that a person can type."""
    dataset: str | None = None
    """`DATASET:VERSION`, where it is one."""


class AttemptRecord(Record, frozen=True):
    """A failed attempt of a job that was tried again."""

    attempt: int
    seconds: float
    exit_code: int | None
    error: str
    log: Path
    """What it printed; not there if it never started."""


class JobRecord(Record, frozen=True):
    """A job of a run."""

    name: str
    state: JobState
    started: str | None
    finished: str | None
    seconds: float
    exit_code: int | None
    error: str
    log: Path
    """What it printed; not there for a job that never started."""
    cached_from: int | None
    """The run whose outputs stand for this job's."""
    key: Mapping[str, Any] | None
    """All that its outputs depend on (see `wf.cache.CacheKey`), once it started."""
    inputs: tuple[InputRecord, ...] = ()
    outputs: tuple[OutputRecord, ...] = ()
    metrics: Mapping[str, float] = {}
    attempts: tuple[AttemptRecord, ...] = ()
    """The attempts before the one that this is about."""
    model: str | None = None
    """The id of the model that it registered."""
    reason: str = ""
    """Why it ran, and no earlier execution stood for it; nothing where one did, or it never started."""
    image: str = ""
    """What it was to run in: an image's name, or `containers/NAME`."""
    image_stands_for: str = ""
    """What the workflow asks for, where an alias chose the image; else nothing."""


class RunRecord(Record, frozen=True):
    """One execution of a workflow."""

    id: int
    workflow: str
    state: RunState
    started: str
    finished: str | None
    backend: str
    inputs: Mapping[str, str]
    error: str
    wf_version: str
    git_commit: str | None
    git_dirty: bool
    pinned: bool = False
    """Whether it is kept, whatever `wf gc` is asked for."""
    resumes: int | None = None
    """The run that it goes on with."""


class DatasetVersion(Record, frozen=True):
    """One version of a dataset: it never changes."""

    dataset: str
    version: str
    digest: str
    bytes: int
    files: int
    created: str
    run: int | None
    job: str | None
    """What wrote it."""
    origin: str
    """The path that it was imported from, else nothing."""
    message: str
    tags: tuple[str, ...]

    @property
    def ref(self) -> str:
        """How a workflow names exactly this version."""
        return f"{self.dataset}:{self.version}"


class Dataset(Record, frozen=True):
    """A name with versions."""

    name: str
    id: str
    created: str
    aliases: tuple[str, ...]
    versions: tuple[DatasetVersion, ...]
    """Newest first."""


class Model(Record, frozen=True):
    """Content of the store that something can serve."""

    id: str
    name: str
    type: ModelType
    dataset: str | None
    """`DATASET:VERSION`, where its content is one."""
    digest: str
    bytes: int
    files: int
    created: str
    run: int | None
    job: str | None
    """What registered it."""
    metadata: Mapping[str, Any]
