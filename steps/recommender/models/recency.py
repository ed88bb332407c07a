"""A tower that reads what a user has rated so far, the recent more than the old.

A user is described by a few weighted means of the titles that they rated, each of which forgets at a speed of its own:
the fastest is nearly the last title, the slowest nearly the mean of all. The speeds are learned. Weights depend only on
how many ratings ago something was, so one product gives the description at every moment of a sequence.
"""

from typing import Any, Final

import numpy as np
import tensorflow as tf

from steps.recommender.features import Features

HALF_LIVES: Final = (0.5, 3.0, 17.0, 100.0)
"""After how many ratings a title counts half as much, where training starts."""
SPAN: Final = 128
"""Places whose pairs are looked at together, so that work grows with the length of a sequence and not its square."""
EFFECT_OF_NONE: Final = 1.0
"""As if so many titles without a vector had been rated: who has rated little is described by little."""


class RecencyTower(tf.keras.layers.Layer):  # type: ignore[misc]
    """Histories to vectors of users.

    A history has `title`, `rating` and `known` (0 where a place is empty), [sequences, length], in order of time.
    """

    def __init__(
        self, titles: int, size: int, *, hidden: int, mean: float, dropout: float, l2: float, seed: int
    ) -> None:
        """`titles` counts the unknown one; `mean` is the rating that says nothing."""
        super().__init__()

        def table(start: Any) -> Any:
            return tf.keras.layers.Embedding(
                titles, size, embeddings_initializer=start, embeddings_regularizer=tf.keras.regularizers.L2(l2)
            )

        self.title_vector = table(tf.keras.initializers.RandomNormal(stddev=size**-0.5))
        # How a title speaks of the user differs by how it was rated.
        self.rated_vector = table(tf.keras.initializers.RandomNormal(stddev=0.1 * size**-0.5))
        self.log_speed = self.add_weight(
            "log_speed",
            (len(HALF_LIVES),),
            initializer=lambda *_, **__: tf.constant(np.log(np.log(2) / np.array(HALF_LIVES)), tf.float32),
        )
        self.hidden = tf.keras.layers.Dense(hidden, activation="gelu")
        self.bent = tf.keras.layers.Dense(size)
        self.straight = tf.keras.layers.Dense(size)
        self.mean, self.dropout, self.seed = mean, dropout, seed

    def before_each(self, history: Features, step: tf.Tensor | None = None) -> tf.Tensor:
        """The user before each place, [sequences, length, size]. With the number of the training `step`, units drop."""
        sums = self._sums_before_each(self._read(history, step))
        total = self._sums_before_each(history["known"][..., None])
        return self._describe(sums, total[..., 0], step)

    def after_all(self, history: Features) -> tf.Tensor:
        """The user after all places, [sequences, size], of histories that end at the last place."""
        length = tf.shape(history["title"])[1]
        weights = self._weights(length - 1 - tf.range(length))
        sums = tf.einsum("sq,bqc->bsc", weights, self._read(history))
        return self._describe(sums, tf.einsum("sq,bq->bs", weights, history["known"]))

    def _sums_before_each(self, values: tf.Tensor) -> tf.Tensor:
        """The weighted sums of what is before each place, [sequences, length, speeds, numbers], of `values`.

        Within pieces every pair of places is looked at; of the pieces before, only what is left of their sums.
        """
        length, speeds, numbers = tf.shape(values)[1], len(HALF_LIVES), values.shape[-1]
        size = tf.clip_by_value(length, 1, SPAN)
        pieces = -(-length // size)
        filled = tf.pad(values, [[0, 0], [0, pieces * size - length], [0, 0]])
        parts = tf.reshape(filled, tf.stack([tf.shape(values)[0], pieces, size, numbers]))
        place, piece = tf.range(size), tf.range(pieces)
        within = tf.einsum("spq,bnqc->bnpsc", self._weights(place[:, None] - 1 - place[None, :]), parts)
        whole = tf.einsum("sq,bnqc->bnsc", self._weights(size - 1 - place), parts)
        between = self._weights(size * (piece[:, None] - 1 - piece[None, :]))
        before = tf.einsum("snm,bmsc->bnsc", between, whole)
        sums = within + tf.einsum("sp,bnsc->bnpsc", self._weights(place), before)
        return tf.reshape(sums, tf.stack([tf.shape(values)[0], pieces * size, speeds, numbers]))[:, :length]

    def _weights(self, ago: tf.Tensor) -> tf.Tensor:
        """[speeds, ...] for how many ratings [...] lie between; 0 for what is not yet known."""
        speed = tf.reshape(tf.exp(self.log_speed), [-1] + [1] * len(ago.shape))
        return tf.where(ago >= 0, tf.exp(-speed * tf.cast(tf.maximum(ago, 0), tf.float32)), 0.0)

    def _read(self, history: Features, step: tf.Tensor | None = None) -> tf.Tensor:
        title, known = history["title"], history["known"][..., None]
        deviation = (history["rating"] - self.mean)[..., None]
        return self._dropped(self.title_vector(title) + deviation * self.rated_vector(title), step, 0) * known

    def _describe(self, sums: tf.Tensor, total: tf.Tensor, step: tf.Tensor | None = None) -> tf.Tensor:
        means = sums / (EFFECT_OF_NONE + total)[..., None]
        flat = tf.reshape(means, tf.concat([tf.shape(means)[:-2], [means.shape[-2] * means.shape[-1]]], axis=0))
        return self.straight(flat) + self.bent(self._dropped(self.hidden(flat), step, 1))

    def _dropped(self, values: tf.Tensor, step: tf.Tensor | None, place: int) -> tf.Tensor:
        if step is None or not self.dropout:
            return values
        # What is dropped follows from the step, so that a resumed training drops the same units.
        seed = tf.stack([tf.constant(self.seed, tf.int64), 2 * tf.cast(step, tf.int64) + place])
        return tf.nn.experimental.stateless_dropout(values, self.dropout, seed=seed)
