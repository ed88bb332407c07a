"""The Deep & Cross Network: products of features, learned, before the perceptron."""

import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender.config import TrainingConfig
from steps.recommender.features import YEAR_FEATURES, TitleFeatures
from steps.recommender.models.base import Basis, Features
from steps.recommender.models.ranking import RankingModel


class CrossModel(RankingModel):
    """The ranking model over crossed features: embeddings, genres, year, and the moment of the request.

    Wang and others, DCN V2 (WWW 2021), with the cross layer before the hidden ones.
    """

    def __init__(self, config: TrainingConfig, basis: Basis) -> None:
        super().__init__(config, basis)
        self.title_features = TitleFeatures(basis.titles)
        self.cross = tfrs.layers.dcn.Cross(kernel_regularizer=tf.keras.regularizers.L2(config.l2))

    def describe(self, features: Features) -> dict[str, tf.Tensor]:
        """What the network reads, by what it is about, each float32 [rows, numbers]."""
        title, timestamp = features["title"], features["timestamp"]
        known, moment = self.title_features.of_titles(title), self.title_features.at_moments(title, timestamp)
        return {
            **super().describe(features),
            "genres": known[:, :-YEAR_FEATURES],
            "year": known[:, -YEAR_FEATURES:],
            "time": moment[:, :-2],
            "popularity": moment[:, -2:-1],
            "age": moment[:, -1:],
        }

    def answer(self, described: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The rating of each row: the ranking model's for every number times a mix of all of them, and itself."""
        return super().answer(self.cross(described), training)
