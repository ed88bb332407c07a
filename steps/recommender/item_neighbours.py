"""Ratings from what the same user gave to similar titles: item-kNN, static and in turn."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from steps.recommender.baselines import Bias, Floats
from steps.recommender.data import Columns
from steps.recommender.vocabulary import OOV_ROW

NEIGHBOURS: Final = 20
"""How many of a user's ratings, those of the most similar titles, count for a title."""
SHRINKAGE: Final = 50.0
"""As if each two titles had so many more users in common who did not rate them alike."""
DAMPING: Final = 1.0
"""As if so much more similarity spoke for the user's mean. Of the 48 settings of all three that `bench.neighbours`
tries, these are the second best prequentially on the validation rows of ML-100K, by 0.0001, and 0.0006 off the best
static."""
MOST_TITLES: Final = 20_000
"""Beyond that many titles a similarity for each two of them does not fit."""

_BLOCK_CELLS: Final = 2**23  # pairs of titles looked at together, each of several numbers of 64 bits


@dataclass(frozen=True, slots=True)
class ItemNeighbours:
    """A title's mean, the user's own, and what the user's ratings of similar titles add.

    Koren, Factor in the Neighbors (ACM TKDD 4(1), 2010), section 2.2: similarities are correlations of deviations from
    the titles' means, shrunk where few users rated both; only titles rated alike count.
    """

    titles: Bias
    """The mean of each title."""
    similarity: Floats
    """[titles + 1, titles + 1], none of it below 0; 0 for a title and itself, and for the unknown."""
    damping: float
    """How many zeros are added to each user's deviations."""
    neighbours: int = NEIGHBOURS
    similarity_damping: float = DAMPING

    def predict(self, columns: Columns, train: Columns) -> Floats:
        """The rating of each row, [rows], knowing the rows of the same `user` in `train`, but for those of the title.

        `train` has all training rows of these users, and perhaps others.
        """
        known = train["user"] != OOV_ROW
        rated = {name: train[name][known] for name in ("user", "title", "rating")}
        return self._predict(columns, columns["user"], rated, rated["user"], in_turn=False)

    def predict_in_turn(self, columns: Columns) -> Floats:
        """The rating of each row, [rows], knowing the rows of the same `owner` of earlier moments."""
        return self._predict(columns, columns["owner"], columns, columns["owner"], in_turn=True)

    def _predict(self, asked: Columns, asks: Floats, known: Columns, knows: Floats, *, in_turn: bool) -> Floats:
        deviation = known["rating"] - self.titles.predict({**known, "user": np.zeros_like(known["title"])})
        rated = self.titles.predict({**asked, "user": np.zeros_like(asked["title"])})
        asking, knowing = np.argsort(asks, kind="stable"), np.argsort(knows, kind="stable")
        owners, starts = np.unique(asks[asking], return_index=True)
        first, last = (np.searchsorted(knows[knowing], owners, side=side) for side in ("left", "right"))
        for rows, begin, end in zip(np.split(asking, starts)[1:], first, last, strict=True):
            history = knowing[begin:end]
            if not len(history):
                continue
            may = asked["title"][rows][:, None] != known["title"][history][None, :]
            if in_turn:
                may = known["timestamp"][history][None, :] < asked["timestamp"][rows][:, None]
            mean = (may @ deviation[history]) / (may.sum(axis=1) + self.damping)
            similar = self.similarity[np.ix_(asked["title"][rows], known["title"][history])] * may
            if len(history) > self.neighbours:
                least = np.partition(similar, -self.neighbours, axis=1)[:, -self.neighbours]
                similar[similar < least[:, None]] = 0.0
            more = similar @ deviation[history] - similar.sum(axis=1) * mean
            rated[rows] += mean + more / (similar.sum(axis=1) + self.similarity_damping)
        return rated


def fit(train: Iterable[Columns], titles: Bias, damping: float, shrinkage: float = SHRINKAGE) -> ItemNeighbours:
    """Fitted on training rows, where `titles` has the titles' means and `damping` suits users' means.

    `train` is read several times; each of its parts has all rows of its users.
    """
    count = len(titles.titles)
    similarity = np.zeros((count, count), np.float32)
    block = max(1, _BLOCK_CELLS // count)
    for start in range(0, count, block):
        some = slice(start, start + block)
        together, squares, others, both = np.zeros((4, min(block, count - start), count))
        for part in train:
            values, rated = _matrices(part, titles)
            squared = values.multiply(values).tocsr()
            together += (values[:, some].T @ values).toarray()
            squares += (squared[:, some].T @ rated).toarray()
            others += (rated[:, some].T @ squared).toarray()
            both += (rated[:, some].T @ rated).toarray()
        lengths = np.sqrt(squares * others)
        correlation = np.divide(together, lengths, out=np.zeros_like(together), where=lengths > 0)
        similarity[some] = np.maximum(correlation * both / (both + shrinkage), 0.0)
    np.fill_diagonal(similarity, 0.0)
    similarity[OOV_ROW] = similarity[:, OOV_ROW] = 0.0
    return ItemNeighbours(titles, similarity, damping)


def _matrices(rows: Columns, titles: Bias) -> tuple[Any, Any]:
    """By how much ratings differ from their titles' means, and 1 for each rating: sparse, [users, titles]."""
    deviation = rows["rating"] - titles.predict({**rows, "user": np.zeros_like(rows["title"])})
    known = rows["user"] != OOV_ROW
    users, user = np.unique(rows["user"][known], return_inverse=True)
    places, shape = (user, rows["title"][known]), (len(users), len(titles.titles))
    values = sp.csr_matrix((deviation[known], places), shape=shape)
    return values, sp.csr_matrix((np.ones(len(user)), places), shape=shape)
