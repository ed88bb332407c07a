"""Tests of `steps.recommender.models.history`: what it answers is what the formulas of Gaussian processes say."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.steps.recommender.test_models import BATCH, build

HISTORY: dict[str, Any] = {
    "title": np.array([[1, 2, 0]], np.int32),
    "rating": np.array([[5, 2, 0]], np.float32),
    "timestamp": np.array([[0, 86_400, 0]], np.int64),
    "known": np.array([[1, 1, 0]], np.float32),
}
"""Two ratings a day apart, and a place that is empty."""
ASKED: dict[str, Any] = {"title": np.array([2], np.int32), "timestamp": np.array([172_800], np.int64)}


@pytest.fixture(name="model", scope="module")
def _model() -> Any:
    model = build(model="history")
    model.first_bias.embeddings.assign([[0.1], [0.3], [-0.3]])
    return model


def by_hand(model: Any) -> float:
    """The conditional mean of the third rating, from the mean and covariance of all three."""
    titles, days = np.array([1, 2, 2]), np.array([0.0, 1.0, 2.0])
    vectors, means = (tensor.numpy().astype(float) for tensor in model.describe(titles))
    means += np.array([0.3, -0.3, -0.3]) / [1, 2, 3]
    covariance = vectors @ vectors.T + np.exp(float(model.log_taste))
    for mood, span in zip(np.exp(model.log_mood.numpy()), np.exp(model.log_days.numpy()), strict=True):
        covariance += mood * np.exp(-np.abs(days[:, None] - days) / span)
    noisy = covariance[:2, :2] + np.exp(float(model.log_noise)) * np.eye(2)
    return float(means[2] + covariance[2, :2] @ np.linalg.solve(noisy, [5, 2] - means[:2]))


def test_an_answer_is_the_conditional_mean(model: Any) -> None:
    """The third rating given two, computed without Cholesky factors and without a place that is empty."""
    assert model.rate_with_history(ASKED, HISTORY).numpy() == pytest.approx([by_hand(model)], abs=1e-5)


def test_a_step_ahead_is_the_answer_to_a_request(model: Any) -> None:
    """Answers in turn, all at once, equal those to requests with what was known at each moment."""
    columns: dict[str, Any] = {
        "owner": np.array([7, 7, 7, 7], np.int32),
        "title": np.array([2, 1, 2, 0], np.int32),
        "rating": np.array([3, 5, 2, 4], np.float32),
        "timestamp": np.array([172_800, 0, 86_400, 172_800], np.int64),
    }

    answered = model.predict_in_turn(columns)

    for row in (0, 3):
        asked = {name: columns[name][row : row + 1] for name in ("title", "timestamp")}
        assert answered[row] == pytest.approx(float(model.rate_with_history(asked, HISTORY)[0]), abs=1e-5)


def test_who_has_rated_nothing_gets_what_is_expected_of_the_title(model: Any) -> None:
    """The mean, with all of the first bias."""
    empty = {**HISTORY, "known": np.zeros((1, 3), np.float32)}
    _, mean = model.describe(ASKED["title"])

    assert model.rate_with_history(ASKED, empty).numpy() == pytest.approx(mean.numpy() - 0.3, abs=1e-5)


def test_remembered_ratings_count_like_those_in_a_request(model: Any) -> None:
    """A known user who asks without a history gets the answer of one who sends the training ratings along."""
    model.remember(BATCH)
    asked = {"user": np.array([1, 0], np.int32), **{name: np.repeat(column, 2) for name, column in ASKED.items()}}
    rated = BATCH["user"] == 1
    history = {name: BATCH[name][rated][None] for name in ("title", "rating", "timestamp")}
    sent = model.rate_with_history(ASKED, {**history, "known": np.ones((1, rated.sum()), np.float32)})
    nobody = model.rate_with_history(ASKED, {**HISTORY, "known": np.zeros((1, 3), np.float32)})

    answered = model.predict_ratings(asked)

    assert answered == pytest.approx([float(sent[0]), float(nobody[0])], abs=1e-5)


def test_the_loss_is_the_likelihood_of_all_ratings(model: Any) -> None:
    """Without its part for first ratings it is the density of one Gaussian, up to a constant."""
    history = {name: column[:, :2] for name, column in HISTORY.items()}
    titles = history["title"][0]
    vectors, means = (tensor.numpy().astype(float) for tensor in model.describe(titles))
    later = means + np.array([0.3, -0.3]) / [1, 2]
    covariance = vectors @ vectors.T + np.exp(float(model.log_taste)) + np.exp(float(model.log_noise)) * np.eye(2)
    for mood, span in zip(np.exp(model.log_mood.numpy()), np.exp(model.log_days.numpy()), strict=True):
        covariance += mood * np.exp(-np.array([[0, 1], [1, 0]]) / span)
    off = history["rating"][0] - later
    density = off @ np.linalg.solve(covariance, off) / 2 + np.linalg.slogdet(covariance)[1] / 2
    first = np.sum((history["rating"][0] - means - [0.3, -0.3]) ** 2) / 2

    loss = model.compute_loss({name: tf.constant(column) for name, column in history.items()}, training=True)

    assert float(loss) == pytest.approx((density + first) / 2, abs=1e-4)
