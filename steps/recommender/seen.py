"""What each user of the training rows has rated there, inside of TensorFlow's graph."""

import numpy as np
import tensorflow as tf

from steps.recommender.data import Columns
from steps.recommender.features import Features
from steps.recommender.vocabulary import OOV_ROW


class SeenRatings(tf.Module):  # type: ignore[misc]
    """Looks up users' ratings; of whom the vocabulary does not know, there are none."""

    def __init__(self, train: Columns, users: int) -> None:
        """`users` is the number of users that the vocabulary knows."""
        super().__init__()
        order = np.lexsort((train["timestamp"], train["user"]))
        order = order[train["user"][order] != OOV_ROW]
        user = train["user"][order]
        self._starts = tf.constant(np.searchsorted(user, np.arange(users + 2)), tf.int32)
        self._columns = {name: tf.constant(train[name][order]) for name in ("title", "rating", "timestamp")}

    def of(self, user: tf.Tensor) -> Features:
        """All ratings of each user, [rows]: `title`, `rating`, `timestamp` and `known`, [rows, ratings], in order of
        time and at the end of their row.
        """
        stop = tf.gather(self._starts, user + 1)
        length = stop - tf.gather(self._starts, user)
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
