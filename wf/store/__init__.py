"""What a project keeps under `.wf/`: history, artifacts, dataset versions, logs, checkpoints."""

from pathlib import Path
from typing import Any

from wf.cache import CacheKey
from wf.errors import EnvironmentProblem
from wf.store import datasets
from wf.store.artifacts import Artifacts
from wf.store.database import Connection, connect
from wf.store.history import History
from wf.store.layout import Layout
from wf.store.records import DatasetVersion
from wf.store.reuse import Earlier, find_earlier, last_key

__all__ = ["Store"]


class Store:
    """The store of one project. The history belongs to the thread that opened it; artifacts may be used from any."""

    def __init__(self, layout: Layout, connection: Connection) -> None:
        self.layout = layout
        self.artifacts = Artifacts(layout)
        self.history = History(connection, layout, self.artifacts)
        self._connection = connection

    @classmethod
    def open(cls, root: Path) -> "Store":
        """The store of the project in `root`, made if there is none."""
        layout = Layout(root.resolve())
        try:
            layout.create()
        except OSError as error:
            raise EnvironmentProblem(
                f"{layout.folder} cannot be written: {error.strerror}",
                hint="wf keeps its history and artifacts there: give it a folder that you may write to.",
            ) from error
        return cls(layout, connect(layout.database))

    def dataset(self, ref: str) -> DatasetVersion:
        """The version that a workflow's dataset reference names at this moment; its files are there."""
        version = datasets.resolve(self._connection, ref)
        if not self.artifacts.path(version.digest).exists():
            raise EnvironmentProblem(
                f"the files of dataset `{version.ref}` are gone from {self.artifacts.path(version.digest)}",
                hint="Run the workflow that writes it again.",
            )
        return version

    def earlier(self, key: CacheKey) -> Earlier | None:
        """An execution with the same key that can stand for a new one."""
        return find_earlier(self._connection, self.artifacts, key)

    def last_key(self, run: int, job: str) -> dict[str, Any] | None:
        """With which key, as JSON, the job last ran before this run."""
        return last_key(self._connection, run, job)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
