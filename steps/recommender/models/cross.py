"""The Deep & Cross Network: products of features, learned, before the perceptron."""

import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender.config import TrainingConfig
from steps.recommender.models.base import FEATURES, Basis
from steps.recommender.models.ranking import RankingModel


class CrossModel(RankingModel):
    """The ranking model over crossed features: embeddings, and what `features` names.

    Wang and others, DCN V2 (WWW 2021), with the cross layer before the hidden ones.
    """

    reads_embeddings_alone = False

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(config, basis)
        self.cross = tfrs.layers.dcn.Cross(kernel_regularizer=tf.keras.regularizers.L2(config.l2))

    def crosses(self) -> tuple[list[str], list[list[float]]]:
        """What the network reads, and how strong the crosses of each two topics are: the root mean square weight.

        A row is what is multiplied, a column what it is mixed from.
        """
        described = self.describe({name: tf.zeros([1], tf.int64) for name in FEATURES})
        sizes = [numbers.shape[1] for numbers in described.values()]
        kernel = self.cross.trainable_variables[0]
        blocks = [tf.split(column, sizes, axis=0) for column in tf.split(kernel, sizes, axis=1)]
        return list(described), [
            [float(tf.sqrt(tf.reduce_mean(tf.square(block)))) if tf.size(block) else 0.0 for block in row]
            for row in blocks
        ]

    def answer(self, described: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The rating of each row: the ranking model's for every number times a mix of all of them, and itself."""
        return super().answer(self.cross(described), training)
