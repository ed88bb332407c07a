"""The git work tree around a workflow file, which is what `context.event.github` means on one's own machine."""

import subprocess
from pathlib import Path

from msgspec import Struct


class WorkTree(Struct, frozen=True):
    """A work tree, and the commit that it is at."""

    path: Path
    commit: str


def find_work_tree(folder: Path) -> WorkTree | None:
    """The work tree that a folder lies in, or nothing if there is none, no commit in it, or no git."""
    command = ["git", "-C", str(folder), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    if done.returncode:
        return None
    top, commit = done.stdout.splitlines()
    return WorkTree(Path(top), commit)
