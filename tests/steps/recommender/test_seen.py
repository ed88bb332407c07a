"""Tests of `steps.recommender.seen`."""

from typing import Any

import numpy as np
import tensorflow as tf

from steps.recommender.seen import SeenRatings

TRAIN: dict[str, Any] = {
    "user": np.array([2, 1, 2, 0], np.int32),
    "title": np.array([5, 6, 7, 8], np.int32),
    "rating": np.array([1, 2, 3, 4], np.float32),
    "timestamp": np.array([30, 20, 10, 5], np.int64),
}


def test_ratings_are_found_by_user_in_order_of_time() -> None:
    """At the end of the row, so that who has fewer begins with places that are empty; the unknown user has none."""
    found = SeenRatings(TRAIN, users=3).of(tf.constant([1, 2, 3, 0]))

    known = found["known"].numpy()
    assert known.tolist() == [[0, 1], [1, 1], [0, 0], [0, 0]]
    assert (found["title"].numpy() * known).tolist() == [[0, 6], [7, 5], [0, 0], [0, 0]]
    assert (found["rating"].numpy() * known).tolist() == [[0, 2], [3, 1], [0, 0], [0, 0]]


def test_users_without_ratings_have_one_empty_place() -> None:
    """Nobody at all has one too."""
    seen = SeenRatings(TRAIN, users=3)

    assert seen.of(tf.constant([3]))["known"].numpy().tolist() == [[0]]
    assert seen.of(tf.zeros([0], tf.int32))["known"].shape == (0, 1)
