"""The fixture of deployments."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments.lab import Lab
from tests.projects import make_project


@pytest.fixture
def lab(base_image: str, tmp_path: Path) -> Iterator[Lab]:
    """A project of its own; nothing of it is left afterwards."""
    make_project(tmp_path, "jobs: {}")
    (tmp_path / "wf.toml").write_text(
        '[images]\n"haproxy:*" = "./containers/proxy"\n"busybox:*" = "./containers/proxy"\n'
    )
    made = Lab(tmp_path, base_image)
    yield made
    made.clean()
