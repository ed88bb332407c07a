"""The models. Each is a `tfrs.models.Model` that takes columns of embedding rows and answers ratings."""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns, RatingScale, batches
from steps.recommender.vocabulary import Vocabulary

FEATURES: Final = ("user", "title")
"""The columns that a model needs to answer."""
PREDICTION_BATCH: Final = 32_768
"""Rows answered at a time, which bounds memory."""

Features = dict[str, tf.Tensor]
"""A batch by column name, each [rows]: `user` and `title` int32, and where the truth is known `rating` float32."""


class RankingModel(tfrs.models.Model):  # type: ignore[misc]
    """A user and a title embedding, concatenated, then dense layers down to one number: the rating.

    The model of TensorFlow Recommenders' ranking tutorial, with regularised hidden layers.
    """

    def __init__(self, config: TrainingConfig, vocabulary: Vocabulary, scale: RatingScale, mean: float) -> None:
        super().__init__()
        self.scale = scale
        self.user_embedding = tf.keras.layers.Embedding(len(vocabulary.users) + 1, config.embedding_size)
        self.title_embedding = tf.keras.layers.Embedding(len(vocabulary.titles) + 1, config.embedding_size)
        self.hidden = [
            tf.keras.layers.Dense(
                size, activation=config.activation, kernel_regularizer=tf.keras.regularizers.L2(config.l2)
            )
            for size in config.layers
        ]
        self.dropout = config.dropout
        self.dropout_seed = config.seed
        self.bounded = config.loss == "bce"
        # Starting from the mean spares the first epochs from finding it.
        share = np.clip((mean - scale.minimum) / (scale.maximum - scale.minimum), 0.01, 0.99)
        start = math.log(share / (1 - share)) if self.bounded else mean
        self.output_layer = tf.keras.layers.Dense(1, bias_initializer=tf.keras.initializers.Constant(start))
        self.task = tfrs.tasks.Ranking(
            loss=ScaledCrossentropy(scale) if self.bounded else tf.keras.losses.MeanSquaredError(),
            metrics=[tf.keras.metrics.RootMeanSquaredError(name="rmse")],
        )

    def call(self, features: Features, training: bool = False) -> tf.Tensor:
        """The rating of each row, float32 [rows]; with squared error it may lie outside the scale."""
        activations = tf.concat(
            [self.user_embedding(features["user"]), self.title_embedding(features["title"])], axis=1
        )
        for number, layer in enumerate(self.hidden):
            activations = layer(activations)
            if training and self.dropout:
                # What is dropped follows from the step, so that a resumed training drops the same units.
                draw = self.optimizer.iterations * len(self.hidden) + number
                seed = tf.stack([tf.constant(self.dropout_seed, tf.int64), draw])
                activations = tf.nn.experimental.stateless_dropout(activations, self.dropout, seed=seed)
        output = tf.squeeze(self.output_layer(activations), axis=1)
        if self.bounded:
            return self.scale.minimum + (self.scale.maximum - self.scale.minimum) * tf.sigmoid(output)
        return output

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def rate(self, features: Features) -> tf.Tensor:
        """The rating that is served for each row, float32 [rows]: the nearest to `call`'s within the scale."""
        return tf.clip_by_value(self(features), self.scale.minimum, self.scale.maximum)

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """The loss of a batch without regularisation, a scalar; updates the metric `rmse`."""
        return self.task(labels=features["rating"], predictions=self(features, training=training))


class ScaledCrossentropy(tf.keras.losses.Loss):  # type: ignore[misc]
    """Binary cross-entropy between ratings that are first scaled to 0..1."""

    def __init__(self, scale: RatingScale) -> None:
        super().__init__()
        self.scale = scale

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each row, [rows], from ratings and predicted ratings."""
        span = self.scale.maximum - self.scale.minimum
        truth, predicted = (y_true - self.scale.minimum) / span, (y_pred - self.scale.minimum) / span
        return tf.keras.backend.binary_crossentropy(truth, predicted)


MODELS: dict[str, Any] = {"ranking": RankingModel}

OPTIMIZERS: dict[str, Any] = {
    "adagrad": tf.keras.optimizers.Adagrad,
    "adam": tf.keras.optimizers.Adam,
    "nadam": tf.keras.optimizers.Nadam,
    "rmsprop": tf.keras.optimizers.RMSprop,
    "sgd": tf.keras.optimizers.SGD,
}


def build_model(config: TrainingConfig, vocabulary: Vocabulary, scale: RatingScale, mean: float) -> tfrs.models.Model:
    """The model that `config` names, with its weights and its optimizer's made from `config.seed`.

    `mean` is the mean training rating, from which predictions start.
    """
    tf.keras.utils.set_random_seed(config.seed)
    model = MODELS[config.model](config, vocabulary, scale, mean)
    model.compile(optimizer=OPTIMIZERS[config.optimizer](config.learning_rate))
    model({"user": tf.zeros([1], tf.int32), "title": tf.zeros([1], tf.int32)})
    model.optimizer.build(model.trainable_variables)
    return model


def predict_ratings(model: tfrs.models.Model, columns: Columns) -> npt.NDArray[np.float32]:
    """The rating that `model` answers for each row, within the scale, [rows]."""
    parts = [
        model.rate({name: tf.constant(batch[name]) for name in FEATURES}).numpy()
        for batch in batches(columns, PREDICTION_BATCH)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)
