"""Which version of the project a run used."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit that is checked out, and whether tracked files differ from it."""

    id: str | None
    dirty: bool = False


def read_commit(root: Path) -> Commit:
    """The state of the git repository around `root`; no commit where there is none, or no git."""
    try:
        described = subprocess.run(
            # No tag matches an empty pattern, so that this prints the commit itself.
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return Commit(None)
    commit, _, dirty = described.stdout.strip().partition("-")
    return Commit(commit, bool(dirty))
