"""Tests of `steps.recommender.seen`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from steps.recommender import stored_columns
from steps.recommender.seen import SeenRatings
from steps.recommender.stored_columns import StoredColumns

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


def test_ratings_on_disk_are_found_as_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though each user's lie in a shard of their own, in whichever order."""
    monkeypatch.setattr(stored_columns, "SHARD", 1)
    users = tf.constant([1, 2, 3, 0])
    found = SeenRatings(StoredColumns.write(tmp_path, [TRAIN]), users=3).of(users)

    for name, column in SeenRatings(TRAIN, users=3).of(users).items():
        assert (found[name] * tf.cast(found["known"], found[name].dtype)).numpy().tolist() == (
            column * tf.cast(found["known"], column.dtype)
        ).numpy().tolist()


def test_users_without_ratings_have_one_empty_place() -> None:
    """Nobody at all has one too."""
    seen = SeenRatings(TRAIN, users=3)

    assert seen.of(tf.constant([3]))["known"].numpy().tolist() == [[0]]
    assert seen.of(tf.zeros([0], tf.int32))["known"].shape == (0, 1)
