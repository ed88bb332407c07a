"""A model that describes a title by who has rated it and how, and learns to tell from that what others would say.

Sedhain and others, AutoRec: Autoencoders Meet Collaborative Filtering (WWW 2015): of a title's ratings a hidden layer
makes a code, and from the code a linear layer makes the rating of every user. A code follows from the training ratings
alone, so a trained model is two tables, as one of factors is: a code for each title and a vector for each user.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.recommender import data
from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns, count_rows
from steps.recommender.explain import Explanation
from steps.recommender.features import Features
from steps.recommender.models.base import Basis
from steps.recommender.models.factorization import BiasModel
from steps.recommender.vocabulary import OOV_ROW

BIAS_DAMPING: Final = 4.0
"""As if each user and each title had that many more ratings without a deviation of their own."""
CELLS: Final = 1 << 24
"""Places for ratings, of titles times users, that are filled at once to make codes, which bounds memory."""
LEARNED_CELLS: Final = 1 << 26
"""The same of a batch that is learned from."""


class AutoencoderModel(BiasModel):
    """Biases and the product of a user's vector and a title's code."""

    learns_from_whole = "title"
    answers_from_rows = True

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        from steps.recommender import bias_grid  # with SciPy, which no other model waits for

        super().__init__(config.model_copy(update={"l2": BIAS_DAMPING}), basis)
        # Biases start where two averages are, and what a title's ratings say beside them makes its code.
        dampings = [(BIAS_DAMPING, BIAS_DAMPING)]
        (expected,) = bias_grid.fit(basis.train, self.users - 1, self.titles - 1, dampings)
        for table, values in ((self.user_bias, expected.users), (self.title_bias, expected.titles)):
            table.build(())
            table.embeddings.assign(values[:, None])
        self.expected_of_user = tf.constant(expected.users, tf.float32)
        self.expected_of_title = tf.constant(expected.titles, tf.float32)
        # That a user has rated a title at all is told by this much, whatever the rating.
        self.presence = (basis.scale.maximum - basis.scale.minimum) / 2
        self.regularizer = tf.keras.regularizers.L2(config.l2 / basis.rows)
        self.user_encoder = self.embedding(self.users, config.embedding_size, "glorot_uniform")
        self.user_decoder = self.embedding(self.users, config.embedding_size, "glorot_uniform")
        for table in (self.user_encoder, self.user_decoder):
            table.build(())  # whole tables are multiplied, before a row of them is looked up
        self.code_bias = self.add_weight("code_bias", (config.embedding_size,), initializer="zeros")
        self.dropout, self.seed = config.dropout, config.seed
        self.memory: tf.Tensor | None = None

    # Titles to codes

    def code(self, ratings: tf.Tensor) -> tf.Tensor:
        """The codes [titles, size] of what users have said of titles, [titles, users]; 0 where nothing."""
        return tf.sigmoid(tf.matmul(ratings, self.user_encoder.embeddings) + self.code_bias)

    def said(self, rows: Features, place: tf.Tensor, titles: tf.Tensor) -> tf.Tensor:
        """What users have said of titles, [titles, users], by rows with the `place` of their title.

        Rows whose user or title is the unknown say nothing: they are there to be answered.
        """
        known = (rows["user"] != OOV_ROW) & (rows["title"] != OOV_ROW)
        expected = tf.gather(self.expected_of_user, rows["user"]) + tf.gather(self.expected_of_title, rows["title"])
        value = tf.where(known, rows["rating"] - self.mean - expected + self.presence, 0.0)
        return tf.scatter_nd(tf.stack([place, rows["user"]], axis=1), value, [titles, self.users])

    def codes(self) -> tf.Tensor:
        """The code of every title by what is remembered of it, [titles, size]."""
        if self.memory is not None:
            return self.memory
        return tf.tile(tf.sigmoid(self.code_bias)[None, :], [self.titles, 1])

    def remember(self, train: Columns) -> None:
        """Know the titles by their ratings in `train`, of which the codes are computed once."""
        self.memory = None
        codes = np.array(self.codes())
        count = max(1, CELLS // self.users)
        for part in data.whole_parts(train, "title"):
            order = np.argsort(part["title"], kind="stable")
            rows = {name: part[name][order] for name in ("user", "title", "rating")}
            titles = np.union1d(rows["title"], [OOV_ROW])
            for first in range(0, len(titles), count):
                block = titles[first : first + count]
                start, stop = np.searchsorted(rows["title"], [block[0], block[-1] + 1])
                own = {name: tf.constant(column[start:stop]) for name, column in rows.items()}
                place = np.searchsorted(block, own["title"]).astype(np.int32)
                codes[block] = self.code(self.said(own, place, len(block)))
        self.memory = tf.constant(codes)
        self._compiled_rate = None

    # Answers

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows]."""
        vectors = self.user_decoder(features["user"])
        return super().call(features, training) + tf.reduce_sum(
            vectors * tf.gather(self.codes(), features["title"]), axis=1
        )

    def query(self, asked: Features, history: Features | None = None) -> tf.Tensor:
        """The vector of who asks, [rows, size + 1]: the last number is 1, for the titles' biases."""
        del history
        users = self.user_decoder(asked["user"])
        return tf.concat([users, tf.ones_like(users[:, :1])], axis=1)

    def candidates(self) -> tf.Tensor:
        """The codes of all titles with their biases, [titles, size + 1]."""
        return tf.concat([self.codes(), self.title_bias(tf.range(self.titles))], axis=1)

    def title_vectors(self) -> tf.Tensor:
        """What tells titles apart, [titles, size]."""
        return self.codes()

    def explain(self, asked: Features, titles: tf.Tensor, history: Features) -> Explanation:
        """The parts are those of the sum."""
        taste = tf.einsum("rs,rts->rt", self.user_decoder(asked["user"]), tf.gather(self.codes(), titles))
        return Explanation({**super().explain(asked, titles, history).terms, "taste": taste})

    # Learning

    def training_batches(self, rows: Columns, size: int) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Whole titles at a time, of about `size` ratings: each row has the `place` of its title in the batch."""
        titles, number, ratings = np.unique(rows["title"], return_inverse=True, return_counts=True)
        # Which titles are together follows from the step, so that a resumed training learns from the same batches.
        random = np.random.default_rng((self.seed, int(self.optimizer.iterations)))
        shuffled = random.permutation(len(titles))
        batch_of = np.empty(len(titles), np.int64)
        # Titles with few ratings fill memory, too: each has a place for every user.
        filled = np.cumsum(np.maximum(ratings[shuffled], size * self.users // LEARNED_CELLS))
        batch_of[shuffled] = (filled - 1) // size
        order = np.argsort(batch_of[number], kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(batch_of[number][order])) + 1):
            batch = {name: rows[name][places] for name in ("user", "title", "rating")}
            _, place = np.unique(batch["title"], return_inverse=True)
            yield count_rows(batch), {**batch, "place": place.astype(np.int32)}

    def batch_signature(self, columns: Columns) -> dict[str, tf.TensorSpec]:
        """The shapes and types of what `training_batches` makes of `columns`."""
        types = {name: columns[name].dtype for name in ("user", "title", "rating")} | {"place": np.int32}
        return {name: tf.TensorSpec([None], kind) for name, kind in types.items()}

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """The mean squared error of a batch, a scalar; updates the metric `rmse`."""
        place = features["place"]
        said = self.said(features, place, tf.reduce_max(place) + 1)
        if training and self.dropout:
            # What is dropped follows from the step, for the same reason.
            seed = tf.stack([tf.constant(self.seed, tf.int64), tf.cast(self.optimizer.iterations, tf.int64)])
            said = tf.nn.experimental.stateless_dropout(said, self.dropout, seed=seed)
        everyone = tf.matmul(self.code(said), self.user_decoder.embeddings, transpose_b=True)
        product = tf.gather_nd(everyone, tf.stack([place, features["user"]], axis=1))
        predicted = super().call(features, training) + product
        return tf.reduce_mean(self.task(labels=features["rating"], predictions=predicted))
