"""Files of this machine that jobs are given: hashed once for each version of them."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from wf.errors import EnvironmentProblem
from wf.store.artifacts import UnkeepableFileError, read_manifest
from wf.store.database import Connection

_STILL_CHANGING = 2.0
"""Seconds after its last change in which a file may change again without another time: clocks of disks are coarse."""


def digest_of(db: Connection, path: Path) -> str:
    """The digest of what lies at a path, read anew only where a name, size, time or place on the disk differs."""
    try:
        stamp, newest = _stamp(path)
        row = db.execute("SELECT digest FROM local_files WHERE (path, stamp) = (?, ?)", (str(path), stamp)).fetchone()
        if row is not None:
            return str(row["digest"])
        digest = read_manifest(path).artifact.digest
    except OSError as error:
        raise EnvironmentProblem(f"`{error.filename or path}` cannot be read: {error.strerror}") from error
    except UnkeepableFileError as error:
        raise EnvironmentProblem(f"`{path}` cannot be read: {error}") from error
    if time.time() - newest > _STILL_CHANGING:
        db.execute(
            "INSERT OR REPLACE INTO local_files (path, stamp, digest) VALUES (?, ?, ?)", (str(path), stamp, digest)
        )
    return digest


def _stamp(path: Path) -> tuple[str, float]:
    """All that shows a change of a file or folder without reading it, and when it last changed, in seconds."""
    digest, newest = hashlib.sha256(), 0.0
    for name, status in sorted(_statuses(path)):
        facts = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
        digest.update(f"{name} {facts}\n".encode("utf-8", "surrogateescape"))
        newest = max(newest, status.st_mtime, status.st_ctime)
    return digest.hexdigest(), newest


def _statuses(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    yield "", path.lstat()
    if path.is_dir() and not path.is_symlink():
        for top, folders, files in os.walk(path, onerror=_raise):
            for name in (*folders, *files):
                place = Path(top) / name
                yield str(place.relative_to(path)), place.lstat()


def _raise(error: OSError) -> None:
    raise error
