"""What all parts of the API have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from wf.project import project_id
from wf.store import Store


class Project(Struct, frozen=True):
    """The project that is asked about."""

    root: Path

    @property
    def id(self) -> str:
        """What jobs have as `PROJECT_ID`."""
        return project_id(self.root)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Its store, opened for one request: each may come in a thread of its own."""
        store = Store.open(self.root)
        try:
            yield store
        finally:
            store.close()
