"""Models that add up what is known of a user and of a title, and the product of both."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns
from steps.recommender.explain import AVERAGE, RATED, Explanation, pairs
from steps.recommender.features import Features
from steps.recommender.models.base import Basis, RatingModel
from steps.recommender.stored_columns import SHARD
from steps.recommender.user_rows import UserRows

_PAIR: Final = ("rated", "rated_by")


class BiasModel(RatingModel):
    """The mean rating, how the user differs from it, and how the title does."""

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(basis)
        self.users, self.titles = len(basis.vocabulary.users) + 1, len(basis.vocabulary.titles) + 1
        self.mean = basis.mean
        # `l2` damps as if each had that many more ratings at the mean.
        self.regularizer = tf.keras.regularizers.L2(config.l2 / basis.rows)
        self.user_bias = self.embedding(self.users, 1, "zeros")
        self.title_bias = self.embedding(self.titles, 1, "zeros")
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError("none"), metrics=[tf.keras.metrics.RootMeanSquaredError(name="rmse")]
        )

    def embedding(self, rows: int, size: int, start: str) -> tf.keras.layers.Embedding:
        """A table of `size` numbers for each of `rows`, kept small by `l2`."""
        return tf.keras.layers.Embedding(
            rows, size, embeddings_initializer=start, embeddings_regularizer=self.regularizer
        )

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows]."""
        del training
        return self.mean + tf.squeeze(self.user_bias(features["user"]) + self.title_bias(features["title"]), axis=1)

    def explain(self, asked: Features, titles: tf.Tensor, history: Features) -> Explanation:
        """The parts are those of the sum."""
        del history
        both, shape = pairs(asked, titles), tf.shape(titles)
        return Explanation(
            {
                AVERAGE: tf.fill(shape, tf.constant(self.mean, tf.float32)),
                "user": tf.reshape(self.user_bias(both["user"]), shape),
                "title": tf.reshape(self.title_bias(both["title"]), shape),
            }
        )

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """The mean squared error of a batch, a scalar; updates the metric `rmse`."""
        return tf.reduce_mean(self.task(labels=features["rating"], predictions=self(features, training=training)))


class FactorModel(BiasModel):
    """Biases and the product of a user's and a title's vector, where what a user has rated, however, counts as well.

    Koren, Factorization Meets the Neighborhood (KDD 2008), section 4: SVD++.
    """

    learns_from_whole = "user"
    answers_from_rows = True

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(config, basis)
        self.user_factors = self.embedding(self.users, config.embedding_size, "uniform")
        self.title_factors = self.embedding(self.titles, config.embedding_size, "uniform")
        self.rated_factors = self.embedding(self.titles, config.embedding_size, "uniform")
        self.rated = UserRows.of(basis.train, self.users - 1, _rated_titles, "rated")
        self.share = tf.constant(1 / np.sqrt(np.maximum(self.rated.counts, 1)), tf.float32)
        self.memory: tf.Tensor | None = None

    def user_vectors(self, sums: tf.Tensor) -> tf.Tensor:
        """Each user's vector and what the sums of the factors of what the user has rated add to it, [users, size]."""
        return self.user_factors(tf.range(self.users)) + sums * self.share[:, None]

    def sums(self, pairs: Features) -> tf.Tensor:
        """The sum of the factors of what each user has rated, [users, size], by the pairs of `rated_titles`."""
        return tf.math.unsorted_segment_sum(self.rated_factors(pairs["rated"]), pairs["rated_by"], self.users)

    def pairs(self, users: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[Any]]:
        """The titles that these users have rated, each once, as `rated`, and who did, as `rated_by`; both int32."""
        titles = self.rated.column("title")[self.rated.places(users)]
        return {"rated": titles, "rated_by": np.repeat(users, self.rated.counts[users])}

    def remember(self, train: Columns) -> None:
        """Know users by what they have rated, of which the vectors are computed once."""
        del train  # is that of the basis
        sums = tf.zeros([self.users, self.rated_factors.output_dim])
        for users in self.rated.blocks(SHARD):
            sums += self.sums({name: tf.constant(column) for name, column in self.pairs(users).items()})
        self.memory = self.user_vectors(sums)
        self._compiled_rate = None

    def known_users(self) -> tf.Tensor:
        """The vectors of all users by what is remembered of them, [users, size]."""
        if self.memory is not None:
            return self.memory
        nothing = tf.zeros([0], tf.int32)
        return self.user_vectors(self.sums({"rated": nothing, "rated_by": nothing}))

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows]."""
        vectors = self.user_vectors(self.sums(features)) if "rated" in features else self.known_users()
        users = tf.gather(vectors, features["user"])
        product = tf.reduce_sum(users * self.title_factors(features["title"]), axis=1)
        return super().call(features, training) + product

    def training_batches(self, rows: Columns, size: int) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Batches with what the users of all of `rows` have rated."""
        pairs = self.pairs(np.unique(rows["user"]))
        for count, batch in super().training_batches(rows, size):
            yield count, {**batch, **pairs}

    def batch_signature(self, columns: Columns) -> dict[str, tf.TensorSpec]:
        """The shapes and types of what `training_batches` makes of `columns`."""
        return super().batch_signature(columns) | dict.fromkeys(_PAIR, tf.TensorSpec([None], tf.int32))

    def part(self, batch: Features, start: tf.Tensor, stop: tf.Tensor) -> Features:
        """See `RatingModel.part`: whichever rows are learned from, what their users have rated stays the same."""
        rows = {name: column for name, column in batch.items() if name not in _PAIR}
        return super().part(rows, start, stop) | {name: batch[name] for name in _PAIR}

    def query(self, asked: Features, history: Features | None = None) -> tf.Tensor:
        """The vector of who asks, [rows, size + 1]: the last number is 1, for the titles' biases."""
        del history
        users = tf.gather(self.known_users(), asked["user"])
        return tf.concat([users, tf.ones_like(users[:, :1])], axis=1)

    def candidates(self) -> tf.Tensor:
        """The vectors of all titles with their biases, [titles, size + 1]."""
        titles = tf.range(self.titles)
        return tf.concat([self.title_factors(titles), self.title_bias(titles)], axis=1)

    def title_vectors(self) -> tf.Tensor:
        """What tells titles apart, [titles, size]."""
        return self.title_factors(tf.range(self.titles))

    def explain(self, asked: Features, titles: tf.Tensor, history: Features) -> Explanation:
        """The parts are those of the sum, and the last of them is one over the titles that the user has rated."""
        vectors = self.title_factors(titles)
        taste = tf.einsum("rs,rts->rt", self.user_factors(asked["user"]), vectors)
        share = tf.gather(self.share, asked["user"])[:, None] * history["known"]
        reasons = tf.einsum("rh,rhs,rts->rth", share, self.rated_factors(history["title"]), vectors)
        terms = super().explain(asked, titles, history).terms
        return Explanation({**terms, "taste": taste, RATED: tf.reduce_sum(reasons, axis=2)}, reasons)


def _rated_titles(part: Columns) -> dict[str, npt.NDArray[np.int32]]:
    """Each title that a user has rated, once, in the order of users and titles."""
    pairs = np.unique(part["user"].astype(np.int64) << 32 | part["title"])
    return {"user": (pairs >> 32).astype(np.int32), "title": pairs.astype(np.int32)}
