"""Projects in the Gradient format, and small images that say more than the base image does."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gradient.project import Gradient, build
from wf.backends.engine import find_engine


@pytest.fixture
def gradient(tmp_path: Path, base_image: str) -> Gradient:
    """A project whose image is the base image: no entrypoint, root, `/`."""
    return Gradient(tmp_path, base_image)


@pytest.fixture(scope="session")
def opinionated_image(base_image: str) -> Iterator[str]:
    """An image with an entrypoint, a command, a working directory, a user and a variable of its own."""
    with contextlib.closing(find_engine().connect()) as client:
        tag = build(
            client,
            base_image,
            "wf-test/opinionated:1",
            Entrypoint=["echo", "entrypoint"],
            Cmd=["command"],
            WorkingDir="/srv/app",
            User="1234:1234",
            Env=["CITY=Oslo", "RIVER=Aker", "PATH=/usr/local/bin:/usr/bin:/bin"],
        )
        yield tag
        client.remove_image(tag)


@pytest.fixture
def opinionated(tmp_path: Path, opinionated_image: str) -> Gradient:
    """A project whose image has opinions."""
    return Gradient(tmp_path, opinionated_image)
