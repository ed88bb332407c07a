"""Tests of `steps.recommender.models.autoencoder`: codes of titles, and what is learned from."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from steps.recommender import bias_grid
from steps.recommender.config import TrainingConfig
from steps.recommender.data import RatingScale
from steps.recommender.features import TitleTable
from steps.recommender.models import Basis, build_model
from steps.recommender.models import autoencoder as module
from steps.recommender.vocabulary import Vocabulary

TRAIN: dict[str, Any] = {
    "user": np.array([1, 2, 3, 1, 2, 3, 1, 4], np.int32),
    "title": np.array([1, 1, 1, 2, 2, 2, 3, 3], np.int32),
    "rating": np.array([5, 4, 1, 5, 4, 1, 2, 5], np.float32),
    "timestamp": np.arange(8, dtype=np.int64),
}


def build(steps: int = 5, **parameters: Any) -> Any:
    """A small autoencoder after a few steps."""
    config = TrainingConfig(model="autoencoder", embedding_size=6, **{"l2": 0.0, "learning_rate": 0.05, **parameters})
    titles = TitleTable((), np.zeros((5, 0), np.float32), np.full(5, np.nan, np.float32), np.zeros(0, np.int64))
    model = build_model(
        config, Basis(Vocabulary(tuple("abcd"), tuple("vwxy")), RatingScale(1, 5), 3.375, titles, TRAIN)
    )
    for _ in range(steps):
        for _, batch in model.training_batches(TRAIN, 100):
            model.train_step({name: tf.constant(column) for name, column in batch.items()})
    model.remember(TRAIN)
    return model


def test_a_code_follows_from_what_was_said_of_the_title() -> None:
    """Titles rated alike have codes alike, another one differs, and nobody's word is a code as well."""
    codes = build().codes().numpy()

    assert codes.shape == (5, 6)
    assert codes[1] == pytest.approx(codes[2], abs=1e-6)
    assert np.abs(codes[1] - codes[3]).max() > 1e-3
    assert codes[0] == pytest.approx(codes[4], abs=1e-6)


def test_what_is_learned_from_is_what_is_answered() -> None:
    """The loss of a batch is the squared error of the model's answers to its rows."""
    model = build()
    ((_, batch),) = model.training_batches(TRAIN, 100)

    loss = float(model.compute_loss({name: tf.constant(column) for name, column in batch.items()}))

    assert loss == pytest.approx(float(np.mean((model(TRAIN).numpy() - TRAIN["rating"]) ** 2)), rel=1e-5)


def test_a_hidden_user_or_title_says_nothing() -> None:
    """What is hidden is to be answered, and gives nothing away."""
    model = build()
    hidden = {**TRAIN, "user": np.where(np.arange(8) == 7, 0, TRAIN["user"]).astype(np.int32)}
    without = {name: column[:7] for name, column in TRAIN.items()}

    said = [model.said({k: tf.constant(v) for k, v in rows.items()}, rows["title"], 5) for rows in (hidden, without)]

    assert said[0].numpy() == pytest.approx(said[1].numpy())


def test_before_anything_is_remembered_all_titles_are_alike() -> None:
    """Codes are made of ratings, and computed once for all answers."""
    titles = TitleTable((), np.zeros((5, 0), np.float32), np.full(5, np.nan, np.float32), np.zeros(0, np.int64))
    basis = Basis(Vocabulary(tuple("abcd"), tuple("vwxy")), RatingScale(1, 5), 3.375, titles, TRAIN)

    codes = build_model(TrainingConfig(model="autoencoder", embedding_size=6), basis).codes().numpy()

    assert (codes == codes[0]).all()


def test_titles_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: a few titles at a time have the codes of all at once."""
    model = build()
    at_once = model.codes().numpy()
    monkeypatch.setattr(module, "CELLS", 10)
    model.remember(TRAIN)

    assert model.codes().numpy() == pytest.approx(at_once)


def test_batches_are_of_whole_titles() -> None:
    """Each row is in one batch, with all others of its title, and a step draws the same batches again."""
    model = build()
    batches = [batch for _, batch in model.training_batches(TRAIN, 4)]

    assert sum(len(batch["user"]) for batch in batches) == 8
    assert len(batches) > 1
    of_title = [set(batch["title"].tolist()) for batch in batches]
    assert not set.intersection(*of_title)
    for batch in batches:
        assert len(set(zip(batch["title"].tolist(), batch["place"].tolist(), strict=True))) == batch["place"].max() + 1
    again = [batch for _, batch in model.training_batches(TRAIN, 4)]
    assert [batch["user"].tolist() for batch in again] == [batch["user"].tolist() for batch in batches]


def test_biases_start_where_two_averages_are() -> None:
    """Before the first step, what is known of a user and of a title alone is what two averages know."""
    (averages,) = bias_grid.fit(TRAIN, 4, 4, [(module.BIAS_DAMPING, module.BIAS_DAMPING)])
    model = build(steps=0)

    assert model.user_bias.embeddings.numpy()[:, 0] == pytest.approx(averages.users)
    assert model.title_bias.embeddings.numpy()[:, 0] == pytest.approx(averages.titles)
