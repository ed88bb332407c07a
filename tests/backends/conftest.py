"""What tests of Docker share."""

import contextlib
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.tasks import Lab, containers_of, make_task
from wf.backends.docker import DockerBackend
from wf.backends.engine import find_engine
from wf.plan import Task
from wf.settings import Settings


@pytest.fixture
def client() -> Iterator[Any]:
    """A connection to the engine."""
    with contextlib.closing(find_engine().connect()) as client:
        yield client


@pytest.fixture
def lab(tmp_path: Path, client: Any) -> Iterator[Lab]:
    """A project of its own, which must leave no container behind."""
    lab = Lab(DockerBackend(tmp_path, Settings()), tmp_path)
    yield lab
    lab.backend.teardown()
    left = containers_of(client, lab)
    for container in left:
        client.remove_container(container["Id"], force=True)
    assert left == []


@pytest.fixture
def python(base_image: str) -> Callable[..., Task]:
    """Makes a step that runs Python code in the base image."""

    def make(code: str, **changes: Any) -> Task:
        return make_task("python3", "-c", textwrap.dedent(code), image=base_image, **changes)

    return make


@pytest.fixture
def shell(base_image: str) -> Callable[..., Task]:
    """Makes a task like `script@v1`, with everything that its image says."""

    def make(script: str, **changes: Any) -> Task:
        return make_task("bash", "-c", script, image=base_image, step=False, **changes)

    return make
