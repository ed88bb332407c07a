"""Models that add up what is known of a user and of a title, and the product of both."""

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender.config import TrainingConfig
from steps.recommender.explain import AVERAGE, RATED, Explanation, pairs
from steps.recommender.features import Features
from steps.recommender.models.base import Basis, RatingModel


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

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(config, basis)
        self.user_factors = self.embedding(self.users, config.embedding_size, "uniform")
        self.title_factors = self.embedding(self.titles, config.embedding_size, "uniform")
        self.rated_factors = self.embedding(self.titles, config.embedding_size, "uniform")
        rated = np.unique(np.stack([basis.train["user"], basis.train["title"]], axis=1), axis=0)
        self.rated_by, self.rated = tf.constant(rated[:, 0]), tf.constant(rated[:, 1])
        counts = np.bincount(rated[:, 0], minlength=self.users)
        self.share = tf.constant(1 / np.sqrt(np.maximum(counts, 1)), tf.float32)

    def user_vectors(self) -> tf.Tensor:
        """Each user's vector and what the titles that the user has rated add to it, [users, size]."""
        sums = tf.math.unsorted_segment_sum(self.rated_factors(self.rated), self.rated_by, self.users)
        return self.user_factors(tf.range(self.users)) + sums * self.share[:, None]

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows]."""
        users = tf.gather(self.user_vectors(), features["user"])
        product = tf.reduce_sum(users * self.title_factors(features["title"]), axis=1)
        return super().call(features, training) + product

    def query(self, asked: Features, history: Features | None = None) -> tf.Tensor:
        """The vector of who asks, [rows, size + 1]: the last number is 1, for the titles' biases."""
        del history
        users = tf.gather(self.user_vectors(), asked["user"])
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
