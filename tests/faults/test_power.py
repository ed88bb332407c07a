"""What a power cut can take: what is written to the disk before what, and what becomes of that which is lost."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Project, job, tree
from wf.store.layout import remove_tree

MAKE = job(outputs={"x": "numbers"}, leaves={"x": "one"}, reuse=True)


def _watch(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is flushed, moved and committed from now on; nothing is kept from happening."""
    told: list[str] = []
    fsync, rename, sync = os.fsync, os.rename, os.sync

    def _place(path: object) -> str:
        return str(path).removeprefix(f"{project.root}/.wf/")

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        told.append(f"flushed {_place(Path(f'/proc/self/fd/{descriptor}').readlink())}")

    def watched_rename(old: Path, new: Path) -> None:
        rename(old, new)
        told.append(f"moved {_place(old)} to {_place(new)}")

    def watched_sync() -> None:
        sync()
        told.append("flushed everything")

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    monkeypatch.setattr(os, "sync", watched_sync)
    project.store._connection.set_trace_callback(
        lambda statement: told.append(statement) if "synchronous" in statement or statement == "COMMIT" else None
    )
    return told


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux says which file is flushed")
def test_an_output_is_on_the_disk_before_a_row_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First its bytes, then its folder, then its name in the store; at last the row, which is flushed too."""
    project = Project(tmp_path)
    told = _watch(project, monkeypatch)

    project.run("a", a=MAKE)

    (output,) = project.store.history.jobs(1)[0].outputs
    place, outputs = f"artifacts/{output.digest[:2]}", "runs/1/jobs/a/outputs"
    steps = [
        f"flushed {outputs}/x/data",
        f"flushed {outputs}/x",
        "flushed artifacts",
        f"moved {outputs}/x to {place}/{output.digest}",
        f"flushed {place}",
        "PRAGMA synchronous = FULL",
        "COMMIT",
    ]
    begin = told.index(steps[0])
    assert told[begin : begin + len(steps)] == steps


def test_many_files_are_flushed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the folder gets its name."""
    project = Project(tmp_path)
    told = _watch(project, monkeypatch)

    def leave(launch: object) -> None:
        for number in range(100):
            (launch.outputs / "x" / str(number)).write_text("")  # type: ignore[attr-defined]

    project.run("a", a=job(outputs={"x": "numbers"}, does=leave))

    kinds = [each.split()[0] for each in told if each == "flushed everything" or each.startswith("moved")]
    assert kinds == ["flushed", "moved"]


def _truncate(artifact: Path) -> None:
    os.truncate(artifact / "data", 0)


def _empty(artifact: Path) -> None:
    artifact.chmod(0o755)
    (artifact / "data").unlink()


def _fill_with_zeros(artifact: Path) -> None:
    """As file systems do whose journal knows a size before the bytes are there; what was noted about it is gone."""
    status = (artifact / "data").stat()
    (artifact / "data").chmod(0o644)
    (artifact / "data").write_bytes(bytes(status.st_size))
    (artifact / "data").chmod(0o444)
    os.utime(artifact / "data", ns=(status.st_atime_ns, status.st_mtime_ns))
    artifact.with_suffix(".stamps").write_text("")


@pytest.mark.parametrize("spoil", [_truncate, _empty, _fill_with_zeros, remove_tree])
def test_what_is_lost_is_not_served_but_made_anew(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    """By the next run, and by one that is resumed."""
    project = Project(tmp_path)
    project.run("a -> b", a=MAKE, b=job(exit=1))
    spoil(project.store.history.jobs(1)[0].outputs[0].path)

    assert project.store.history.finished_jobs(1) == ()
    project.run("a -> b", a=MAKE)

    assert project.decisions()[0] == "a ran: its outputs of run 1 are gone, or changed"
    assert tree(project.store.history.jobs(2)[0].outputs[0].path) == {"data": "one"}
    assert project.store.check(repair=False, tell=lambda _: None).is_sound


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.9, 0.99])
def test_a_history_that_ends_anywhere_can_be_gone_on_with(kept: float, tmp_path: Path) -> None:
    """Of its journal some part is there: it tells of some of what happened, all of which is true."""
    before = Project(tmp_path / "before")
    before.store.history._connection.execute("PRAGMA wal_autocheckpoint = 0")
    before.run("a -> b", a=MAKE)
    shutil.copytree(before.root, tmp_path / "after", symlinks=True)
    before.store.close()
    journal = tmp_path / "after" / ".wf" / "wf.db-wal"
    os.truncate(journal, int(journal.stat().st_size * kept))
    (tmp_path / "after" / ".wf" / "wf.db-shm").unlink()

    after = Project(tmp_path / "after")
    after.store.history.recover()
    after.run("a -> b", a=MAKE)

    assert [line.split()[-1] for line in after.story()[-2:]] == ["succeeded", "succeeded"]
    after.store.check(repair=True, tell=lambda _: None)
    assert after.store.check(repair=False, tell=lambda _: None).is_sound
