"""Two towers that learn which title a user turns to next, out of all there are.

One tower reads what the user has rated so far, so that a new user is served from the first rating on; the other is a
vector and a bias for each title. Yi and others, Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
Recommendations (RecSys 2019), with a history instead of a user's id.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender import baselines, data
from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns
from steps.recommender.features import Features
from steps.recommender.models.base import Answers, Basis, RatingModel
from steps.recommender.models.recency import RecencyTower
from steps.recommender.models.sequences import padded, sequences
from steps.recommender.seen import SeenRatings
from steps.recommender.vocabulary import OOV_ROW

REMEMBERED: Final = 256
"""How many of a user's latest ratings the tower reads."""
PIECE: Final = 128
"""Longer sequences are cut into pieces of so many ratings in training, so that work grows with their number only."""
USER_DAMPING: Final = 10.0
TITLE_DAMPING: Final = 3.0
"""As if each user, and each title, had so many more ratings without a deviation."""

COLUMNS: Final = ("title", "rating", "timestamp")
"""What the tower is told of each rating."""


class RetrievalModel(RatingModel):
    """Two towers and the softmax over the titles of a batch.

    It learns which titles are rated, not how. Asked for a rating, it says what two averages know: the title's mean, and
    how the user's ratings so far differ from those of their titles.
    """

    prediction_batch = 2048
    remembers = True
    learns_from_whole = "user"
    chosen_by_lists = True
    needs_autograph = True  # of TFRS' task

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(basis)
        self.users = len(basis.vocabulary.users)
        self.averages = baselines.fit_title_mean(basis.train, self.users, self.title_rows - 1, TITLE_DAMPING)
        self.title_mean = tf.constant(self.averages.mean + self.averages.titles, tf.float32)
        self.tower = RecencyTower(
            self.title_rows,
            config.embedding_size,
            hidden=config.layers[0],
            mean=basis.mean,
            dropout=config.dropout,
            l2=config.l2,
            seed=config.seed,
        )
        self.title_bias = tf.keras.layers.Embedding(self.title_rows, 1, embeddings_initializer="zeros")
        self.title_bias.build(None)  # no rating reads it, by which other layers get their weights
        counts = sum(np.bincount(titles, minlength=self.title_rows) for titles in data.pieces(basis.train, "title"))
        self.frequency = tf.constant(np.maximum(counts, 1) / basis.rows, tf.float32)
        self.negatives = config.negatives
        self.seed = config.seed
        self.softmax = tfrs.tasks.Retrieval(temperature=config.temperature, remove_accidental_hits=True)
        self.rmse = tf.keras.metrics.RootMeanSquaredError(name="rmse")
        self.memory: tf.Tensor | None = None

    # Users by what they have rated

    def query(self, asked: Features, history: Features | None = None) -> tf.Tensor:
        """The vector of who asks, [rows, size + 1]: the last number is 1, for the titles' biases."""
        user = self.recall(asked["user"])[:, :-1] if history is None else self.tower.after_all(in_order(history))
        return tf.concat([user, tf.ones_like(user[:, :1])], axis=1)

    def candidates(self) -> tf.Tensor:
        """The vectors of all titles with their biases, [titles, size + 1]."""
        titles = tf.range(self.title_rows)
        return tf.concat([self.tower.title_vector(titles), self.title_bias(titles)], axis=1)

    def title_vectors(self) -> tf.Tensor:
        """What tells titles apart, float32 [titles, size]: who turns to them."""
        return self.tower.title_vector(tf.range(self.title_rows))

    def describe(self, history: Features) -> tf.Tensor:
        """The user's vector, and by how much ratings are above their titles' means, [rows, size + 1]."""
        deviation = (history["rating"] - tf.gather(self.title_mean, history["title"])) * history["known"]
        mean = tf.reduce_sum(deviation, axis=1) / (USER_DAMPING + tf.reduce_sum(history["known"], axis=1))
        return tf.concat([self.tower.after_all(history), mean[:, None]], axis=1)

    def remember(self, train: Columns) -> None:
        """Know the users of `train` by their ratings there, of which the vectors are computed once."""
        describe = tf.function(
            lambda history: self.describe(in_order(history)),
            input_signature=[
                {name: tf.TensorSpec([None, None], train[name].dtype) for name in COLUMNS}
                | {"known": tf.TensorSpec([None, None], tf.float32)}
            ],
        )
        memory = np.zeros((self.users + 1, self.tower.straight.units + 1), np.float32)
        for part in data.whole_parts(train, "user"):
            seen = SeenRatings(part, self.users)
            users = np.union1d(part["user"], [OOV_ROW]).astype(np.int32)
            for block in np.array_split(users, len(users) // 256 + 1):
                memory[block] = describe(seen.of(tf.constant(block)))
        self.memory = tf.constant(memory)
        self._compiled_rate = None

    def recall(self, user: tf.Tensor) -> tf.Tensor:
        """What `describe` says of each user as remembered, [rows, size + 1]."""
        if self.memory is not None:
            return tf.gather(self.memory, user)
        nothing = {"title": tf.zeros_like(user)[:, None], "rating": tf.zeros_like(user, tf.float32)[:, None]}
        return self.describe({**nothing, "known": nothing["rating"]})

    # Ratings

    def rate_of(self, described: tf.Tensor, title: tf.Tensor) -> tf.Tensor:
        """The rating [...] of titles by users as `describe` has them, [..., size + 1]."""
        return tf.gather(self.title_mean, title) + described[..., -1]

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows], to users of whom only what is remembered is known."""
        del training
        return self.rate_of(self.recall(features["user"]), features["title"])

    def rate_with_history(self, asked: Features, history: Features) -> tf.Tensor:
        """The rating that is served for each row, to users who have rated nothing but `history`."""
        rating = self.rate_of(self.describe(in_order(history)), asked["title"])
        return tf.clip_by_value(rating, self.scale.minimum, self.scale.maximum)

    def in_turn(self, batch: Features, users: tf.Tensor) -> tf.Tensor:
        """As `describe`, [sequences, length, size + 1], before each place, where `users` has the users' vectors."""
        deviation = (batch["rating"] - tf.gather(self.title_mean, batch["title"])) * batch["known"]
        earlier = tf.cumsum(batch["known"], axis=1, exclusive=True)
        means = tf.cumsum(deviation, axis=1, exclusive=True) / (USER_DAMPING + earlier)
        return tf.concat([users, means[..., None]], axis=2)

    def predict_in_turn(self, columns: Columns) -> Answers:
        """The rating that is served for each row when the same `owner`'s rows of earlier moments are known, [rows]."""
        rated = self.averages.predict_in_turn(columns, USER_DAMPING)
        return np.clip(rated, self.scale.minimum, self.scale.maximum).astype(np.float32)

    # Learning

    def training_batches(self, rows: Columns, size: int) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Pieces of users' sequences, about `size` ratings at a time; within a moment, each time in another order."""
        columns = {name: rows[name] for name in COLUMNS}
        for places in sequences(_pieces(rows["user"], rows["timestamp"]), rows["timestamp"], size):
            yield int((places >= 0).sum()), padded(columns, places)

    def batch_signature(self, columns: Columns) -> dict[str, tf.TensorSpec]:
        """The shapes and types of what `training_batches` makes of `columns`."""
        signature = {name: tf.TensorSpec([None, None], columns[name].dtype) for name in COLUMNS}
        return {**signature, "known": tf.TensorSpec([None, None], tf.float32)}

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """The mean cross-entropy of a title among those of its batch, a scalar; updates the metric `rmse`."""
        users = self.tower.before_each(features, self.optimizer.iterations if training else None)
        rated = self.rate_of(self.in_turn(features, users), features["title"])
        self.rmse.update_state(features["rating"], rated, sample_weight=features["known"])
        return self.retrieval_loss(features, users)

    def retrieval_loss(self, features: Features, users: tf.Tensor) -> tf.Tensor:
        """The mean cross-entropy, a scalar, where `users` has the users' vectors before each place.

        The other titles are those of the batch, and `negatives` drawn from all. How likely a title is to be there is
        subtracted, so that popular ones are not punished for being met more often.
        """
        asked = (features["known"] > 0) & (features["title"] != OOV_ROW)
        user, title = tf.boolean_mask(users, asked), tf.boolean_mask(features["title"], asked)
        rows = tf.cast(tf.shape(title)[0], tf.float32)
        seed = tf.stack([tf.constant(self.seed, tf.int64), self.optimizer.iterations])
        drawn = tf.random.stateless_uniform([self.negatives], seed, OOV_ROW + 1, self.title_rows, tf.int32)
        listed = tf.concat([title, drawn], axis=0)
        expected = rows * tf.gather(self.frequency, listed) + self.negatives / (self.title_rows - 1)
        return self.softmax(
            tf.concat([user, tf.ones_like(user[:, :1])], axis=1),
            tf.concat([self.tower.title_vector(listed), self.title_bias(listed)], axis=1),
            candidate_sampling_probability=expected / (rows + self.negatives),
            candidate_ids=listed,
            compute_metrics=False,
        ) / tf.maximum(rows, 1.0)


def in_order(history: Features) -> Features:
    """The latest `REMEMBERED` ratings of each row in order of time, at the end of the row."""
    first = tf.where(history["known"] > 0, history["timestamp"], tf.int64.min)
    order = tf.argsort(first, axis=1, stable=True)[:, -REMEMBERED:]
    return {name: tf.gather(history[name], order, batch_dims=1) for name in (*COLUMNS, "known")}


def _pieces(user: npt.NDArray[np.int32], timestamp: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """A number for each piece of at most `PIECE` successive ratings of one user, [rows]."""
    order = np.lexsort((timestamp, user))
    starts = np.flatnonzero(np.diff(user[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    pieces = np.empty(len(order), np.int32)
    pieces[order] = np.cumsum(place % PIECE == 0) - 1
    return pieces
