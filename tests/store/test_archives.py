"""Archives become datasets, and nothing in one reaches outside of its folder."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import tree
from wf.errors import InvalidWorkflow
from wf.store import Store


def write_zip(path: Path, *entries: tuple[str, str, bool]) -> Path:
    """A zip file of these names and contents; `True` makes a link whose target is the content."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, is_link in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if is_link else 0o100644) << 16
            archive.writestr(info, content)
    return path


def write_tar(path: Path, *entries: tuple[str, str, bool]) -> Path:
    """The same as a tar file."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content, is_link in entries:
            info = tarfile.TarInfo(name)
            if is_link:
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
    return path


WRITERS = [(write_zip, "a.zip"), (write_tar, "a.tar.gz")]


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_what_an_archive_holds_is_imported(tmp_path: Path, write: Callable[..., Path], name: str) -> None:
    """Folders, files, and links that stay inside."""
    path = write(tmp_path / name, ("sub/a", "one", False), ("b", "two", False), ("sub/l", "../b", True))
    store = Store.open(tmp_path)

    version = store.datasets.import_path("mine", path, unpack=True).version

    assert tree(store.artifacts.path(version.digest)) == {"b": "two", "sub": "/", "sub/a": "one", "sub/l": "-> ../b"}


@pytest.mark.parametrize(("write", "archive"), WRITERS)
@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([("../out", "x", False)], "`../out` lies outside of it"),
        ([("a/../../out", "x", False)], "`a/../../out` lies outside of it"),
        ([("/out", "x", False)], "`/out` lies outside of it"),
        ([("l", "/etc", True)], "`l` is a link that leads out of it, to `/etc`"),
        ([("l", "..", True), ("l/out", "x", False)], "`l/out` lies behind a link"),
        ([("x", "p/q/../..", True), ("p/q", "..", True)], "`x` is a link that leads out of it, to `p/q/../..`"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(
    tmp_path: Path, write: Callable[..., Path], archive: str, entries: list[tuple[str, str, bool]], why: str
) -> None:
    """By its names or its links, even one that leads out only once another is there; nothing of it is left."""
    path = write(tmp_path / archive, *entries)
    store = Store.open(tmp_path)

    with pytest.raises(InvalidWorkflow) as caught:
        store.datasets.import_path("mine", path, unpack=True)

    assert str(caught.value) == f"the archive cannot be unpacked: {why}"
    assert store.datasets.all() == ()
    assert list(store.layout.temporary.iterdir()) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == [".wf", archive]


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """By its name and by what it begins with."""
    path = tmp_path / "data.zip"
    path.write_text("no")

    with pytest.raises(InvalidWorkflow, match=r"^`.*/data.zip` is not an archive$"):
        Store.open(tmp_path).datasets.import_path("mine", path, unpack=True)
