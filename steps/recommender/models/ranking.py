"""The article's model: two embeddings and a multilayer perceptron."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns, RatingScale
from steps.recommender.explain import Explanation, by_integrated_gradients, pairs
from steps.recommender.features import Features
from steps.recommender.models.base import Basis, RatingModel, starting_from
from steps.recommender.models.context import Context
from steps.recommender.models.gradients import lookup, lookup_sorted, lowered, product, raised
from steps.recommender.precision import lower_type
from steps.recommender.vocabulary import OOV_ROW


class RankingModel(RatingModel):
    """A user and a title embedding, concatenated, then dense layers down to one number: the rating.

    The model of TensorFlow Recommenders' ranking tutorial, with regularised hidden layers.
    """

    reads_embeddings_alone = True
    """Whether the first hidden layer reads the embeddings as they are, where no other features are asked for."""

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(basis)
        vocabulary, scale = basis.vocabulary, basis.scale
        self.user_embedding = tf.keras.layers.Embedding(len(vocabulary.users) + 1, config.embedding_size)
        self.title_embedding = tf.keras.layers.Embedding(len(vocabulary.titles) + 1, config.embedding_size)
        self.context = Context(config.features, basis) if config.features else None
        self.hidden = [
            tf.keras.layers.Dense(
                size, activation=config.activation, kernel_regularizer=tf.keras.regularizers.L2(config.l2)
            )
            for size in config.layers
        ]
        plain = self.reads_embeddings_alone and bool(config.layers) and not config.features
        self.multiplies_tables = plain and len(vocabulary.users) + len(vocabulary.titles) < 2 * config.batch_size
        self.lower_type = lower_type(config)
        self.dropout = config.dropout
        self.dropout_seed = config.seed
        self.bounded = config.loss == "bce"
        share = np.clip((basis.mean - scale.minimum) / (scale.maximum - scale.minimum), 0.01, 0.99)
        start = math.log(share / (1 - share)) if self.bounded else basis.mean
        self.output_layer = tf.keras.layers.Dense(1, bias_initializer=starting_from(start))
        self.task = tfrs.tasks.Ranking(
            loss=ScaledCrossentropy(scale) if self.bounded else tf.keras.losses.MeanSquaredError("none"),
            metrics=[tf.keras.metrics.RootMeanSquaredError(name="rmse")],
        )

    def describe(self, features: Features) -> dict[str, tf.Tensor]:
        """What the network reads, by what it is about, each float32 [rows, numbers]."""
        embedded = {"user": self.user_embedding(features["user"]), "title": self.title_embedding(features["title"])}
        return {**embedded, **self.context(features)} if self.context else embedded

    def title_vectors(self) -> tf.Tensor:
        """What tells titles apart, [titles, size]."""
        return self.title_embedding(tf.range(self.title_rows))

    def explain(self, asked: Features, titles: tf.Tensor, history: Features) -> Explanation:
        """What each part of the network's input adds to what it answers an unknown user of an unknown title then."""
        del history
        both, unknown = pairs(asked, titles), tf.fill([tf.size(titles)], OOV_ROW)
        nothing = self.describe({"user": unknown, "title": unknown, "timestamp": both["timestamp"]})
        terms = by_integrated_gradients(self.answer, self.describe(both), nothing)
        return Explanation({name: tf.reshape(term, tf.shape(titles)) for name, term in terms.items()})

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows]; with squared error it may lie outside the scale."""
        if training and self.multiplies_tables:
            return self._finish(self._drop(self._look_products_up(features), 0), 1, training)
        return self.answer(tf.concat(list(self.describe(features).values()), axis=1), training)

    def answer(self, described: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows], from all that the network reads of it, [rows, numbers]."""
        return self._finish(described, 0, training)

    def _look_products_up(self, features: Features) -> tf.Tensor:
        """What the first hidden layer answers, [rows, units].

        It adds a user's and a title's product with its kernel. A batch has more rows than there are users and titles,
        so each of these is multiplied once.
        """
        first, size = self.hidden[0], self.user_embedding.output_dim
        users = tf.matmul(self.user_embedding.embeddings, first.kernel[:size])
        titles = tf.matmul(self.title_embedding.embeddings, first.kernel[size:]) + first.bias
        user, title = features["user"], features["title"]
        if "by_title" in features:
            return first.activation(lookup_sorted(users, user) + lookup(titles, title, features["by_title"]))
        return first.activation(lookup(users, user, tf.argsort(user)) + lookup(titles, title, tf.argsort(title)))

    def training_batches(self, rows: Columns, size: int) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Batches in the order of their users, where that makes gradients quick; `by_title` is the order of titles."""
        for count, batch in super().training_batches(rows, size):
            yield count, sorted_batch(batch) if self.multiplies_tables else batch

    def batch_signature(self, columns: Columns) -> dict[str, tf.TensorSpec]:
        """The shapes and types of what `training_batches` makes of `columns`."""
        return super().batch_signature(sorted_batch(columns) if self.multiplies_tables else columns)

    def part(self, batch: Features, start: tf.Tensor, stop: tf.Tensor) -> Features:
        """See `RatingModel.part`. The order of all titles is not that of some."""
        return super().part({name: column for name, column in batch.items() if name != "by_title"}, start, stop)

    def _finish(self, activations: tf.Tensor, start: int, training: bool) -> tf.Tensor:
        """The rating of each row from what the hidden layer `start` reads, [rows, numbers]."""
        for number, layer in enumerate(self.hidden[start:], start):
            activations = self._learn(layer, activations, number) if training else layer(activations)
        output = tf.squeeze(self.output_layer(activations), axis=1)
        if self.bounded:
            return self.scale.minimum + (self.scale.maximum - self.scale.minimum) * tf.sigmoid(output)
        return output

    def _learn(self, layer: tf.keras.layers.Dense, inputs: tf.Tensor, number: int) -> tf.Tensor:
        """What a hidden layer answers in training, in float32 whatever type it multiplies in."""
        if self.lower_type is None:
            return self._drop(layer.activation(product(inputs, layer.kernel) + layer.bias), number)
        low, kernel, bias = (lowered(values, self.lower_type) for values in (inputs, layer.kernel, layer.bias))
        return self._drop(raised(layer.activation(product(low, kernel) + bias)), number)

    def _drop(self, activations: tf.Tensor, number: int) -> tf.Tensor:
        """The activations of a hidden layer with a share of them left out."""
        if not self.dropout:
            return activations
        # What is dropped follows from the step, so that a resumed training drops the same units.
        draw = self.optimizer.iterations * len(self.hidden) + number
        seed = tf.stack([tf.constant(self.dropout_seed, tf.int64), draw])
        return tf.nn.experimental.stateless_dropout(activations, self.dropout, seed=seed)

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """The loss of a batch without regularisation, a scalar; updates the metric `rmse`."""
        return tf.reduce_mean(self.task(labels=features["rating"], predictions=self(features, training=training)))


def sorted_batch(batch: Columns) -> dict[str, npt.NDArray[Any]]:
    """The rows in the order of their users, and as `by_title` (int32) what would sort them by title."""
    by_user = _order(batch["user"])
    columns = {name: column[by_user] for name, column in batch.items()}
    return {**columns, "by_title": _order(columns["title"]).astype(np.int32)}


def _order(rows: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """What sorts the rows of a table, those that are alike in the order they have."""
    # Of numbers of 16 bits or fewer NumPy counts the digits, which is six times as quick as comparing.
    return np.argsort(rows.astype(np.min_scalar_type(rows.max(initial=0))), kind="stable")


class ScaledCrossentropy(tf.keras.losses.Loss):  # type: ignore[misc]
    """Binary cross-entropy between ratings that are first scaled to 0..1."""

    def __init__(self, scale: RatingScale) -> None:
        super().__init__("none")
        self.scale = scale

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each row, [rows], from ratings and predicted ratings."""
        span = self.scale.maximum - self.scale.minimum
        truth, predicted = (y_true - self.scale.minimum) / span, (y_pred - self.scale.minimum) / span
        return tf.keras.backend.binary_crossentropy(truth, predicted)
