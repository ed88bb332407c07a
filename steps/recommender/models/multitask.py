"""One user tower for two questions: which title comes next, and how it is rated."""

import numpy as np
import tensorflow as tf

from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns
from steps.recommender.features import Features
from steps.recommender.models.base import Answers, Basis
from steps.recommender.models.retrieval import COLUMNS, RetrievalModel
from steps.recommender.models.sequences import padded, sequences


class MultitaskModel(RetrievalModel):
    """Retrieval, and a ranking head that adds to the two averages what both towers' vectors say about a rating.

    Each question has a weight in the loss. The model of TensorFlow Recommenders' multitask tutorial, over a history.
    """

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(config, basis)
        self.retrieval_weight, self.rating_weight = config.retrieval_weight, config.rating_weight
        self.head = tf.keras.layers.Dense(config.layers[0], activation=config.activation)
        self.correction = tf.keras.layers.Dense(1, kernel_initializer="zeros")
        self._compiled_rate_in_turn = tf.function(self._rate_in_turn, reduce_retracing=True)

    def rate_of(self, described: tf.Tensor, title: tf.Tensor) -> tf.Tensor:
        """The rating [...] of titles by users as `describe` has them, [..., size + 1]."""
        user, vector = described[..., :-1], self.tower.title_vector(title)
        both = tf.concat([user, vector, user * vector, described[..., -1:]], axis=-1)
        return super().rate_of(described, title) + tf.squeeze(self.correction(self.head(both)), axis=-1)

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """Cross-entropy and squared error by their weights, a scalar; updates the metric `rmse`."""
        known = features["known"]
        users = self.tower.before_each(features, self.optimizer.iterations if training else None)
        rated = self.rate_of(self.in_turn(features, users), features["title"])
        self.rmse.update_state(features["rating"], rated, sample_weight=known)
        squared = tf.reduce_sum(tf.square(features["rating"] - rated) * known) / tf.reduce_sum(known)
        return self.retrieval_weight * self.retrieval_loss(features, users) + self.rating_weight * squared

    def predict_in_turn(self, columns: Columns) -> Answers:
        """The rating that is served for each row when the same `owner`'s rows of earlier moments are known, [rows]."""
        predicted = np.zeros(len(columns["owner"]), np.float32)
        rows = {name: columns[name] for name in COLUMNS}
        for places in sequences(columns["owner"], columns["timestamp"], self.prediction_batch):
            batch = {name: tf.constant(column) for name, column in padded(rows, places).items()}
            predicted[places[places >= 0]] = self._compiled_rate_in_turn(batch).numpy()[places >= 0]
        return np.clip(predicted, self.scale.minimum, self.scale.maximum)

    def _rate_in_turn(self, batch: Features) -> tf.Tensor:
        described = self.in_turn(batch, self.tower.before_each(batch))
        # Ratings of one moment do not know one another: all of them are answered as the first of them is.
        moment = tf.where(batch["known"] > 0, batch["timestamp"], tf.int64.max)  # what fills up comes last
        first = tf.searchsorted(moment, moment)
        return self.rate_of(tf.gather(described, first, batch_dims=1), batch["title"])
