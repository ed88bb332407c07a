"""Files of this machine are hashed once for each version of them."""

import os
from pathlib import Path

import pytest

from wf.errors import EnvironmentProblem
from wf.store import Store
from wf.store.artifacts import Manifest, read_manifest

_LONG_AGO = 1_700_000_000


@pytest.fixture(name="reads")
def _reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was read whole, in order; changes count as old at once."""
    reads: list[Path] = []

    def read(path: Path) -> Manifest:
        reads.append(path)
        return read_manifest(path)

    monkeypatch.setattr("wf.store.local_files._STILL_CHANGING", -1.0)
    monkeypatch.setattr("wf.store.local_files.read_manifest", read)
    return reads


def _old(path: Path, text: str) -> Path:
    """Write it, at a moment which the disk's clock tells from that of the last change."""
    before = path.stat().st_ctime_ns if path.exists() else 0
    while not path.exists() or path.stat().st_ctime_ns == before:
        path.write_text(text)
        os.utime(path, (_LONG_AGO, _LONG_AGO))
    return path


def test_a_file_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    """Also by another process that opens the store later."""
    file = _old(tmp_path / "a.csv", "1")
    digest = Store.open(tmp_path).digest_of(file)

    assert Store.open(tmp_path).digest_of(file) == digest
    assert reads == [file]


def test_every_change_is_seen(tmp_path: Path, reads: list[Path]) -> None:
    """Of a file in a folder too; another file of the same size and time in its place; a new name."""
    store, folder = Store.open(tmp_path), tmp_path / "data"
    folder.mkdir()
    _old(folder / "a", "1")
    digests = [store.digest_of(folder)]
    _old(folder / "a", "2")
    digests.append(store.digest_of(folder))
    _old(tmp_path / "other", "3").rename(folder / "a")
    digests.append(store.digest_of(folder))
    (folder / "a").rename(folder / "b")
    digests.append(store.digest_of(folder))

    assert len(set(digests)) == 4
    assert len(reads) == 4


def test_what_has_just_changed_is_read_again(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could change once more within the same tick of the disk's clock."""
    monkeypatch.setattr("wf.store.local_files._STILL_CHANGING", 60.0)
    store = Store.open(tmp_path)
    (tmp_path / "a.csv").write_text("1")

    assert store.digest_of(tmp_path / "a.csv") == store.digest_of(tmp_path / "a.csv")
    assert len(reads) == 2


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(EnvironmentProblem) as caught:
        Store.open(tmp_path).digest_of(tmp_path / "a.csv")
    assert str(caught.value).startswith(f"`{tmp_path / 'a.csv'}` cannot be read: No such file")
