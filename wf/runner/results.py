"""What the jobs of a run have left so far, and what others get of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from wf.plan import (
    INDEX,
    DatasetRef,
    GatheredOutput,
    InputSource,
    JobMetric,
    Plan,
    SharedVolume,
    Task,
    Text,
    UpstreamOutput,
)
from wf.runner.gather import index_text
from wf.store import Store
from wf.store.artifacts import text_digest
from wf.store.job_rows import JobEnd
from wf.store.records import DatasetVersion, InputRecord
from wf.store.resume import TakenOver


class StoredInput(Struct, frozen=True):
    """An input that lies in the store."""

    source: str
    digest: str
    path: Path


class GatheredInput(Struct, frozen=True):
    """An output of all members of a matrix."""

    parts: Mapping[str, StoredInput]
    """By the names of their entries."""
    index: str
    """The text of `index.json`."""


Given = StoredInput | GatheredInput | str
"""What a task gets: text as it is."""


class Results:
    """Outputs and metrics of the jobs that have ended."""

    def __init__(
        self,
        plan: Plan,
        run: int,
        store: Store,
        datasets: Mapping[str, DatasetVersion],
        taken_over: Sequence[TakenOver],
    ) -> None:
        self._plan = plan
        self._run = run
        self._layout = store.layout
        self._artifacts = store.artifacts
        self._datasets = datasets
        self._digests = {(job.job, name): each.digest for job in taken_over for name, each in job.outputs.items()}
        self._metrics = {(job.job, name): value for job in taken_over for name, value in job.metrics.items()}

    def add(self, task: Task, end: JobEnd) -> None:
        """A job has succeeded."""
        for output, artifact in end.outputs:
            self._digests[task.id, output.name] = artifact.digest
        self._metrics |= {(task.id, name): value for name, value in end.metrics.items()}

    def metric(self, metric: JobMetric) -> float | None:
        """A figure, if its job recorded it."""
        return self._metrics.get((metric.job, metric.name))

    def text(self, output: UpstreamOutput) -> str | None:
        """What an output says, if it was written."""
        if not self.has(output):
            return None
        return self._output(output.job, output.output).path.read_text(encoding="utf-8", errors="replace")

    def has(self, source: InputSource) -> bool:
        """Whether the jobs that write it have: what runs after a failure may find less than it asks for."""
        match source:
            case UpstreamOutput(job, output):
                return (job, output) in self._digests
            case GatheredOutput(_, output, members):
                return any((job, output) in self._digests for job, _ in members)
            case _:
                return True

    def input(self, source: InputSource) -> Given:
        """What a task gets of a source that is there."""
        match source:
            case Text(value):
                return value
            case DatasetRef(ref):
                version = self._datasets[ref]
                return StoredInput(version.ref, version.digest, self._artifacts.path(version.digest))
            case SharedVolume(name):
                folder = self._layout.volume(self._run, name)
                folder.mkdir(parents=True, exist_ok=True)
                return StoredInput(f"volume {name}", text_digest(""), folder)
            case UpstreamOutput(job, output):
                return self._output(job, output)
            case GatheredOutput(_, output, members):
                made = replace(source, members=tuple(each for each in members if (each[0], output) in self._digests))
                parts = {entry: self._output(job, output) for job, entry in made.members}
                return GatheredInput(parts, index_text(made, self._plan))

    def _output(self, job: str, output: str) -> StoredInput:
        digest = self._digests[job, output]
        return StoredInput(f"{job}.outputs.{output}", digest, self._artifacts.path(digest))


def input_records(name: str, given: Given) -> Iterator[InputRecord]:
    """How the history names an input."""
    match given:
        case StoredInput(source, digest):
            yield InputRecord(name, source, digest)
        case GatheredInput(parts, index):
            yield InputRecord(f"{name}/{INDEX}", "", text_digest(index))
            for entry, part in parts.items():
                yield InputRecord(f"{name}/{entry}", part.source, part.digest)
        case str():
            yield InputRecord(name, "", text_digest(given))
