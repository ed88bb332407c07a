"""Lists that need no deep learning: what a model must beat to be worth its cost.

Each is fitted on who rated what in training, as 0 or 1, and lists for whatever a user has rated so far: its weights are
frozen, the user's ratings are not. What is to choose about it is chosen on validation rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Final, Protocol

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from steps.recommender import lists
from steps.recommender.lists import Floats, Pairs

ITEM_NEIGHBOURS: Final = "item-kNN"
EASE: Final = "EASE"
ALS: Final = "ALS"

NEIGHBOURS: Final = (20, 50, 100, 200)
"""Choices for how many of a title's most similar titles count."""
RIDGES: Final = (30.0, 100.0, 300.0, 1000.0, 3000.0)
"""Choices for EASE's penalty."""
ALS_CHOICES: Final = tuple(product((32, 64), (0.1, 10.0), (1.0, 10.0)))
"""Choices for ALS: factors, regularisation, and how much more a rating weighs than none."""
ALS_ROUNDS: Final = 15
MOST_TITLES: Final = 20_000
"""Beyond that many titles a number for each pair of them does not fit, and item-kNN and EASE are left out."""
MOST_RATINGS: Final = 10_000_000
"""Beyond that many training ratings ALS is left out: it needs all of them in memory, three times 8 bytes each, and is
trained once for each of its choices."""


_BLOCK_CELLS: Final = 2**22  # pairs of titles


class ListBaseline(Protocol):
    """A fitted baseline."""

    def score(self, rated: Any) -> Floats:
        """Scores [users, titles] for a sparse matrix of what each user has rated, [users, titles]."""


@dataclass(frozen=True, slots=True)
class Popularity:
    """For everyone the titles that most users have rated."""

    counts: Floats

    def score(self, rated: Any) -> Floats:
        """The same for every user."""
        return np.broadcast_to(self.counts, rated.shape)


@dataclass(frozen=True, slots=True)
class ItemWeights:
    """Each title's score is a sum of weights, [titles, titles], of what the user has rated."""

    weights: Any

    def score(self, rated: Any) -> Floats:
        """The sums, [users, titles]."""
        scores = rated @ self.weights
        return np.asarray(scores.todense() if sp.issparse(scores) else scores, np.float32)


@dataclass(frozen=True, slots=True)
class Factors:
    """Products of vectors, where those of users are computed from what they have rated."""

    model: Any

    def score(self, rated: Any) -> Floats:
        """The products, [users, titles]."""
        users = self.model.recalculate_user(np.arange(rated.shape[0]), rated)
        return np.asarray(users @ self.model.item_factors.T, np.float32)

    def title_vectors(self) -> Floats:
        """What tells titles apart by who rated them, [titles, factors]."""
        return np.asarray(self.model.item_factors, np.float64)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A baseline and the choices that were best on validation."""

    baseline: Any
    """A `ListBaseline`."""
    choices: Mapping[str, float]
    validation: float | None
    """The mean NDCG on validation; None without."""


def matrix(pairs: Pairs, users: int, titles: int) -> Any:
    """Which titles each user has, as a sparse matrix of 0 and 1, [users, titles]."""
    ones = np.ones(len(pairs.owner), np.float32)
    return sp.csr_matrix((ones, (pairs.owner, pairs.title)), shape=(users, titles))


class Interactions:
    """Who rated what in training, as 0 or 1."""

    def __init__(self, blocks: Iterable[Any]) -> None:
        """`blocks` are sparse matrices, all [users, titles], that add up to it. They are read several times."""
        self._blocks = blocks

    @cached_property
    def counts(self) -> Floats:
        """How many users rated each title, [titles]."""
        counts: Floats = np.sum([np.asarray(block.sum(axis=0), np.float32).ravel() for block in self._blocks], axis=0)
        return counts

    @cached_property
    def together(self) -> Floats:
        """How many users rated both of two titles, [titles, titles]."""
        together = np.zeros((len(self.counts), len(self.counts)), np.float32)
        for block in self._blocks:
            for some in _columns(len(together)):
                together[some] += (block[:, some].T @ block).toarray()
        return together

    @cached_property
    def matrix(self) -> Any:
        """All of it, sparse, [users, titles]."""
        first, *others = self._blocks
        return sum(others, start=first)

    def left_out(self) -> dict[str, str]:
        """The baselines that would not fit into memory, with sentences about why."""
        titles, ratings = len(self.counts), int(self.counts.sum(dtype=np.float64))
        pairs = "of lists is left out: it needs a number for each two titles, which is done for up to"
        found = {name: f"{name} {pairs} {MOST_TITLES:,} titles." for name in (ITEM_NEIGHBOURS, EASE)}
        if titles <= MOST_TITLES:
            found = {}
        if ratings > MOST_RATINGS:
            found[ALS] = (
                f"{ALS} is left out: it needs all ratings in memory, which is done for up to {MOST_RATINGS:,} of them."
            )
        return found


def _columns(titles: int) -> Iterator[slice]:
    """Titles that are looked at together with all others: bounds the memory that it takes beside the result."""
    size = max(1, _BLOCK_CELLS // titles)
    return (slice(start, start + size) for start in range(0, titles, size))


def fit_item_neighbours(together: Floats, neighbours: int) -> ItemWeights:
    """Item-kNN: the cosine of each title's `neighbours` most similar ones.

    Sarwar and others, Item-based Collaborative Filtering Recommendation Algorithms, WWW 2001.
    """
    lengths = np.sqrt(np.maximum(np.diag(together), 1.0))
    similarity = together / lengths[:, None]
    similarity /= lengths[None, :]
    np.fill_diagonal(similarity, 0.0)
    if neighbours < len(similarity):
        for some in _columns(len(similarity)):
            of_some = similarity[:, some]
            of_some[of_some < np.partition(of_some, -neighbours, axis=0)[-neighbours]] = 0.0
    return ItemWeights(sp.csr_matrix(similarity))


def fit_ease(together: Floats, ridge: float) -> ItemWeights:
    """EASE: the linear weights, none of a title on itself, that give back what users have rated, in closed form.

    Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.
    """
    from threadpoolctl import threadpool_limits

    weights = together.astype(np.float64)
    weights[np.diag_indices_from(weights)] += ridge
    # Symmetric and positive definite, so inverted in place by its Cholesky factor, in less than half the time.
    with threadpool_limits(1, "blas"):
        factor, _ = lapack.dpotrf(weights.T, lower=True, overwrite_a=True)
        lapack.dpotri(factor, lower=True, overwrite_c=True)
    for row in range(len(weights)):
        weights[row + 1 :, row] = weights[row, row + 1 :]
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, 0.0)
    return ItemWeights(weights.astype(np.float32))


def fit_als(train: Any, factors: int, regularization: float, alpha: float, *, seed: int) -> Factors:
    """Factors by alternating least squares, weighted; the library `implicit`.

    Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008.
    """
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    # One thread: sums in another order would give other digits in each run.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors, regularization, alpha, iterations=ALS_ROUNDS, num_threads=1, random_state=seed
        )
        model.fit(train, show_progress=False)
    return Factors(model)


def fit(train: Interactions, gain: Callable[[ListBaseline], float] | None, *, seed: int) -> dict[str, Chosen]:
    """Every baseline by name, from the simplest, but for those that are left out.

    Choices are those with the best `gain`, the mean NDCG of `lists.LENGTH` for validation; without it, the first.
    """
    candidates: dict[str, Sequence[tuple[Mapping[str, float], Any]]] = {
        "popularity": [({}, lambda: Popularity(train.counts))],
        ITEM_NEIGHBOURS: [
            ({"neighbours": count}, lambda count=count: fit_item_neighbours(train.together, count))
            for count in NEIGHBOURS
        ],
        EASE: [({"ridge": ridge}, lambda ridge=ridge: fit_ease(train.together, ridge)) for ridge in RIDGES],
        ALS: [
            (
                {"factors": factors, "regularization": regularization, "alpha": alpha},
                lambda own=(factors, regularization, alpha): fit_als(train.matrix, *own, seed=seed),
            )
            for factors, regularization, alpha in ALS_CHOICES
        ],
    }
    left_out = train.left_out()
    return {name: _best(each, gain) for name, each in candidates.items() if name not in left_out}


def scorer(baseline: ListBaseline, rated: Any) -> lists.Scorer:
    """The scores of a baseline, block by block, for users who have rated what is in `rated`, [users, titles]."""
    return lambda start, stop: baseline.score(rated[start:stop])


def _best(
    candidates: Sequence[tuple[Mapping[str, float], Any]], gain: Callable[[ListBaseline], float] | None
) -> Chosen:
    if gain is None:
        choices, build = candidates[0]
        return Chosen(build(), choices, None)
    best, best_gain = None, -1.0
    for choices, build in candidates:
        baseline = build()
        found = gain(baseline)
        if found > best_gain:
            best, best_gain = Chosen(baseline, choices, found), found
    assert best is not None
    return best
