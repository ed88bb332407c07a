"""Tests of `steps.recommender.retrieval_index`, and of the index that is exported with a model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from steps.export import main as export
from steps.recommender.recommend import MATRICES
from steps.recommender.retrieval_index import Leaves, compare
from steps.recommender.saved_model import RECOMMEND, smoke_requests
from steps.recommender.trained_model import load


def test_leaves_hold_several_times_what_is_looked_for() -> None:
    """Of a million vectors a small share is searched, of few all."""
    assert Leaves.suited_to(1_000_000, 100) == Leaves(1000, 60, 1000)
    assert Leaves.suited_to(24, 24) == Leaves(5, 5, 24)


def test_an_index_that_searches_everything_finds_everything() -> None:
    """Compressed vectors choose, whole ones decide: the best are the truly best."""
    random = np.random.default_rng(0)
    vectors, queries = (random.standard_normal((count, 8), np.float32) for count in (400, 40))

    index, found = compare(vectors, queries, 5, Leaves(10, 10, 400))

    assert found.recall == 1.0
    assert (found.vectors, found.size, found.k) == (400, 8, 5)
    products, places = index(tf.constant(queries))
    assert places.numpy()[:, 0].tolist() == (queries @ vectors.T).argmax(axis=1).tolist()
    assert products.numpy()[:, 0] == pytest.approx((queries @ vectors.T).max(axis=1), abs=1e-5)


def test_an_index_recommends_what_the_model_does(remembering: Path, tmp_path: Path) -> None:
    """Where it searches all of the few titles; it is a SavedModel of its own, and the model's needs no ScaNN."""
    shutil.copytree(remembering / "model", tmp_path / "model")
    assert export(["--index=always", f"--inputs-dir={tmp_path}", f"--outputs-dir={tmp_path}"]) == 0
    folder = tmp_path / "saved_model"
    request = smoke_requests(load(tmp_path / "model"))["unknown ids"]
    inputs = {name: tf.constant(request[name], kind) for name, kind in RECOMMEND["recommend"].items()}
    assert all(inputs[name].shape.rank == (2 if name in MATRICES else 1) for name in inputs)

    by_all, by_index = (
        tf.saved_model.load(str(where)).signatures["recommend"](**inputs) for where in (folder, folder / "index")
    )

    assert by_index["titles"].numpy().tolist() == by_all["titles"].numpy().tolist()
    assert by_index["terms"].numpy() == pytest.approx(by_all["terms"].numpy(), abs=1e-4)
    assert json.loads((folder / "export.json").read_text())["index"]["recall"] == 1.0
    assert b"Scann" not in (folder / "saved_model.pb").read_bytes()


def test_a_model_without_towers_has_no_index(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is asked for and cannot be is an error that names the model."""
    assert export(["--index=always", f"--inputs-dir={inputs}", f"--outputs-dir={tmp_path}"]) == 1

    assert "`index` is always, and the model ranking has no vectors to look up" in capsys.readouterr().err
