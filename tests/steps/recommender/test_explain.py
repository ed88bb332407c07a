"""Tests of `steps.recommender.explain`: the parts of an answer add up to it."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from steps.recommender import models
from steps.recommender.explain import RATED, by_integrated_gradients, by_shapley_values
from steps.recommender.seen import SeenRatings
from tests.steps.recommender.test_models import BATCH, build, train_step

ASKED: dict[str, Any] = {"user": np.array([1, 2, 3], np.int32), "timestamp": np.array([100_000] * 3, np.int64)}
TITLES: Any = np.array([[1, 2], [2, 1], [0, 2]], np.int32)


def learned(name: str) -> Any:
    """A model after a few steps, so that no part is zero."""
    model = build(model=name, learning_rate=0.05, optimizer="adam")
    for _ in range(5):
        train_step(model)
    model.remember(BATCH)
    return model


@pytest.mark.parametrize("name", models.MODELS)
def test_the_parts_add_up_to_the_answer(name: str) -> None:
    """Exactly where the model is a sum; a network's within what the integral is off."""
    model = learned(name)
    history = SeenRatings(BATCH, users=3).of(ASKED["user"])

    explanation = model.explain(ASKED, TITLES, history)

    columns = {name: np.repeat(column, 2) for name, column in ASKED.items()} | {"title": TITLES.ravel()}
    answers = model({column: tf.constant(values) for column, values in columns.items()}).numpy().reshape(3, 2)
    assert explanation.total().numpy() == pytest.approx(answers, abs=0.03 if name in ("ranking", "dcn") else 1e-5)
    if explanation.reasons is not None:
        rated = explanation.terms[RATED].numpy()
        assert explanation.reasons.numpy().sum(axis=2) == pytest.approx(rated, abs=1e-5)


def test_integrated_gradients_are_the_integral() -> None:
    """Of a product, whose integral is known: half of it belongs to each factor, and nothing to what is not read."""
    known = {"a": tf.constant([[3.0]]), "b": tf.constant([[4.0]]), "c": tf.constant([[5.0]])}
    unknown = {name: tf.zeros([1, 1]) for name in known}

    terms = by_integrated_gradients(lambda numbers: 1.0 + numbers[:, 0] * numbers[:, 1], known, unknown)

    assert {name: float(term[0]) for name, term in terms.items()} == pytest.approx(
        {"average": 1.0, "a": 6.0, "b": 6.0, "c": 0.0}
    )


def test_shapley_values_share_what_both_do_together() -> None:
    """User and title each get half of their product."""

    def answer(rows: Any) -> tf.Tensor:
        user, title = tf.cast(rows["user"], tf.float32), tf.cast(rows["title"], tf.float32)
        return 3.0 + user + 2 * title + user * title

    explanation = by_shapley_values(answer, {name: column[:1] for name, column in ASKED.items()}, TITLES[:1], 0)

    assert {name: term.numpy().tolist() for name, term in explanation.terms.items()} == {
        "average": [[3.0, 3.0]],
        "user": [[1.5, 2.0]],
        "title": [[2.5, 5.0]],
    }
