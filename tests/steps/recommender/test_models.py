"""Tests of `steps.recommender.models`: what a training step changes, and what the models answer."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from steps.recommender import models
from steps.recommender.config import TrainingConfig
from steps.recommender.data import RatingScale
from steps.recommender.models import build_model, predict_ratings
from steps.recommender.vocabulary import Vocabulary

SCALE = RatingScale(1.0, 5.0)
VOCABULARY = Vocabulary(users=("a", "b", "c"), titles=("x", "y"))
BATCH: dict[str, Any] = {
    "user": np.array([0, 1, 2, 3, 1, 2], np.int32),
    "title": np.array([0, 1, 2, 1, 2, 1], np.int32),
    "rating": np.array([3, 5, 1, 4, 2, 5], np.float32),
}


def build(**parameters: Any) -> Any:
    """A small ranking model without regularisation."""
    config = TrainingConfig(**{"embedding_size": 4, "layers": (16, 8), "l2": 0.0, **parameters})
    return build_model(config, VOCABULARY, SCALE, mean=3.5)


@pytest.mark.parametrize("optimizer", models.OPTIMIZERS)
def test_one_step_changes_every_parameter(optimizer: str) -> None:
    """No weight is left out of the gradient, with any optimizer."""
    model = build(optimizer=optimizer, activation="tanh", learning_rate=0.01)
    before = model.get_weights()

    model.train_step(BATCH)

    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_a_model_can_learn_a_few_ratings_by_heart(loss: str) -> None:
    """With no regularisation it fits six ratings almost exactly: nothing between input and loss is cut."""
    model = build(loss=loss, optimizer="adam", learning_rate=0.03)
    step = tf.function(model.train_step)
    for _ in range(250):
        step({name: tf.constant(column) for name, column in BATCH.items()})

    assert np.abs(predict_ratings(model, BATCH) - BATCH["rating"]).max() < 0.1


def test_predictions_start_at_the_mean() -> None:
    """Before training, every answer is near the mean rating, whichever the loss."""
    for loss in ("mse", "bce"):
        assert predict_ratings(build(loss=loss), BATCH) == pytest.approx(3.5, abs=0.1)


def test_answers_stay_within_the_scale() -> None:
    """A model that overshoots is cut off at the highest rating."""
    model = build()
    model.output_layer.bias.assign([9.0])

    assert predict_ratings(model, BATCH).tolist() == [5.0] * 6


def test_no_rows_get_no_answers() -> None:
    """An empty table is an ordinary one."""
    assert predict_ratings(build(), {name: column[:0] for name, column in BATCH.items()}).tolist() == []


def test_dropout_acts_in_training_only() -> None:
    """Two training passes at different steps differ; two answers do not."""
    model = build(dropout=0.5)
    first = model(BATCH, training=True).numpy()
    model.optimizer.iterations.assign_add(1)

    assert (first != model(BATCH, training=True).numpy()).any()
    assert (predict_ratings(model, BATCH) == predict_ratings(model, BATCH)).all()
