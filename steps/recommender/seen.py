"""What each user of the training rows has rated there, inside of TensorFlow's graph."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.recommender.data import Columns
from steps.recommender.features import Features
from steps.recommender.user_rows import UserRows
from steps.recommender.vocabulary import OOV_ROW

COLUMNS: Final = ("title", "rating", "timestamp")


class SeenRatings(tf.Module):  # type: ignore[misc]
    """Looks up users' ratings; of whom the vocabulary does not know, there are none."""

    def __init__(self, train: Columns, users: int) -> None:
        """`users` is the number of users that the vocabulary knows."""
        super().__init__()
        rows = UserRows.of(train, users, _in_order_of_time, "seen")
        self._starts, self._counts = tf.constant(rows.starts, tf.int32), tf.constant(rows.counts, tf.int32)
        # Variables, for a graph's constants are copied five times while it is saved, and may not have 2 GiB together.
        with tf.device("CPU"):
            self._columns = {name: tf.Variable(rows.columns[name], trainable=False) for name in COLUMNS}

    def of(self, user: tf.Tensor) -> Features:
        """All ratings of each user, [rows]: `title`, `rating`, `timestamp` and `known`, [rows, ratings], in order of
        time and at the end of their row.
        """
        length = tf.gather(self._counts, user)
        stop = tf.gather(self._starts, user) + length
        longest = tf.reduce_max(tf.concat([length, [1]], axis=0))
        back = tf.range(longest, 0, -1)[None, :]
        known = back <= length[:, None]
        places = tf.where(known, stop[:, None] - back, 0)
        return {name: tf.gather(column, places) for name, column in self._columns.items()} | {
            "known": tf.cast(known, tf.float32)
        }


def latest(ratings: Features, count: int) -> Features:
    """So many of the latest ratings, [rows, at most count]."""
    return {name: column[:, -count:] for name, column in ratings.items()}


def _in_order_of_time(part: Columns) -> dict[str, npt.NDArray[Any]]:
    order = np.lexsort((part["timestamp"], part["user"]))
    order = order[part["user"][order] != OOV_ROW]
    return {name: part[name][order] for name in ("user", *COLUMNS)}
