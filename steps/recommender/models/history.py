"""A model that knows users by what they have rated, and so needs no training to know a new one.

Every user's ratings are a draw from one Gaussian process whose mean and covariance are learned. What a user has rated
so far then says what the next rating is expected to be, by conditioning: a user without ratings gets the mean, and
each further rating counts at once. Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapter 2;
as a recommender, Yu and others, Fast Nonparametric Matrix Factorization (SIGIR 2009).

The covariance of two ratings of one user is the sum of: how alike the titles are (the product of their vectors), that
one user gave both, and how close in time they are. The logarithm of the likelihood is a sum over the ratings in order
of time, each given the earlier ones. So what is learned from is what is served.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns
from steps.recommender.explain import AVERAGE, RATED, Explanation
from steps.recommender.features import SECONDS_OF_DAY, Features, TitleFeatures
from steps.recommender.models.base import Answers, Basis, RatingModel, starting_from
from steps.recommender.models.sequences import latest, padded, sequences
from steps.recommender.user_rows import UserRows
from steps.recommender.vocabulary import OOV_ROW

REMEMBERED: Final = 256
"""Of how many of a user's latest training ratings the exported model knows by itself."""
TITLE_DAMPING: Final = 3.0
"""As if each title had that many more ratings without a deviation of its own."""
MOOD_DAYS: Final = (0.01, 1.0, 100.0)
"""Where training starts to look for how long moods last: a sitting, a day, a season."""

_CELLS: Final = 8192  # places in a batch of sequences that are only answered


class Conditioned(NamedTuple):
    """What a history says: each rating's weight in answers, [sequences, length], and how the weights came to be."""

    weights: tf.Tensor
    factor: tf.Tensor
    """The Cholesky factor of the ratings' covariance, [sequences, length, length]."""
    surprises: tf.Tensor
    """The factor's solution for the deviations from the mean: independent, and of variance 1."""


class HistoryModel(RatingModel):
    """A Gaussian process over each user's ratings."""

    prediction_batch = 2048
    remembers = True
    learns_from_whole = "user"

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(basis)
        self.users, titles = len(basis.vocabulary.users), len(basis.vocabulary.titles) + 1
        self.title_features = TitleFeatures(basis.titles)

        def penalty(strength: float) -> tf.keras.regularizers.Regularizer:
            # A Gaussian prior: its share of the mean negative log likelihood.
            return tf.keras.regularizers.L2(strength / 2 / basis.rows)

        def table(size: int, strength: float, start: Any = "zeros") -> tf.keras.layers.Embedding:
            return tf.keras.layers.Embedding(
                titles, size, embeddings_initializer=start, embeddings_regularizer=penalty(strength)
            )

        self.title_vector = table(config.embedding_size, config.l2, tf.keras.initializers.RandomNormal(stddev=0.1))
        self.title_bias = table(1, TITLE_DAMPING)
        self.first_bias = table(1, TITLE_DAMPING)
        self.feature_vector = tf.keras.layers.Dense(
            config.embedding_size,
            use_bias=False,
            kernel_initializer=tf.keras.initializers.RandomNormal(stddev=0.1),
            kernel_regularizer=penalty(config.l2),
        )
        self.feature_bias = tf.keras.layers.Dense(
            1, kernel_initializer="zeros", kernel_regularizer=penalty(1.0), bias_initializer=starting_from(basis.mean)
        )
        self.log_noise = self.add_weight("log_noise", (), initializer=starting_from(np.log(0.6)))
        self.log_taste = self.add_weight("log_taste", (), initializer=starting_from(np.log(0.15)))
        self.log_mood = self.add_weight("log_mood", (len(MOOD_DAYS),), initializer=starting_from(np.log(0.05)))
        self.log_days = self.add_weight(
            "log_days", (len(MOOD_DAYS),), initializer=lambda *_, **__: tf.constant(np.log(MOOD_DAYS), tf.float32)
        )
        self.rmse = tf.keras.metrics.RootMeanSquaredError(name="rmse")
        self.memory: Features | None = None
        self._compiled_step_ahead = tf.function(lambda batch: self.step_ahead(batch)[0], reduce_retracing=True)

    # What is expected of a rating before any is known

    def describe(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The vector [..., size] and the mean [...] of each title."""
        features = self.title_features.of_titles(title)
        vector = self.title_vector(title) + self.feature_vector(features)
        return vector, tf.squeeze(self.title_bias(title) + self.feature_bias(features), axis=-1)

    def expect(self, title: tf.Tensor, mean: tf.Tensor, earlier: tf.Tensor) -> tf.Tensor:
        """The mean of ratings [...] by users with so many `earlier` ones.

        Who begins with a title differs from who has rated for long: a title's first bias fades with every rating.
        """
        return mean + tf.squeeze(self.first_bias(title), axis=-1) / (1 + earlier)

    def covariance(self, vectors: tf.Tensor, others: tf.Tensor, days: tf.Tensor) -> tf.Tensor:
        """How much ratings of such titles, so many days apart, go together: [sequences, length, others]."""
        apart = tf.abs(days)
        moods = [
            tf.exp(self.log_mood[number]) * tf.exp(-apart / tf.exp(self.log_days[number]))
            for number in range(len(MOOD_DAYS))
        ]
        return tf.matmul(vectors, others, transpose_b=True) + tf.exp(self.log_taste) + tf.add_n(moods)

    # What a history changes about it

    def condition(self, history: Features) -> Conditioned:
        """What each sequence says: `title`, `rating`, `timestamp` and `known`, all [sequences, length]."""
        timestamp, known = history["timestamp"], history["known"]
        vectors, mean = self.describe(history["title"])
        days = _days_between(timestamp, timestamp)
        earlier = tf.reduce_sum(tf.cast(days > 0, tf.float32) * known[:, None, :], axis=2)
        deviations = (history["rating"] - self.expect(history["title"], mean, earlier)) * known
        both = known[:, :, None] * known[:, None, :]
        covariance = self.covariance(vectors, vectors, days) * both
        # Places without a rating get a variance of 1 and no covariance: they say nothing.
        own = tf.where(known > 0, tf.exp(self.log_noise), 1.0)
        factor = tf.linalg.cholesky(covariance + tf.linalg.diag(own))
        surprises = tf.linalg.triangular_solve(factor, deviations[..., None])
        weights = tf.linalg.triangular_solve(factor, surprises, adjoint=True)
        return Conditioned(weights[..., 0], factor, surprises[..., 0])

    def answer(self, asked: Features, history: Features, weights: tf.Tensor) -> tf.Tensor:
        """The rating of each row, [rows], whose user has the history in that row, [rows, length], of such weights."""
        vector, mean = self.describe(asked["title"])
        others, _ = self.describe(history["title"])
        days = _days_between(asked["timestamp"][:, None], history["timestamp"])
        together = self.covariance(vector[:, None, :], others, days)[:, 0, :]
        expected = self.expect(asked["title"], mean, tf.reduce_sum(history["known"], axis=1))
        return expected + tf.reduce_sum(together * weights * history["known"], axis=1)

    def query(self, asked: Features, history: Features | None = None) -> tf.Tensor:
        """The vector of who asks, [rows, size + 2]: what the ratings given say, then what their number says.

        That ratings are by one user, and close in time, moves the expected ratings of all titles alike.
        """
        if history is None:
            known, weights = self.recall(asked["user"])
        else:
            known, weights = history, self.condition(history).weights
        vectors, _ = self.describe(known["title"])
        taste = tf.einsum("rh,rhs->rs", weights * known["known"], vectors)
        earlier = tf.reduce_sum(known["known"], axis=1, keepdims=True)
        return tf.concat([taste, tf.ones_like(earlier), 1 / (1 + earlier)], axis=1)

    def candidates(self) -> tf.Tensor:
        """The vectors of all titles, with their means and first biases, [titles, size + 2]."""
        titles = tf.range(self.title_rows)
        vectors, mean = self.describe(titles)
        return tf.concat([vectors, mean[:, None], self.first_bias(titles)], axis=1)

    def rate_with_history(self, asked: Features, history: Features) -> tf.Tensor:
        """The rating that is served for each row, to users who have rated nothing but `history`."""
        rating = self.answer(asked, history, self.condition(history).weights)
        return tf.clip_by_value(rating, self.scale.minimum, self.scale.maximum)

    def title_vectors(self) -> tf.Tensor:
        """What tells titles apart, [titles, size]."""
        return self.describe(tf.range(self.title_rows))[0]

    def explain(self, asked: Features, titles: tf.Tensor, history: Features) -> Explanation:
        """What is expected of each title, and what each rating of the history adds to it: their sum is the answer."""
        vectors, mean = self.describe(titles)
        others, _ = self.describe(history["title"])
        moment = tf.repeat(asked["timestamp"][:, None], tf.shape(titles)[1], axis=1)
        together = self.covariance(vectors, others, _days_between(moment, history["timestamp"]))
        reasons = together * (self.condition(history).weights * history["known"])[:, None, :]
        earlier = tf.reduce_sum(history["known"], axis=1, keepdims=True)
        average = tf.fill(tf.shape(titles), tf.squeeze(self.feature_bias.bias))
        title = self.expect(titles, mean, earlier) - average
        return Explanation({AVERAGE: average, "title": title, RATED: tf.reduce_sum(reasons, axis=2)}, reasons)

    # Answers without a history in the request

    def remember(self, train: Columns) -> None:
        """Know the users of `train` by their ratings there, of which the weights are computed once."""
        condition = tf.function(lambda batch: self.condition(batch).weights, reduce_retracing=True)

        def weighed(part: Columns) -> dict[str, npt.NDArray[Any]]:
            known = {name: column[part["user"] != OOV_ROW] for name, column in part.items()}
            places = latest(known["user"], known["timestamp"], REMEMBERED)
            rows = {name: column[places] for name, column in known.items()}
            weights = np.zeros(len(places), np.float32)
            for indices in sequences(rows["user"], rows["timestamp"], _CELLS):
                weights[indices[indices >= 0]] = condition(_tensors(padded(rows, indices))).numpy()[indices >= 0]
            return {**{name: rows[name] for name in ("user", "title", "timestamp")}, "weight": weights}

        rows = UserRows.of(train, self.users, weighed, "remembered")
        content = {"start": rows.starts.astype(np.int32), "length": rows.counts.astype(np.int32)}
        content |= {name: rows.columns[name] for name in ("title", "timestamp", "weight")}
        self.memory = {name: tf.constant(value) for name, value in content.items()}
        self._compiled_rate = None

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows], to users of whom only what is remembered is known."""
        del training
        history, weights = self.recall(features["user"])
        return self.answer(features, history, weights)

    def recall(self, user: tf.Tensor) -> tuple[Features, tf.Tensor]:
        """What is remembered of each user, as a history [rows, ratings], and the ratings' weights."""
        if self.memory is None:
            nothing = tf.zeros_like(user, tf.float32)[:, None]
            places = tf.zeros_like(user)[:, None]
            return {"title": places, "timestamp": tf.cast(places, tf.int64), "known": nothing}, nothing
        start, length = (tf.gather(self.memory[name], user) for name in ("start", "length"))
        # At least one place, though it be unknown: TensorFlow Lite's sums over none are whatever was there before.
        longest = tf.maximum(tf.reduce_max(length), 1)
        steps = tf.range(longest)[None, :]
        places = tf.where(steps < length[:, None], start[:, None] + steps, 0)
        history = {name: tf.gather(self.memory[name], places) for name in ("title", "timestamp")}
        known = tf.cast(steps < length[:, None], tf.float32)
        return {**history, "known": known}, tf.gather(self.memory["weight"], places)

    # Ratings in order of time

    def step_ahead(self, batch: Features) -> tuple[tf.Tensor, Conditioned]:
        """What each rating would have been answered, given those of earlier moments, [sequences, length].

        The rows of the Cholesky factor that belong to one moment, times the surprises, are by how much their ratings
        differ from what all earlier ones let expect.
        """
        conditioned = self.condition(batch)
        moment = batch["timestamp"]
        same = tf.cast(moment[:, :, None] == moment[:, None, :], tf.float32)
        return batch["rating"] - tf.linalg.matvec(conditioned.factor * same, conditioned.surprises), conditioned

    def predict_in_turn(self, columns: Columns) -> Answers:
        """The rating that is served for each row when the same `owner`'s rows of earlier moments are known, [rows]."""
        predicted = np.zeros(len(columns["owner"]), np.float32)
        rows = {name: columns[name] for name in ("title", "rating", "timestamp")}
        for places in sequences(columns["owner"], columns["timestamp"], _CELLS):
            answered = self._compiled_step_ahead(_tensors(padded(rows, places))).numpy()
            predicted[places[places >= 0]] = answered[places >= 0]
        return np.clip(predicted, self.scale.minimum, self.scale.maximum)

    def training_batches(self, rows: Columns, size: int) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Whole users at a time: sequences of about `size` ratings, with how many these are."""
        columns = {name: rows[name] for name in ("title", "rating", "timestamp")}
        for places in sequences(rows["user"], rows["timestamp"], size):
            yield int((places >= 0).sum()), padded(columns, places)

    def batch_signature(self, columns: Columns) -> dict[str, tf.TensorSpec]:
        """The shapes and types of what `training_batches` makes of `columns`."""
        signature = {
            name: tf.TensorSpec([None, None], columns[name].dtype) for name in ("title", "rating", "timestamp")
        }
        return {**signature, "known": tf.TensorSpec([None, None], tf.float32)}

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """The mean negative log likelihood of a rating given the earlier ones, a scalar; updates the metric `rmse`.

        To it comes the error of a first rating, from which only the first bias learns.
        """
        del training
        known, count = features["known"], tf.reduce_sum(features["known"])
        answered, conditioned = self.step_ahead(features)
        self.rmse.update_state(features["rating"], answered, sample_weight=known)
        spread = tf.math.log(tf.linalg.diag_part(conditioned.factor))
        unlikely = tf.reduce_sum((tf.square(conditioned.surprises) / 2 + spread) * known)
        _, mean = self.describe(features["title"])
        first = self.expect(features["title"], tf.stop_gradient(mean), tf.zeros_like(known))
        return (unlikely + tf.reduce_sum(tf.square(features["rating"] - first) * known) / 2) / count


def _days_between(timestamp: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Days from each of `others` to each timestamp, [..., timestamps, others]; whole seconds are subtracted."""
    return tf.cast(timestamp[..., :, None] - others[..., None, :], tf.float32) / SECONDS_OF_DAY


def _tensors(columns: "dict[str, npt.NDArray[Any]]") -> Features:
    return {name: tf.constant(column) for name, column in columns.items()}
