"""A trained model as a folder: written by `train`, read by `evaluate` and `export`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_recommenders as tfrs

from steps.recommender.config import TrainingConfig
from steps.recommender.data import RatingScale, Split, require_files
from steps.recommender.history import EpochRecord
from steps.recommender.models import build_model
from steps.recommender.training import Training, TrainingData, encode_training_data
from steps.recommender.vocabulary import Vocabulary

DESCRIPTION = "model.json"
VOCABULARY = "vocabulary.json"
WEIGHTS = "weights.weights.h5"
HISTORY = "history.json"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model with the weights of its best epoch, and how it came to be."""

    model: tfrs.models.Model
    config: TrainingConfig
    vocabulary: Vocabulary
    scale: RatingScale
    history: Sequence[EpochRecord]
    best_epoch: int
    data_digest: str
    """`TrainingData.digest` of what it was trained on."""

    def was_trained_on(self, split: Split) -> bool:
        """Whether `split` has the training and validation rows that it learned from and was chosen by."""
        return encode_training_data(split).digest() == self.data_digest


def save(training: Training, config: TrainingConfig, training_data: TrainingData, folder: Path) -> None:
    """Write a folder in the format `trained-model`."""
    description = {
        "parameters": config.model_dump(mode="json", include=set(TrainingConfig.model_fields)),
        "rating_scale": asdict(training_data.scale),
        "mean_rating": float(np.mean(training_data.train["rating"])),
        "users": len(training_data.vocabulary.users),
        "titles": len(training_data.vocabulary.titles),
        "weights": training.model.count_params(),
        "best_epoch": training.best_epoch,
        "data_digest": training_data.digest(),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2))
    (folder / HISTORY).write_text(json.dumps([asdict(record) for record in training.history], indent=2))
    training_data.vocabulary.save(folder / VOCABULARY)
    training.model.save_weights(folder / WEIGHTS)


def load(folder: Path) -> TrainedModel:
    """Read what `save` wrote.

    Raises:
        StepError: the folder is not a trained model.
    """
    require_files(folder, [DESCRIPTION, VOCABULARY, WEIGHTS, HISTORY], made_by="train")
    description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
    config = TrainingConfig.model_validate(description["parameters"])
    scale = RatingScale(**description["rating_scale"])
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    model = build_model(config, vocabulary, scale, mean=description["mean_rating"])
    model.load_weights(folder / WEIGHTS)
    history = [EpochRecord(**record) for record in json.loads((folder / HISTORY).read_text())]
    return TrainedModel(
        model, config, vocabulary, scale, history, description["best_epoch"], description["data_digest"]
    )
