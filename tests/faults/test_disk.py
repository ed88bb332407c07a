"""A disk that is full, a store that cannot be written, a clock that jumps, an image that is gone."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.project import Faulty
from tests.harness import Project, job
from wf.errors import EnvironmentProblem


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=False, capture_output=True)
    if mount.returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_said_and_costs_nothing(small_disk: Path) -> None:
    """The job fails, the store stays whole, and once there is room the run can go on."""
    project = Project(small_disk)
    filler = small_disk / "filler"

    def fill(launch: object) -> None:
        size = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
        filler.write_bytes(bytes(max(0, size - (64 << 10))))
        (launch.outputs / "x" / "data").write_bytes(bytes(256 << 10))  # type: ignore[attr-defined]

    make = job(outputs={"x": "numbers"}, does=fill, reuse=True)
    try:
        project.run("a", a=make)
        assert project.story()[0].startswith("a failed: ")
    except EnvironmentProblem as problem:
        assert "disk" in f"{problem} {problem.hint}"  # noqa: PT017 -- either is right, and each is checked
    filler.unlink()
    project.store.close()

    again = Project(small_disk)
    again.store.history.mark_swept([run.id for run in again.store.history.recover()])
    again.run("a", a=job(outputs={"x": "numbers"}, leaves={"x": "one"}, reuse=True))
    assert again.story() == ["a succeeded"]
    assert again.store.check(repair=True, tell=lambda _: None).is_sound
    again.store.close()


@pytest.mark.parametrize("used", [False, True])
def test_a_store_that_cannot_be_written_is_said(used: bool, small_disk: Path) -> None:
    """In one sentence, with 3; before anything has run, and after."""
    project = Faulty.make(small_disk / "project", "process", "")
    if used:
        assert project.wf("runs")[0] == 0
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    code, told = project.wf("run", "flow.yaml", "--backend", "process")

    assert code == 3
    assert told.startswith(
        f"error: the history in {project.root}/.wf/wf.db cannot be used: "
        if used
        else f"error: {project.root}/.wf cannot be written: Read-only file system\n"
    )


def test_a_clock_that_jumps_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what is reused nor which version is the latest depends on the time of day."""
    from datetime import UTC, datetime

    project = Project(tmp_path)
    project.run("a", a=job(outputs={"x": "numbers"}, leaves={"x": "one"}, reuse=True))
    past = datetime(1999, 1, 1, tzinfo=UTC)
    for module in ("history", "datasets"):
        monkeypatch.setattr(f"wf.store.{module}.now", lambda: past)

    project.run("a", a=job(outputs={"x": "numbers"}, leaves={"x": "two"}, reuse=True))
    latest = project.store.datasets.find("numbers")
    project.run("a", a=job(outputs={"x": "numbers"}, leaves={"x": "two"}, reuse=True))

    assert latest.run == 2
    assert project.decisions() == ["a from 2"]
    assert [run.id for run in project.store.history.runs()] == [3, 2, 1]
