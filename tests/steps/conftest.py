"""What the tests of the recommender's steps share: one split and one trained model, since training takes seconds."""

from pathlib import Path

import pytest

from steps.train import main as train
from tests.steps.synthetic_ratings import write_split

SMALL_MODEL = ["--epochs=4", "--batch-size=64", "--embedding-size=8", "--layers=16,8", "--l2=0.0001"]
"""Flags of a training that takes a second or two and learns something."""


@pytest.fixture(autouse=True)
def _no_comet_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own Comet configuration must not make a test talk to Comet."""
    monkeypatch.setenv("COMET_API_KEY", "")


@pytest.fixture(name="inputs", scope="session")
def _inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inputs folder with a `split` and the `model` that was trained on it."""
    inputs = tmp_path_factory.mktemp("inputs")
    write_split(inputs / "split")
    folders = [f"--inputs-dir={inputs}", f"--outputs-dir={inputs}"]
    assert train([*SMALL_MODEL, *folders, "--tracking=off"]) == 0
    return inputs
