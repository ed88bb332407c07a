"""Archives unpacked into a folder, and nothing outside of it: whatever their names and links say."""

import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from msgspec import Struct

from wf.errors import InvalidWorkflow, Problem

_ENDINGS: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


class _Entry(Struct, frozen=True):
    name: str
    content: IO[bytes] | None = None
    """Of a file."""
    executable: bool = False
    link: str = ""
    """The target of a link."""
    same_as: str = ""
    """The name of an earlier file with the same content."""


def is_archive(path: Path) -> bool:
    """Whether a file is one by its name, and by what it begins with."""
    if not path.is_file() or not path.name.lower().endswith(_ENDINGS):
        return False
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def extract(path: Path, folder: Path) -> None:
    """Unpack a zip or tar file into a folder that exists.

    Raises:
        InvalidWorkflow: it is broken, or something in it would lie, or lead, outside; the folder may hold a part of it.
    """
    try:
        if zipfile.is_zipfile(path):
            with path.open("rb") as file:
                extract_zip(file, folder)
        else:
            with tarfile.open(path) as archive:
                _write(_tar_entries(archive), folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise InvalidWorkflow([Problem(f"`{path}` cannot be unpacked: {error}")]) from None


def extract_zip(file: IO[bytes], folder: Path) -> None:
    """Unpack a zip file; see `extract`."""
    with zipfile.ZipFile(file) as archive:
        _write(_zip_entries(archive), folder)


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if info.is_dir():
            yield _Entry(info.filename)
        elif stat.S_ISLNK(mode):
            yield _Entry(info.filename, link=archive.read(info).decode())
        else:
            with archive.open(info) as content:
                yield _Entry(info.filename, content, bool(mode & stat.S_IXUSR))


def _tar_entries(archive: tarfile.TarFile) -> Iterator[_Entry]:
    for info in archive:
        if info.isdir():
            yield _Entry(info.name)
        elif info.issym():
            yield _Entry(info.name, link=info.linkname)
        elif info.islnk():
            yield _Entry(info.name, same_as=info.linkname)
        elif info.isreg():
            content = archive.extractfile(info)
            assert content is not None, "a file of a tar archive has content"
            yield _Entry(info.name, content, bool(info.mode & stat.S_IXUSR))
        else:
            raise _refused(info.name, "is neither a file, a folder nor a link")


def _write(entries: Iterator[_Entry], folder: Path) -> None:
    top = folder.resolve()
    links = []
    for entry in entries:
        place = _place(top, entry.name)
        if place == top:
            continue
        if entry.link:
            place.unlink(missing_ok=True)
            place.symlink_to(entry.link)
            links.append((place, entry))
        elif entry.same_as:
            shutil.copy(_place(top, entry.same_as), place)
        elif entry.content is None:
            place.mkdir(exist_ok=True)
        else:
            place.unlink(missing_ok=True)  # never write through a link
            with place.open("wb") as file:
                shutil.copyfileobj(entry.content, file)
            place.chmod(0o755 if entry.executable else 0o644)
    for place, entry in links:  # at last: where a link leads depends on those that came after it
        if place.is_symlink() and not Path(os.path.realpath(place)).is_relative_to(top):
            raise _refused(entry.name, f"is a link that leads out of it, to `{entry.link}`")


def _place(top: Path, name: str) -> Path:
    """Where an entry goes, its parents made."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise _refused(name, "lies outside of it")
    place = top.joinpath(*path.parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.parent.resolve() != place.parent:
        raise _refused(name, "lies behind a link")
    return place


def _refused(name: str, why: str) -> InvalidWorkflow:
    return InvalidWorkflow([Problem(f"the archive cannot be unpacked: `{name}` {why}")])
