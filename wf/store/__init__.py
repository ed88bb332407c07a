"""What a project keeps under `.wf/`: history, artifacts, datasets, models, deployments, logs, checkpoints."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wf.cache import CacheKey
from wf.store.artifacts import Artifacts
from wf.store.claims import Claims
from wf.store.database import Connection, connect
from wf.store.history import History
from wf.store.layout import Layout
from wf.store.reuse import Earlier, LastExecution, find_earlier, last_execution, run_before

if TYPE_CHECKING:
    from wf.store.datasets import Datasets
    from wf.store.deployments import DeploymentRecords
    from wf.store.fsck import Report
    from wf.store.garbage import Collector
    from wf.store.lineage import Lineage, ListedArtifact
    from wf.store.models import Models

__all__ = ["Store"]


class Store:
    """The store of one project. Artifacts may be used from any thread, the rest from the one that opened it.

    What a run does not need in which nothing has changed is imported when it is asked for.
    """

    def __init__(self, layout: Layout, connection: Connection) -> None:
        self.layout = layout
        self.artifacts = Artifacts(layout)
        self.history = History(connection, layout, self.artifacts)
        self.claims = Claims(layout)
        self._connection = connection

    @classmethod
    def open(cls, root: Path) -> "Store":
        """The store of the project in `root`, made if there is none."""
        layout = Layout(root.resolve())
        layout.create()
        return cls(layout, connect(layout.database))

    @cached_property
    def datasets(self) -> "Datasets":
        """Names whose versions are artifacts."""
        from wf.store.datasets import Datasets

        return Datasets(self._connection, self.layout, self.artifacts)

    @cached_property
    def models(self) -> "Models":
        """What workflows registered."""
        from wf.store.models import Models

        return Models(self._connection, self.layout, self.artifacts)

    @cached_property
    def deployments(self) -> "DeploymentRecords":
        """Services that go on after a run."""
        from wf.store.deployments import DeploymentRecords

        return DeploymentRecords(self._connection, self.layout)

    @cached_property
    def garbage(self) -> "Collector":
        """What can be removed."""
        from wf.store.garbage import Collector

        return Collector(self._connection, self.layout, self.artifacts)

    def lineage(self, digest: str) -> "Lineage":
        """What some content was made from, and what became of it."""
        from wf.store.lineage import lineage

        return lineage(self._connection, digest)

    def find_digest(self, ref: str) -> str:
        """The content that `RUN/JOB/OUTPUT` or the beginning of a digest names; see `wf.store.lineage`."""
        from wf.store.lineage import find_digest

        return find_digest(self._connection, ref)

    def artifacts_of(self, run: int | None = None) -> "tuple[ListedArtifact, ...]":
        """The artifacts that the history names, or those that a run left: the biggest first."""
        from wf.store.lineage import list_artifacts

        return list_artifacts(self._connection, run)

    def digest_of(self, path: Path) -> str:
        """The digest of a file or folder of this machine; see `wf.store.local_files`."""
        from wf.store.local_files import digest_of

        return digest_of(self._connection, path)

    def earlier(self, key: CacheKey) -> Earlier | None:
        """An execution with the same key that can stand for a new one."""
        return find_earlier(self._connection, self.artifacts, key)

    def run_before(self, run: int, workflow: str) -> dict[str, Earlier]:
        """Executions of the run before, if that was of the same workflow, by the digests of their keys."""
        return run_before(self._connection, run, workflow)

    def last_execution(self, workflow: str, job: str, before_run: int | None = None) -> LastExecution | None:
        """How a job of a workflow, given by its path from the project's folder, was last started before a run."""
        return last_execution(self._connection, workflow, job, before_run)

    def check(self, *, repair: bool, tell: Callable[[str], None]) -> "Report":
        """Whether everything that the history names is there and whole; see `wf.store.fsck`."""
        from wf.store.fsck import check

        return check(self._connection, self.layout, self.artifacts, repair=repair, tell=tell)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
