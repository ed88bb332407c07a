"""The family of models, by the name that `with: {model: ...}` gives. Each is a `RatingModel`."""

import math
from typing import Any

import tensorflow as tf

from steps.recommender.config import ModelName, TrainingConfig
from steps.recommender.models.autoencoder import AutoencoderModel
from steps.recommender.models.base import Basis, RatingModel
from steps.recommender.models.cross import CrossModel
from steps.recommender.models.factorization import BiasModel, FactorModel
from steps.recommender.models.history import HistoryModel
from steps.recommender.models.multitask import MultitaskModel
from steps.recommender.models.ranking import RankingModel
from steps.recommender.models.retrieval import RetrievalModel

MODELS: dict[ModelName, Any] = {
    "bias": BiasModel,
    "mf": FactorModel,
    "ranking": RankingModel,
    "dcn": CrossModel,
    "history": HistoryModel,
    "autoencoder": AutoencoderModel,
    "retrieval": RetrievalModel,
    "multitask": MultitaskModel,
}

OPTIMIZERS: dict[str, Any] = {
    "adagrad": tf.keras.optimizers.Adagrad,
    "adam": tf.keras.optimizers.Adam,
    "nadam": tf.keras.optimizers.Nadam,
    "rmsprop": tf.keras.optimizers.RMSprop,
    "sgd": tf.keras.optimizers.SGD,
}


def build_model(config: TrainingConfig, basis: Basis) -> RatingModel:
    """The model that `config` names, with its weights and its optimizer's made from `config.seed`."""
    tf.keras.utils.set_random_seed(config.seed)
    model: RatingModel = MODELS[config.model](config, basis)
    model.compile(optimizer=OPTIMIZERS[config.optimizer](learning_rate(config, basis)))
    model({"user": tf.zeros([1], tf.int32), "title": tf.zeros([1], tf.int32), "timestamp": tf.zeros([1], tf.int64)})
    model.optimizer.build(model.trainable_variables)
    return model


def learning_rate(config: TrainingConfig, basis: Basis) -> Any:
    """The size of steps, or a schedule of it, as `config` has it."""
    if config.decay == "none":
        return config.learning_rate
    steps = config.epochs * math.ceil(basis.rows / config.batch_size)
    return tf.keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)


__all__ = ["MODELS", "OPTIMIZERS", "Basis", "RatingModel", "build_model"]
