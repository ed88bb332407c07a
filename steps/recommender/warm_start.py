"""A training that begins where an earlier one ended, though people, titles and words have come since."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.entry import StepError
from steps.recommender.config import TrainingConfig
from steps.recommender.models import RatingModel
from steps.recommender.title_words import TitleWords
from steps.recommender.trained_model import WEIGHTS, load
from steps.recommender.training_data import Start, TrainingData
from steps.recommender.vocabulary import OOV_ROW, Vocabulary

SHAPING: Final = ("model", "embedding_size", "layers", "activation", "features", "loss")
"""The parameters that must be those of the earlier model, whose weights would mean something else."""


def start_from(folder: Path, config: TrainingConfig, training_data: TrainingData, scratch: Path) -> Start:
    """Begin with the weights of the model in `folder`, whose training rows are laid into `scratch`.

    Raises:
        StepError: they do not fit: the kind or shape of the model, or the rating scale, is another one.
    """
    earlier = load(folder, scratch)
    for name in SHAPING:
        before, now = getattr(earlier.config, name), getattr(config, name)
        if before != now:
            raise StepError(
                f"the earlier model was trained with {name} {_text(before)}, and this training has {_text(now)}: "
                f"set {name} to {_text(before)}, or begin without an earlier model"
            )
    if earlier.scale != training_data.scale:
        scales = [f"{scale.minimum:g} to {scale.maximum:g}" for scale in (earlier.scale, training_data.scale)]
        raise StepError(f"the earlier model rates from {scales[0]}, and these ratings are from {scales[1]}")
    return Start(
        fingerprint=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        prepare=lambda model: carry_over(earlier.model, earlier.vocabulary, model, training_data.vocabulary),
        learned_until=earlier.learned_until,
    )


def carry_over(earlier: RatingModel, before: Vocabulary, model: RatingModel, now: Vocabulary) -> None:
    """Give `model` the weights of an earlier one of its kind; each has its own vocabulary.

    Who and what the earlier one knew keeps its row of each embedding; who and what is new begins as the unknown was,
    which is what the earlier model would have answered for it.

    Raises:
        StepError: other weights differ in shape, as when the data has other genres.
    """
    rows = {
        "user": _rows(before.users, now.users),
        "title": _rows(before.titles, now.titles),
        "word": _rows(TitleWords.of(before.titles).words, TitleWords.of(now.titles).words),
    }
    of_table = {id(layer.weights[0]): rows[kind] for kind, layer in _tables(model)}
    for learned, variable in zip(earlier.weights, model.weights, strict=True):
        value = learned.numpy()
        if id(variable) in of_table:
            value = value[of_table[id(variable)]]
        if value.shape != tuple(variable.shape):
            raise StepError(
                f"the earlier model does not fit this data: its {variable.name} has the shape {list(value.shape)}, and "
                f"{list(variable.shape)} is needed. Are there other genres or groups of people? Train without it once."
            )
        variable.assign(value)


def _tables(layer: Any) -> Iterator[tuple[str, tf.keras.layers.Embedding]]:
    """Every embedding of a model and what its rows are: what its name begins with, or else titles."""
    for name, value in vars(layer).items():
        if isinstance(value, tf.keras.layers.Embedding):
            kind = name.partition("_")[0]
            yield kind if kind in ("user", "word") else "title", value
        elif isinstance(value, tf.keras.layers.Layer) and not name.startswith("_"):
            yield from _tables(value)


def _rows(before: Sequence[str], now: Sequence[str]) -> npt.NDArray[np.int64]:
    """For each row of the embedding now, the row before that it begins with, [now + 1]."""
    known = {value: row for row, value in enumerate(before, start=1)}
    return np.array([OOV_ROW, *(known.get(value, OOV_ROW) for value in now)])


def _text(value: object) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
