"""Ratings from what the same user gave to similar titles: item-kNN, static and in turn."""

from dataclasses import dataclass
from typing import Final

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
    train: Columns
    damping: float
    """How many zeros are added to each user's deviations."""
    neighbours: int = NEIGHBOURS
    similarity_damping: float = DAMPING

    def predict(self, columns: Columns) -> Floats:
        """The rating of each row, [rows], knowing the training rows of the same `user`, but for those of the title."""
        known = self.train["user"] != OOV_ROW
        train = {name: self.train[name][known] for name in ("user", "title", "rating")}
        return self._predict(columns, columns["user"], train, train["user"], in_turn=False)

    def predict_in_turn(self, columns: Columns) -> Floats:
        """The rating of each row, [rows], knowing the rows of the same `owner` of earlier moments."""
        return self._predict(columns, columns["owner"], columns, columns["owner"], in_turn=True)

    def _predict(self, asked: Columns, asks: Floats, known: Columns, knows: Floats, *, in_turn: bool) -> Floats:
        deviation = known["rating"] - self.titles.predict({**known, "user": np.zeros_like(known["title"])})
        rated = self.titles.predict({**asked, "user": np.zeros_like(asked["title"])})
        asking, knowing = np.argsort(asks, kind="stable"), np.argsort(knows, kind="stable")
        owners, starts = np.unique(asks[asking], return_index=True)
        first, last = (np.searchsorted(knows[knowing], owners, side=side) for side in ("left", "right"))
        for rows, begin, end in zip(np.split(asking, starts[1:]), first, last, strict=True):
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


def fit(train: Columns, titles: Bias, damping: float, shrinkage: float = SHRINKAGE) -> ItemNeighbours:
    """Fitted on training rows, where `titles` has the titles' means and `damping` suits users' means."""
    count = len(titles.titles)
    deviation = train["rating"] - titles.predict({**train, "user": np.zeros_like(train["title"])})
    shape = (int(train["user"].max()) + 1, count)
    known = train["user"] != OOV_ROW
    places = (train["user"][known], train["title"][known])
    values = sp.csr_matrix((deviation[known], places), shape=shape)
    rated = sp.csr_matrix((np.ones(int(known.sum())), places), shape=shape)
    together = (values.T @ values).toarray()
    squares = (values.multiply(values).T @ rated).toarray()
    both = (rated.T @ rated).toarray()
    lengths = np.sqrt(squares * squares.T)
    correlation = np.divide(together, lengths, out=np.zeros_like(together), where=lengths > 0)
    similarity = np.maximum(correlation * both / (both + shrinkage), 0.0).astype(np.float32)
    np.fill_diagonal(similarity, 0.0)
    similarity[OOV_ROW] = similarity[:, OOV_ROW] = 0.0
    return ItemNeighbours(titles, similarity, train, damping)
