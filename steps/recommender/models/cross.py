"""The Deep & Cross Network: products of features, learned, before the perceptron."""

import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender.config import TrainingConfig
from steps.recommender.models.base import Basis
from steps.recommender.models.ranking import RankingModel


class CrossModel(RankingModel):
    """The ranking model over crossed features: embeddings, and what `features` names.

    Wang and others, DCN V2 (WWW 2021), with the cross layer before the hidden ones.
    """

    reads_embeddings_alone = False

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(config, basis)
        self.cross = tfrs.layers.dcn.Cross(kernel_regularizer=tf.keras.regularizers.L2(config.l2))

    def answer(self, described: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The rating of each row: the ranking model's for every number times a mix of all of them, and itself."""
        return super().answer(self.cross(described), training)
