"""Outputs of jobs, kept by the digest of their content under `.wf/artifacts/`, read-only.

An artifact appears under its name by one `rename`, after its content is on the disk: half of one is never seen.
"""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from wf.store.layout import Layout, flush, flush_tree, free_name, move, remove_tree

_PARALLEL_FROM = 8 << 20  # bytes below which starting threads costs more than it gains
_HASHING_THREADS = 4


class UnkeepableFileError(Exception):
    """An output holds something that is neither file, folder nor link."""


class Artifact(Struct, frozen=True):
    """Content that is in the store."""

    digest: str
    kind: Literal["file", "folder"]
    bytes: int
    files: int

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        return {"digest": self.digest, "kind": self.kind, "bytes": self.bytes, "files": self.files}


class Manifest(Struct, frozen=True):
    """Everything that a file or folder holds, in an order and form that depend on nothing else."""

    kind: Literal["file", "folder"]
    entries: tuple[tuple[str, ...], ...]
    """Relative path, then `folder`; or `file`, `x` or `-`, size, SHA-256; or `link`, target."""

    @property
    def artifact(self) -> Artifact:
        """The manifest, summed up."""
        text = json.dumps([self.kind, *self.entries], separators=(",", ":"))
        sizes = [int(entry[3]) for entry in self.entries if entry[1] == "file"]
        return Artifact(hashlib.sha256(text.encode()).hexdigest(), self.kind, sum(sizes), len(sizes))


class Artifacts:
    """The artifacts of one project. Safe to use from several threads and processes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def path(self, digest: str) -> Path:
        """Where the artifact lies, if it is there."""
        return self._layout.folder / self._layout.artifact(digest)

    def _place(self, digest: str) -> str:
        return f"{self._layout.folder}/{self._layout.artifact(digest)}"

    def is_intact(self, digest: str) -> bool:
        """Whether the artifact is there and holds what it held when it was stored.

        Sizes and times of its files are compared; only where one of them differs is the content hashed again.
        """
        place = self._place(digest)
        try:
            seen = _stamp(place)
            with contextlib.suppress(FileNotFoundError), open(f"{place}.stamps", "rb", 0) as stamps:  # noqa: PTH123 - often
                if stamps.read() == seen.encode():
                    return True
            intact = read_manifest(Path(place)).artifact.digest == digest
        except (OSError, UnkeepableFileError):
            return False
        if intact:
            self.stamps(digest).write_text(seen)
        return intact

    def check(self, digest: str) -> bool:
        """Whether the artifact holds what it held when it was stored: everything in it is read.

        One that does not is not intact either from then on.
        """
        self.stamps(digest).unlink(missing_ok=True)
        return self.is_intact(digest)

    def stored(self) -> frozenset[str]:
        """The digests of everything that lies in the store, whether the history knows of it or not."""
        return frozenset(path.name for path in self._layout.artifacts.glob("??/*") if path.suffix != ".stamps")

    def quarantine(self, digest: str) -> Path:
        """Put a damaged artifact aside, where nothing finds it but its owner; returns where that is."""
        self._layout.quarantine.mkdir(exist_ok=True)
        aside = free_name(self._layout.quarantine / digest)
        move(self.path(digest), aside)
        self.stamps(digest).unlink(missing_ok=True)
        return aside

    def stamps(self, digest: str) -> Path:
        """What `is_intact` remembers of the artifact."""
        return self._layout.artifacts / f"{digest[:2]}/{digest}.stamps"

    def commit(self, path: Path) -> Artifact:
        """Move a file or folder into the store, or leave it where it is if the store has the same content already."""
        artifact = read_manifest(path, normalise=True).artifact
        place = self.path(artifact.digest)
        if place.exists() and not self.is_intact(artifact.digest):
            remove_tree(place)
        if not place.exists():
            flush_tree(path)
            if not place.parent.exists():
                place.parent.mkdir(exist_ok=True)
                flush(self._layout.artifacts)
            try:
                path.rename(place)
            except OSError:
                if not place.exists():
                    raise  # another process has just stored the same
            else:
                if artifact.kind == "folder":
                    place.chmod(0o555)
                self.stamps(artifact.digest).write_text(_stamp(str(place)))
        flush(place.parent)  # whoever put it there
        return artifact


def read_manifest(path: Path, *, normalise: bool = False, keep: Callable[[str], bool] = lambda _: True) -> Manifest:
    """The manifest of a file or folder. Links are taken as links.

    `normalise` makes everything in it read-only, and readable for all.
    `keep` says by its name whether something below the top belongs to it.
    """
    if stat.S_ISDIR(path.lstat().st_mode):
        # Renaming a folder needs the right to write to it: the top stays writable until it is in its place.
        return Manifest("folder", tuple(sorted(_hashed(list(_walk(path, normalise, keep))))))
    return Manifest("file", tuple(_hashed([_found(path, "", path.lstat(), normalise)])))


class _Found(Struct, frozen=True):
    path: Path
    name: str
    kind: Literal["file", "folder", "link"]
    executable: bool = False
    size: int = 0


def _walk(top: Path, normalise: bool, keep: Callable[[str], bool]) -> Iterator[_Found]:
    pending = [(top, "")]
    while pending:
        folder, prefix = pending.pop()
        if normalise:
            folder.chmod(0o555 if prefix else 0o755)
        with os.scandir(folder) as entries:
            for entry in entries:
                if not keep(entry.name):
                    continue
                status = entry.stat(follow_symlinks=False)
                found = _found(folder / entry.name, prefix + entry.name, status, normalise)
                yield found
                if found.kind == "folder":
                    pending.append((found.path, found.name + "/"))


def _found(path: Path, name: str, status: os.stat_result, normalise: bool) -> _Found:
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        return _Found(path, name, "folder")
    if stat.S_ISLNK(mode):
        return _Found(path, name, "link")
    if not stat.S_ISREG(mode):
        raise UnkeepableFileError(f"{name or path.name} is neither a file, a folder nor a link")
    executable = bool(mode & stat.S_IXUSR)
    if normalise:
        path.chmod(0o555 if executable else 0o444)
    return _Found(path, name, "file", executable, status.st_size)


def _hashed(found: list[_Found]) -> list[tuple[str, ...]]:
    files = [each for each in found if each.kind == "file"]

    def digest(each: _Found) -> str:
        with each.path.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    if sum(each.size for each in files) < _PARALLEL_FROM:
        digests = list(map(digest, files))
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_HASHING_THREADS) as pool:
            digests = list(pool.map(digest, files))
    entries: list[tuple[str, ...]] = [
        (each.name, "file", "x" if each.executable else "-", str(each.size), sha256)
        for each, sha256 in zip(files, digests, strict=True)
    ]
    entries += [(each.name, "folder") for each in found if each.kind == "folder"]
    entries += [(each.name, "link", str(each.path.readlink())) for each in found if each.kind == "link"]
    return entries


def _stamp(path: str) -> str:
    """A digest of the names, sizes and times of everything in a file or folder."""
    status = os.lstat(path)
    lines = [f". {status.st_mode} {status.st_size} {status.st_mtime_ns}"]
    pending = [("", path)] if stat.S_ISDIR(status.st_mode) else []
    while pending:
        prefix, folder = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                lines.append(f"{prefix}{entry.name} {status.st_mode} {status.st_size} {status.st_mtime_ns}")
                if stat.S_ISDIR(status.st_mode):
                    pending.append((f"{prefix}{entry.name}/", entry.path))
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


def text_digest(text: str) -> str:
    """The digest that a file with exactly this text has in the store."""
    content = text.encode()
    entry = ("", "file", "-", str(len(content)), hashlib.sha256(content).hexdigest())
    return Manifest("file", (entry,)).artifact.digest
