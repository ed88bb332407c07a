"""Models and servers that the tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.running import Client, running
from tests.serving.saved_models import echo, half_plus


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models `half` (versions 1 and 2, which adds 3) and `echo` (version 7). Not to be changed."""
    folder = tmp_path_factory.mktemp("models")
    half_plus(folder / "half" / "1", 2.0)
    half_plus(folder / "half" / "2", 3.0)
    echo(folder / "echo" / "7")
    return folder


@pytest.fixture(scope="session")
def half(models: Path) -> Iterator[Client]:
    """Serves `half`."""
    with running("--model_name=half", f"--model_base_path={models / 'half'}") as client:
        yield client


@pytest.fixture(scope="session")
def echoing(models: Path) -> Iterator[Client]:
    """Serves `echo`."""
    with running("--model_name=echo", f"--model_base_path={models / 'echo'}") as client:
        yield client
