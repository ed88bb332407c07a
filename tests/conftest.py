"""Tests marked `docker` run against a real engine: without one they are skipped, or fail where it is required."""

import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from tests.harness import Clock, Project
from tests.needs import missing
from wf.backends.engine import find_engine
from wf.errors import EnvironmentProblem
from wf.settings import DockerSettings

# How long an example takes, or is sought, says more about what else the machine does than about what is tested.
settings.register_profile("busy", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@functools.cache
def _docker_problem() -> str:
    """Why tests cannot use Docker here, or nothing."""
    try:
        find_engine()
    except EnvironmentProblem as problem:
        return str(problem)
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail, before a test that needs what is not there."""
    if item.get_closest_marker("docker") and (problem := _docker_problem()):
        missing(problem)


@pytest.fixture(autouse=True)
def _same_steps() -> Iterator[None]:
    """A test may compile another project's workflow, whose package `steps` then takes this project's place."""
    path, loaded = list(sys.path), _step_modules()
    yield
    if sys.modules.get("steps") is not loaded.get("steps"):
        for name in _step_modules():
            del sys.modules[name]
        sys.modules.update(loaded)
    sys.path[:] = path


def _step_modules() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.copy().items() if name.partition(".")[0] == "steps"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in an empty folder, whose jobs run in the fake backend."""
    return Project(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which limits of time are kept."""
    return Clock(monkeypatch)


@pytest.fixture(scope="session")
def base_image() -> str:
    """An image with Python that the engine has already."""
    import docker.errors

    client = find_engine().connect()
    for ref in (os.environ.get("WF_BASE_IMAGE"), *DockerSettings().base_images):
        try:
            if ref and client.inspect_image(ref):
                return ref
        except docker.errors.ImageNotFound:
            continue
    return missing("the engine has none of wf's base images: run `containers/base/bootstrap`")
