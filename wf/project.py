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
    """The nearest folder at or above `start` that looks like the top of a project, else `start`'s own folder.

    What may not be looked at counts as not there: whoever reads it will say why it cannot be read.
    """
    start = Path(os.path.realpath(start))  # unlike `resolve`, it takes a ring of links
    folder = start if os.path.isdir(start) else start.parent  # noqa: PTH112 - `is_dir` raises
    return next((each for each in (folder, *folder.parents) if _is_top(each)), folder)


def _is_top(folder: Path) -> bool:
    return any(os.path.exists(folder / mark) for mark in MARKS)  # noqa: PTH110 - `exists` raises


def project_id(root: Path) -> str:
    """What names the project in `PROJECT_ID`, always the same for the same folder."""
    return "p" + hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
