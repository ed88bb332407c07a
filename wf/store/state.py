"""Folders in which a job keeps checkpoints until it succeeds."""

import fcntl
import os
from pathlib import Path

from wf.store.layout import Layout, in_use, remove_tree


class StateFolder:
    """The checkpoints of one kind of execution, held by one job at a time."""

    def __init__(self, path: Path, descriptor: int, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, layout: Layout, key: str) -> "StateFolder | None":
        """The folder for the key, made if need be; `None` while another job uses it."""
        path = layout.state / key
        while True:
            path.mkdir(exist_ok=True)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            if path.is_dir() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                return cls(path, descriptor, layout)
            os.close(descriptor)  # its last user has just removed it

    def release(self, *, keep: bool) -> None:
        """Let others have the folder, or remove it."""
        if not keep:
            with in_use(self._layout.temporary):
                # A half of it must not be taken for checkpoints.
                away = self._layout.temporary / f"state-{self.path.name}"
                remove_tree(away)
                self.path.rename(away)
                remove_tree(away)
        os.close(self._descriptor)
