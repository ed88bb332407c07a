"""What the tests of the recommender's steps share: one split and one trained model, since training takes seconds."""

import shutil
from pathlib import Path

import pytest

from steps import partitions, row_batches
from steps.export import main as export
from steps.train import main as train
from tests.steps.synthetic_ratings import write_split

SMALL_MODEL = ["--epochs=4", "--batch-size=64", "--embedding-size=8", "--layers=16,8", "--l2=0.0001"]
"""Flags of a training that takes a second or two and learns something."""


@pytest.fixture(autouse=True)
def _no_comet_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own Comet configuration must not make a test talk to Comet."""
    monkeypatch.setenv("COMET_API_KEY", "")


@pytest.fixture(name="rows_at_once", params=[None, 2], ids=["whole", "in parts"])
def _rows_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps see a tiny table whole, and then two rows at a time: what comes out is the same."""
    if request.param:
        monkeypatch.setattr(row_batches, "BATCH", request.param)
        monkeypatch.setattr(partitions, "ROWS", request.param)


@pytest.fixture(name="inputs", scope="session")
def _inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inputs folder with a `split` and the `model` that was trained on it."""
    inputs = tmp_path_factory.mktemp("inputs")
    write_split(inputs / "split")
    folders = [f"--inputs-dir={inputs}", f"--outputs-dir={inputs}"]
    assert train([*SMALL_MODEL, *folders, "--tracking=off"]) == 0
    return inputs


@pytest.fixture(name="exported", scope="session")
def _exported(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SavedModel of that model."""
    outputs = tmp_path_factory.mktemp("exported")
    assert export([f"--inputs-dir={inputs}", f"--outputs-dir={outputs}"]) == 0
    return outputs / "saved_model"


@pytest.fixture(name="remembering", scope="session")
def _remembering(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `model` that remembers what users rated, and its `saved_model`."""
    folder = tmp_path_factory.mktemp("remembering")
    shutil.copytree(inputs / "split", folder / "split")
    folders = [f"--inputs-dir={folder}", f"--outputs-dir={folder}"]
    assert train(["--model=history", "--epochs=2", "--embedding-size=4", "--tracking=off", *folders]) == 0
    assert export(folders) == 0
    return folder
