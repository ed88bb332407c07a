"""User and title biases, of one damping or of several side by side: rows are read once for all of them."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import scipy.sparse as sp

from steps.recommender import baselines, data
from steps.recommender.baselines import Bias, Floats
from steps.recommender.data import Columns
from steps.recommender.vocabulary import OOV_ROW

ROUNDS: Final = 10


def fit(train: Columns, users: int, titles: int, dampings: Sequence[tuple[float, float]]) -> list[Bias]:
    """Least squares for user and title deviations, each with a squared penalty, by alternating exact solutions.

    One for each damping of users and of titles, which is the weight of their penalties.
    Koren, Factor in the Neighbors (ACM TKDD 4(1), 2010), section 2.1, solved as the Surprise library does.
    """
    mean = baselines.fit_global_mean(train, users, titles).mean
    by_user, by_title = np.array(dampings).T
    of_users: Floats = np.zeros((users + 1, len(dampings)))
    of_titles: Floats = np.zeros((titles + 1, len(dampings)))
    for _ in range(ROUNDS):
        of_titles = _damped_deviations(train, "title", mean, by_title, len(of_titles), of_users)
        of_users = _damped_deviations(train, "user", mean, by_user, len(of_users), of_titles)
    return [Bias(mean, of_users[:, place].copy(), of_titles[:, place].copy()) for place in range(len(dampings))]


def _damped_deviations(
    train: Columns, of: Literal["user", "title"], mean: float, damping: Floats, count: int, of_others: Floats
) -> Floats:
    """By how much the ratings of each user or title are above the mean and what the others' deviations say.

    The mean as if `damping` zeros were among them, [count, dampings]; `of_others` is [others, dampings].
    """
    other = "title" if of == "user" else "user"
    sums, rows = np.zeros((count, len(damping))), np.zeros(count)
    for part in data.parts(train, "user", "title", "rating"):
        ones = np.ones(len(part["rating"]))
        pairs = sp.coo_matrix((ones, (part[of], part[other])), shape=(count, len(of_others)))
        own = np.bincount(part[of], weights=part["rating"].astype(np.float64) - mean, minlength=count)
        sums += own[:, None] - pairs @ of_others
        rows += np.bincount(part[of], minlength=count)
    means: Floats = sums / (rows[:, None] + damping)
    means[OOV_ROW] = 0.0
    return means
