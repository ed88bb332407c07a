"""Which version of the project a run used."""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

LONGEST_CHANGES = 1 << 20
"""Bytes of a diff that are kept."""


class Commit(Struct, frozen=True):
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


def read_changes(root: Path) -> str:
    """What tracked files of the repository around `root` differ in from its commit, as a diff that may be cut.

    No program is run that the repository or its user names for diffs.
    """
    command = ["git", "-C", str(root), "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD"]
    try:
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ) as process:
            assert process.stdout is not None
            found = process.stdout.read(LONGEST_CHANGES + 1)
            process.kill()
    except OSError:
        return ""
    text = found[:LONGEST_CHANGES].decode(errors="replace")
    return text if len(found) <= LONGEST_CHANGES else f"{text}\n... cut after {LONGEST_CHANGES >> 20} MiB\n"


def read_remote(root: Path) -> str:
    """Where the repository around `root` was cloned from, without the user and password that may be in it."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "config", "remote.origin.url"], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    url = done.stdout.strip()
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else url
