"""Tests marked `docker` run against a real engine: without one they are skipped, or fail where it is required."""

import functools
import os

import pytest

from wf.backends.engine import find_engine
from wf.errors import EnvironmentProblem
from wf.settings import DockerSettings


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
        if os.environ.get("WF_REQUIRE_DOCKER", "0") != "0":
            pytest.fail(f"WF_REQUIRE_DOCKER is set, but {problem}", pytrace=False)
        pytest.skip(problem)


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
    reason = "the engine has none of wf's base images: run `containers/base/bootstrap`"
    if os.environ.get("WF_REQUIRE_DOCKER", "0") != "0":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
