"""Predictions that need no deep learning: what a model must beat to be worth its cost.

Each is fitted on columns of training rows (`user` and `title` are rows of a vocabulary, `rating` the truth) and knows
nothing about row 0, the unknown, for which it falls back on what it knows on average.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from steps.recommender import data
from steps.recommender.data import Columns
from steps.recommender.vocabulary import OOV_ROW

Floats = npt.NDArray[np.floating[Any]]

TITLE_DAMPINGS: Final = (1.0, 3.0, 10.0, 30.0)
"""Choices for how many ratings at the global mean are added to each title's own."""
USER_DAMPINGS: Final = (3.0, 10.0, 30.0, 100.0)
"""The same for each user."""


@dataclass(frozen=True, slots=True)
class Bias:
    """Global mean + how the user differs from it + how the title differs from it."""

    mean: float
    users: Floats
    titles: Floats

    def predict(self, columns: Columns) -> Floats:
        """The rating of each row, [rows]."""
        return self.mean + self.users[columns["user"]] + self.titles[columns["title"]]

    def predict_in_turn(self, columns: Columns, damping: float) -> Floats:
        """The rating of each row when the same `owner`'s rows of earlier moments are known, [rows].

        The user's deviation is the mean of what these deviated from the titles' own, damped by so many zeros.
        """
        known, sums, counts = self.earlier(columns)
        return known + sums / (counts + damping)

    def earlier(self, columns: Columns) -> tuple[Floats, Floats, Floats]:
        """What `predict_in_turn` rests on, whatever the damping, each [rows].

        The title's own rating, by how much the owner's earlier ratings are above those of their titles, summed, and how
        many these are.
        """
        known = self.mean + self.titles[columns["title"]]
        return known, *_earlier_sums(columns["owner"], columns["timestamp"], columns["rating"] - known)


def fit_global_mean(train: Columns, users: int, titles: int) -> Bias:
    """Always say the mean training rating."""
    total = sum(float(np.sum(part["rating"], dtype=np.float64)) for part in data.parts(train, "rating"))
    return Bias(total / data.count_rows(train), np.zeros(users + 1), np.zeros(titles + 1))


def fit_title_mean(train: Columns, users: int, titles: int, damping: float) -> Bias:
    """Say the title's mean, as if `damping` ratings at the global mean were among its own."""
    fitted = fit_global_mean(train, users, titles)
    sums, rows = np.zeros(titles + 1), np.zeros(titles + 1)
    for part in data.parts(train, "title", "rating"):
        deviations = part["rating"].astype(np.float64) - fitted.mean
        sums += np.bincount(part["title"], weights=deviations, minlength=titles + 1)
        rows += np.bincount(part["title"], minlength=titles + 1)
    means = sums / (rows + damping)
    means[OOV_ROW] = 0.0
    return replace(fitted, titles=means)


def _earlier_sums(
    owner: npt.NDArray[np.int32], timestamp: npt.NDArray[np.int64], values: Floats
) -> tuple[Floats, Floats]:
    """For each row the sum of the values of the same owner's rows of earlier moments, and their number, both [rows]."""
    order = np.lexsort((timestamp, owner))
    sums = np.concatenate([[0.0], np.cumsum(values[order], dtype=np.float64)])
    places = np.arange(len(order))
    new_owner = np.diff(owner[order], prepend=-1) != 0
    new_moment = new_owner | (np.diff(timestamp[order], prepend=-1) != 0)
    first = np.maximum.accumulate(np.where(new_owner, places, 0))
    moment = np.maximum.accumulate(np.where(new_moment, places, 0))
    found = np.empty((2, len(order)))
    found[:, order] = sums[moment] - sums[first], moment - first
    return found[0], found[1]
