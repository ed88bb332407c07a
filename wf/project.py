"""Where a project begins."""

import hashlib
import os
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


def project_id(root: Path) -> str:
    """What names the project in `PROJECT_ID`, always the same for the same folder."""
    return "p" + hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
