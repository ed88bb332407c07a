"""Where a project begins."""

from pathlib import Path
from typing import Final

STORE: Final = ".wf"
"""The folder with all that runs leave."""

MARKS: Final = ("wf.toml", STORE, ".git")
"""What only the top folder of a project has."""


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that looks like the top of a project, else `start`'s own folder."""
    start = start.resolve()
    folder = start if start.is_dir() else start.parent
    return next(
        (above for above in (folder, *folder.parents) if any((above / mark).exists() for mark in MARKS)), folder
    )
