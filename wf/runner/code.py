"""The steps that a run uses."""

from pathlib import Path

from msgspec import Struct

from wf.imports import imported_files
from wf.plan import Task


class Code(Struct, frozen=True):
    """The snapshot of `steps/` that a run uses."""

    digest: str
    folder: Path

    def files_of(self, task: Task) -> dict[str, str]:
        """The files that decide what a step does: path -> digest."""
        return imported_files(self.folder, f"steps.{task.action.rpartition('/')[2]}")
