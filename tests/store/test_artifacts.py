"""`wf.store.artifacts`: content under its digest."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import tree
from wf.store.artifacts import Artifact, Artifacts, UnkeepableFileError, read_manifest
from wf.store.layout import Layout, remove_tree


@pytest.fixture(name="artifacts")
def _artifacts(tmp_path: Path) -> Artifacts:
    layout = Layout(tmp_path)
    layout.create()
    return Artifacts(layout)


def make(folder: Path) -> Path:
    """A folder with a file, a program, an empty folder, a file below and a link out of it."""
    (folder / "sub").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "a").write_text("text")
    (folder / "run.sh").write_text("#!/bin/sh")
    (folder / "run.sh").chmod(0o700)
    (folder / "sub" / "b").write_text("")
    (folder / "link").symlink_to("/etc/passwd")
    return folder


def _replace_link(top: Path) -> None:
    (top / "link").unlink()
    (top / "link").symlink_to("/etc/group")


def _make_file_of_folder(top: Path) -> None:
    (top / "empty").rmdir()
    (top / "empty").touch()


_CHANGES: tuple[Callable[[Path], object], ...] = (
    lambda top: (top / "a").write_text("texT"),
    lambda top: (top / "a").rename(top / "c"),
    lambda top: (top / "a").chmod(0o700),
    lambda top: (top / "empty").rmdir(),
    _replace_link,
    _make_file_of_folder,
)


def test_commit_moves_into_the_store(artifacts: Artifacts, tmp_path: Path) -> None:
    """A folder is moved, whole, with its links as links, and summed up."""
    artifact = artifacts.commit(make(tmp_path / "out"))

    assert artifact.kind == "folder"
    assert (artifact.bytes, artifact.files) == (13, 3)
    assert not (tmp_path / "out").exists()
    assert tree(artifacts.path(artifact.digest)) == {
        "a": "text",
        "empty": "/",
        "link": "-> /etc/passwd",
        "run.sh": "#!/bin/sh",
        "sub": "/",
        "sub/b": "",
    }


def test_digest_is_pinned(tmp_path: Path) -> None:
    """The digest of known content never changes: stores of older versions stay good."""
    (tmp_path / "file").write_text("text")

    assert read_manifest(make(tmp_path / "out")).artifact.digest == (
        "d64bd4db39cbac45224c9f5cdfb5839ec9f284f0ead1fa00d59041c6de2d9af2"
    )
    assert read_manifest(tmp_path / "file").artifact == Artifact(
        "402860abfc42a6c32cb31c4400e5f86b3238b7239d227d12246e2031a68211c0", "file", 4, 1
    )


def test_digest_depends_on_content_only(tmp_path: Path) -> None:
    """Times, owners and read permissions do not matter; names, bytes, the right to execute, links and kinds do."""
    first = read_manifest(make(tmp_path / "1")).artifact.digest
    other = make(tmp_path / "2")
    os.utime(other / "a", (1, 1))
    (other / "a").chmod(0o600)
    assert read_manifest(other).artifact.digest == first

    changed = set()
    for number, change in enumerate(_CHANGES):
        folder = make(tmp_path / f"changed{number}")
        change(folder)
        changed.add(read_manifest(folder).artifact.digest)

    assert len(changed) == len(_CHANGES)
    assert first not in changed


def test_everything_is_read_only(artifacts: Artifacts, tmp_path: Path) -> None:
    """An artifact cannot be written to and can be read by all; what a link in it names is not touched."""
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0o640)
    folder = make(tmp_path / "out")
    (folder / "a").chmod(0o200)
    (folder / "outside").symlink_to(outside)

    path = artifacts.path(artifacts.commit(folder).digest)

    modes = {name: stat.S_IMODE((path / name).lstat().st_mode) for name in (".", "a", "run.sh", "sub", "sub/b")}
    assert modes == {".": 0o555, "a": 0o444, "run.sh": 0o555, "sub": 0o555, "sub/b": 0o444}
    assert stat.S_IMODE(outside.stat().st_mode) == 0o640


def test_equal_content_is_stored_once(artifacts: Artifacts, tmp_path: Path) -> None:
    """A second commit of the same content leaves it where it is and keeps the first."""
    first = artifacts.commit(make(tmp_path / "out"))
    inode = artifacts.path(first.digest).stat().st_ino

    second = artifacts.commit(make(tmp_path / "again"))

    assert first == second
    assert artifacts.path(first.digest).stat().st_ino == inode
    assert (tmp_path / "again").exists()


def test_commits_at_once(artifacts: Artifacts, tmp_path: Path) -> None:
    """The same content from many threads at once is stored once, and no commit fails."""
    folders = [make(tmp_path / f"out{number}") for number in range(16)]

    with ThreadPoolExecutor(8) as pool:
        digests = {artifact.digest for artifact in pool.map(artifacts.commit, folders)}

    assert len(digests) == 1
    assert sum(folder.exists() for folder in folders) == 15


def test_large_files(artifacts: Artifacts, tmp_path: Path) -> None:
    """Files hashed in several threads have the digest that they have in one."""
    folder = tmp_path / "out"
    folder.mkdir()
    for number in range(4):
        (folder / str(number)).write_bytes(bytes([number]) * (3 << 20))
    small = [(str(number), "file", "-", str(3 << 20)) for number in range(4)]

    manifest = read_manifest(folder)

    assert [entry[:4] for entry in manifest.entries] == small
    assert len({entry[4] for entry in manifest.entries}) == 4
    assert artifacts.commit(folder) == manifest.artifact


def test_what_cannot_be_kept(artifacts: Artifacts, tmp_path: Path) -> None:
    """A pipe, or anything else that is neither file, folder nor link, is named and refused."""
    folder = make(tmp_path / "out")
    os.mkfifo(folder / "sub" / "pipe")

    with pytest.raises(UnkeepableFileError, match=r"^sub/pipe is neither a file, a folder nor a link$"):
        artifacts.commit(folder)


def test_odd_names(artifacts: Artifacts, tmp_path: Path) -> None:
    """Names that are not UTF-8, or hold line ends, are kept as they are."""
    folder = tmp_path / "out"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n")).write_text("x")

    path = artifacts.path(artifacts.commit(folder).digest)

    assert [os.fsencode(each.name) for each in path.iterdir()] == [b"\xff\n"]


def test_remove_tree(tmp_path: Path) -> None:
    """A read-only tree is removed; what its links name is not; nothing is not an error."""
    folder = make(tmp_path / "out")
    keep = tmp_path / "keep"
    keep.mkdir()
    (folder / "out-link").symlink_to(keep)
    read_manifest(folder, normalise=True)
    folder.chmod(0o555)

    remove_tree(folder)
    remove_tree(folder)

    assert [path.name for path in tmp_path.iterdir()] == ["keep"]
