"""What a model's answers depend on: the explanations of many of them, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.recommender.data import Columns, count_rows, where
from steps.recommender.explain import AVERAGE
from steps.recommender.models import RatingModel
from steps.recommender.models.base import FEATURES
from steps.recommender.models.cross import CrossModel
from steps.recommender.models.history import REMEMBERED
from steps.recommender.seen import SeenRatings, latest

ROWS: Final = 1000
"""How many answers are explained, at most: drawn with a fixed seed."""
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Importance:
    """The terms of explanations over some rows."""

    rows: int
    terms: Mapping[str, float]
    """The mean absolute amount of each term but the average, in rating units; the largest first."""
    mean_error: float
    """By how much the sum of a row's terms is off the model's answer, absolute."""
    largest_error: float
    crossed: Sequence[Sequence[float]] | None = None
    """Of a model with crosses: how strong those of each two inputs are, [topics, topics]."""
    topics: Sequence[str] = ()
    """What the inputs are about."""


def draw_rows(count: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Which of so many rows are explained, in their order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:ROWS])


def measure_importance(model: RatingModel, train: Columns, users: int, rows: Columns) -> Importance:
    """Explain what is answered to `rows` with frozen user state; `users` is how many the vocabulary has."""
    chosen = {name: rows[name] for name in FEATURES if name in rows}
    asking = np.unique(chosen["user"])
    seen = SeenRatings(where(train, lambda part: np.isin(part["user"], asking)), users)
    amounts: dict[str, list[float]] = {}
    errors: list[float] = []
    for start in range(0, count_rows(chosen), _BATCH):
        batch = {name: tf.constant(column[start : start + _BATCH]) for name, column in chosen.items()}
        asked = {name: column for name, column in batch.items() if name != "title"}
        history = seen.of(batch["user"])
        explanation = model.explain(
            asked, batch["title"][:, None], latest(history, REMEMBERED) if model.remembers else history
        )
        for name, term in explanation.terms.items():
            amounts.setdefault(name, []).extend(np.abs(term.numpy()[:, 0]).tolist())
        errors.extend(np.abs(explanation.total().numpy()[:, 0] - model(batch).numpy()).tolist())
    means = {name: float(np.mean(values)) for name, values in amounts.items() if name != AVERAGE}
    topics, crossed = model.crosses() if isinstance(model, CrossModel) else ((), None)
    return Importance(
        rows=count_rows(chosen),
        terms=dict(sorted(means.items(), key=lambda item: -item[1])),
        mean_error=float(np.mean(errors)),
        largest_error=float(np.max(errors)),
        crossed=crossed,
        topics=topics,
    )
