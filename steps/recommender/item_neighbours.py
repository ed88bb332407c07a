"""Ratings from what the same user gave to similar titles: item-kNN, static and in turn."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from steps.recommender.baselines import Bias, Floats
from steps.recommender.data import Columns
from steps.recommender.vocabulary import OOV_ROW

Integers = npt.NDArray[np.integer[Any]]

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

_ROWS: Final = 256  # of one user, looked up together: bounds memory, and keeps what comes later out
_BLOCK_CELLS: Final = 2**21  # pairs of titles looked at together, each of several numbers of 64 bits


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for each row's rating, all [rows]: the user's ratings, by how much they are above titles' means."""

    deviation: Floats
    """The sum over what counts of the user's ratings."""
    ratings: Floats
    """How many these are."""
    similar: Floats
    """The sum over the most similar titles, each by its similarity."""
    similarity: Floats
    """The sum of these similarities."""


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
        return self.rate(columns, self.evidence(columns, train))

    def predict_in_turn(self, columns: Columns) -> Floats:
        """The rating of each row, [rows], knowing the rows of the same `owner` of earlier moments."""
        return self.rate(columns, self._evidence(columns, columns["owner"], columns, columns["owner"], in_turn=True))

    def rate(self, columns: Columns, found: Evidence) -> Floats:
        """What evidence makes of the titles' means, [rows]."""
        mean = found.deviation / (found.ratings + self.damping)
        more = found.similar - found.similarity * mean
        return self._titles_alone(columns) + mean + more / (found.similarity + self.similarity_damping)

    def evidence(self, columns: Columns, train: Columns) -> Evidence:
        """What `predict` rests on, whatever the damping."""
        known = train["user"] != OOV_ROW
        rated = {name: train[name][known] for name in ("user", "title", "rating", "timestamp")}
        return self._evidence(columns, columns["user"], rated, rated["user"], in_turn=False)

    def _evidence(self, asked: Columns, asks: Floats, known: Columns, knows: Floats, *, in_turn: bool) -> Evidence:
        deviation = known["rating"] - self._titles_alone(known)
        found = Evidence(*np.zeros((4, len(asks))))
        asking, knowing = (np.lexsort((rows["timestamp"], of)) for rows, of in ((asked, asks), (known, knows)))
        owners, starts = np.unique(asks[asking], return_index=True)
        first, last = (np.searchsorted(knows[knowing], owners, side=side) for side in ("left", "right"))
        for rows, begin, end in zip(np.split(asking, starts)[1:], first, last, strict=True):
            history = knowing[begin:end]
            if not len(history):
                continue
            of_user = _History(known["title"][history], deviation[history])
            earlier = np.full(len(rows), len(history))
            if in_turn:
                earlier = np.searchsorted(known["timestamp"][history], asked["timestamp"][rows])
            found.deviation[rows], found.ratings[rows] = of_user.before(earlier)
            if not in_turn:
                own, count = of_user.of(asked["title"][rows])
                found.deviation[rows] -= own
                found.ratings[rows] -= count
            for start in range(0, len(rows), _ROWS):
                some = slice(start, start + _ROWS)
                found.similar[rows[some]], found.similarity[rows[some]] = self._neighbours(
                    of_user, asked["title"][rows[some]], earlier[some]
                )
        return found

    def _neighbours(self, of_user: "_History", titles: Integers, earlier: Integers) -> tuple[Floats, Floats]:
        """Weighted deviations of the most similar of so many `earlier` ratings, and the weights, summed; both [rows].

        Rows are in order of time.
        """
        width = int(earlier[-1])
        # One index for each pair is twice as quick as two.
        weights = self.similarity.take(titles[:, None] * np.int64(len(self.similarity)) + of_user.titles[:width])
        if earlier[0] < width:
            weights *= np.arange(width) < earlier[:, None]
        least = np.full(len(titles), np.nextafter(np.float32(0), np.float32(1)))
        if width > self.neighbours:
            least = np.maximum(least, np.partition(weights, -self.neighbours, axis=1)[:, -self.neighbours])
        chosen = np.flatnonzero(weights >= least[:, None])
        row, place = np.divmod(chosen, max(width, 1))
        weight = weights.ravel()[chosen].astype(np.float64)
        similar: Any = np.bincount(row, weight * of_user.deviation[place], len(titles))
        similarity: Any = np.bincount(row, weight, len(titles))
        return similar, similarity

    def _titles_alone(self, columns: Columns) -> Floats:
        return self.titles.predict({**columns, "user": np.zeros_like(columns["title"])})


class _History:
    """One user's ratings in order of time: titles, and by how much they differ from the titles' means."""

    def __init__(self, titles: Integers, deviation: Floats) -> None:
        self.titles, self.deviation = titles, deviation

    def before(self, earlier: Integers) -> tuple[Floats, Any]:
        """The sum of the first so many deviations, and how many these are."""
        return np.concatenate([[0.0], np.cumsum(self.deviation)])[earlier], earlier

    def of(self, titles: Integers) -> tuple[Floats, Any]:
        """The sum of the deviations of each title, and how many these are."""
        order = np.argsort(self.titles, kind="stable")
        sums = np.concatenate([[0.0], np.cumsum(self.deviation[order])])
        first, last = (np.searchsorted(self.titles[order], titles, side=side) for side in ("left", "right"))
        return sums[last] - sums[first], last - first


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
