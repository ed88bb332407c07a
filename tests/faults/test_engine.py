"""An engine that is killed while `wf` lives, and comes back."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.engine import PrivateEngine
from tests.faults.project import Faulty
from tests.needs import missing

pytestmark = pytest.mark.docker

_SCRIPT = "echo A >> /storage/ledger; for i in 1 2 3 4; do echo $i; sleep 1; done; echo whole > /outputs/x/file"
_SOON = 5
"""Lines within which the job prints its first for the first time."""
_LONG_ENOUGH = 6
"""Seconds after which the job has ended."""


@pytest.fixture(name="engine", scope="module")
def _engine(tmp_path_factory: pytest.TempPathFactory, base_image: str) -> Iterator[PrivateEngine]:
    if not shutil.which("dockerd") or not shutil.which("containerd"):
        missing("an engine of its own needs dockerd and containerd here")
    engine = PrivateEngine(tmp_path_factory.mktemp("engine"), base_image, bridge=f"wf{uuid4().hex[:8]}")
    yield engine
    engine.close()


def told_without_engine(
    project: Faulty, engine: PrivateEngine, base_image: str, *options: str, away: float = 0.0
) -> str:
    """Run a job whose engine is killed once it has printed, and begun again later; returns what `wf` said."""
    job = {"uses": "script@v1", "with": {"image": base_image, "script": _SCRIPT}, "outputs": {"x": {"type": "volume"}}}
    (project.root / "flow.yaml").write_text(f"jobs: {{A: {job}}}")
    told = []
    with project.start("run", "flow.yaml", "--output", "plain") as wf:
        assert wf.stdout is not None
        for line in wf.stdout:
            told.append(line)
            if line.endswith("│ 1\n") and len(told) < _SOON:
                engine.end()
                time.sleep(away)
                engine.begin(*options)
    assert wf.returncode == 0, "".join(told)
    return "".join(told)


def test_a_job_that_ends_without_its_engine_has_ended(engine: PrivateEngine, tmp_path: Path, base_image: str) -> None:
    """Its outputs count. What it printed meanwhile is lost, which a note says."""
    project = Faulty.make(tmp_path / "project", "docker", base_image, engine.address)
    note = "and the job has ended well meanwhile; the engine keeps nothing that was printed while it was away"
    assert note in told_without_engine(project, engine, base_image, away=_LONG_ENOUGH)
    assert project.starts() == {"A": 1}
    assert project.wf("logs", "1", "A")[1].split() == ["1"]


@pytest.mark.parametrize(
    ("options", "note", "starts"),
    [
        ((), "the engine is back: the job starts once more", 2),
        (("--live-restore",), "the engine is back, and the job outlived it", 1),
    ],
)
def test_a_run_survives_its_engine(
    options: tuple[str, ...], note: str, starts: int, engine: PrivateEngine, tmp_path: Path, base_image: str
) -> None:
    """A container that outlives it is carried on with; else its job starts once more. Nothing is left."""
    if options:
        engine.end()
        engine.begin(*options)
    project = Faulty.make(tmp_path / "project", "docker", base_image, engine.address)
    assert note in told_without_engine(project, engine, base_image, *options)
    assert project.starts() == {"A": starts}
    assert project.wf("logs", "1", "A")[1].split() == ["1", "2", "3", "4"]
    ps = ["docker", "-H", engine.address, "ps", "--all", "--quiet"]
    assert subprocess.run(ps, check=True, capture_output=True).stdout == b""
