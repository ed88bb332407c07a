"""What stops a run in Docker before anything starts: each is named, with what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backends.tasks import Lab, make_plan, make_task
from wf.backends.base import Exit
from wf.backends.docker import DockerBackend
from wf.backends.engine import Engine, find_engine
from wf.errors import EnvironmentProblem
from wf.plan import Resources, Task
from wf.settings import Settings

pytestmark = pytest.mark.docker


def test_a_missing_gpu_is_named_with_its_job(lab: Lab, client: Any, python: Callable[..., Task]) -> None:
    """A job that insists on a GPU is refused before anything starts; `auto` goes without."""
    if find_engine().gpu_driver:
        pytest.skip("this engine has a GPU")
    assert lab.run(python("print('ran')", resources=Resources(gpus="auto"))) == (b"ran\n", Exit(0))
    with pytest.raises(EnvironmentProblem) as caught:
        lab.start(python("", resources=Resources(gpus=1)))
    assert str(caught.value) == (
        "job `job` needs `gpus: 1`, but the Docker engine has no NVIDIA runtime and no CDI device for one; "
        "`gpus: auto` runs without one too"
    )


def test_too_many_cpus_are_named_with_their_job(lab: Lab, python: Callable[..., Task]) -> None:
    """A job that wants more CPUs than the engine has is refused with both numbers."""
    with pytest.raises(EnvironmentProblem) as caught:
        lab.start(python("", resources=Resources(cpus=1000)))
    cpus = find_engine().cpus
    assert str(caught.value) == f"job `job` wants 1000 CPUs, but there are {cpus}: lower `resources.cpus`"


def test_every_missing_image_is_named_at_once(lab: Lab, tmp_path: Path) -> None:
    """Images that can neither be found nor pulled are named together."""
    tasks = [make_task("true", image=f"registry.invalid/{name}:1", id=name) for name in ("one", "two", "one-more")]
    with pytest.raises(EnvironmentProblem) as caught:
        lab.backend.prepare(make_plan(tmp_path, *tasks), lab.told.append)
    starts = [line.split(" cannot be pulled: ")[0] for line in str(caught.value).splitlines()]
    assert starts == [
        f"image `registry.invalid/{name}:1` is not in the engine and" for name in ("one", "two", "one-more")
    ]


@pytest.mark.parametrize(
    ("address", "reason"),
    [("unix:///nowhere/docker.sock", "nothing listens there"), ("tcp://127.0.0.1:1", "nothing listens there")],
)
def test_an_engine_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, reason: str
) -> None:
    """Without an engine there is one sentence, with the address that was tried."""
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(EnvironmentProblem) as caught:
        DockerBackend(tmp_path, Settings()).prepare(make_plan(tmp_path), print)
    assert str(caught.value) == f"no Docker engine answers at {address}: {reason}"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than the least room on a disk that the run fills stops it before it starts."""
    monkeypatch.setattr("wf.backends.preflight.ROOM_TO_START", 1 << 60)
    engine = find_engine()
    distant = Engine({"base_url": "tcp://elsewhere"}, engine.version, engine.api, engine.info)
    with pytest.raises(EnvironmentProblem) as caught:
        DockerBackend(tmp_path, Settings(), distant).prepare(make_plan(tmp_path), print)
    assert str(caught.value).startswith(f"the disk of {tmp_path} is nearly full: ")
    assert str(caught.value).endswith(f" free, at least {1 << 30}.0 GiB needed")
