"""What a project keeps under `.wf/`: history, artifacts, datasets, models, deployments, logs, checkpoints."""

from collections.abc import Callable
from pathlib import Path

from wf.cache import CacheKey
from wf.store.artifacts import Artifacts
from wf.store.claims import Claims
from wf.store.database import Connection, connect
from wf.store.datasets import Datasets
from wf.store.deployments import DeploymentRecords
from wf.store.fsck import Report, check
from wf.store.garbage import Collector
from wf.store.history import History
from wf.store.layout import Layout
from wf.store.lineage import Lineage, ListedArtifact, find_digest, lineage, list_artifacts
from wf.store.local_files import digest_of
from wf.store.models import Models
from wf.store.reuse import Earlier, LastExecution, find_earlier, last_execution

__all__ = ["Store"]


class Store:
    """The store of one project. Artifacts may be used from any thread, the rest from the one that opened it."""

    def __init__(self, layout: Layout, connection: Connection) -> None:
        self.layout = layout
        self.artifacts = Artifacts(layout)
        self.history = History(connection, layout, self.artifacts)
        self.datasets = Datasets(connection, layout, self.artifacts)
        self.models = Models(connection, layout, self.artifacts)
        self.deployments = DeploymentRecords(connection, layout)
        self.garbage = Collector(connection, layout, self.artifacts)
        self.claims = Claims(layout)
        self._connection = connection

    @classmethod
    def open(cls, root: Path) -> "Store":
        """The store of the project in `root`, made if there is none."""
        layout = Layout(root.resolve())
        layout.create()
        return cls(layout, connect(layout.database))

    def lineage(self, digest: str) -> Lineage:
        """What some content was made from, and what became of it."""
        return lineage(self._connection, digest)

    def find_digest(self, ref: str) -> str:
        """The content that `RUN/JOB/OUTPUT` or the beginning of a digest names; see `wf.store.lineage`."""
        return find_digest(self._connection, ref)

    def artifacts_of(self, run: int | None = None) -> tuple[ListedArtifact, ...]:
        """The artifacts that the history names, or those that a run left: the biggest first."""
        return list_artifacts(self._connection, run)

    def digest_of(self, path: Path) -> str:
        """The digest of a file or folder of this machine; see `wf.store.local_files`."""
        return digest_of(self._connection, path)

    def earlier(self, key: CacheKey) -> Earlier | None:
        """An execution with the same key that can stand for a new one."""
        return find_earlier(self._connection, self.artifacts, key)

    def last_execution(self, workflow: str, job: str, before_run: int | None = None) -> LastExecution | None:
        """How a job of a workflow, given by its path from the project's folder, was last started before a run."""
        return last_execution(self._connection, workflow, job, before_run)

    def check(self, *, repair: bool, tell: Callable[[str], None]) -> Report:
        """Whether everything that the history names is there and whole; see `wf.store.fsck`."""
        return check(self._connection, self.layout, self.artifacts, repair=repair, tell=tell)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
