"""How good lists of titles are: every title that a user has not rated is ranked, and what is chosen next looked up.

Nothing is sampled: metrics over a few drawn titles put systems into another order than those over all of them
(Krichene and Rendle, On Sampled Metrics for Item Recommendation, KDD 2020).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from steps.recommender import metrics
from steps.recommender.metrics import Estimate
from steps.recommender.vocabulary import OOV_ROW

Floats = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.integer[Any]]

CUTOFFS: Final = (1, 5, 10, 20, 50, 100)
"""The lengths of lists for which there are figures."""
LENGTH: Final = 10
"""The length of lists that are compared, and of which variety and popularity are told."""
FLIPS: Final = 10_000
"""Random signs drawn for a p-value, which so cannot be less than 1/10,001."""

_BLOCK_CELLS: Final = 4_000_000  # users x titles ranked at a time: bounds memory to some 100 MB


@dataclass(frozen=True, slots=True)
class Pairs:
    """Titles of users: `title[i]` belongs to the user at place `owner[i]`, and owners ascend."""

    owner: Rows
    title: Rows

    @classmethod
    def of(cls, owner: Rows, title: Rows) -> "Pairs":
        """Pairs in any order, each once; of the unknown title there are none."""
        known = title != OOV_ROW
        pairs = np.unique(np.stack([owner[known], title[known]], axis=1), axis=0)
        return cls(pairs[:, 0], pairs[:, 1])

    def between(self, start: int, stop: int) -> "Pairs":
        """Those of the users at the places from `start` to `stop`, which become 0, 1, ..."""
        first, last = np.searchsorted(self.owner, [start, stop])
        return Pairs(self.owner[first:last] - start, self.title[first:last])


@dataclass(frozen=True, slots=True)
class Question:
    """For whom lists are asked, what must not be in them, and what a good one has."""

    users: int
    titles: int
    """Titles of the vocabulary and the unknown, which is never listed."""
    seen: Pairs
    """What each user had rated before."""
    relevant: Pairs
    """What each user then rated, as far as the vocabulary knows it."""
    wanted: Rows
    """How many different titles each user then rated, known or not, [users]; at least 1."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The titles in the order of a system's scores."""

    top: Rows
    """The best for each user, [users, at most the last of `CUTOFFS`]; `OOV_ROW` where no title is left."""
    rank: Rows
    """The rank, from 1, of each pair of `Question.relevant`."""


Scorer = Callable[[int, int], Floats]
"""Scores for the users at the places from start to stop, [stop - start, titles]."""


def rank(scores: Scorer, question: Question) -> Ranking:
    """Rank all titles that each user has not seen; of equal scores the lower row comes first.

    What a user has seen and rates again is ranked as if it had not been seen.
    """
    length = min(CUTOFFS[-1], question.titles - 1)
    tops, ranks = [], []
    for start, stop in blocks(question.users, question.titles):
        scored = np.array(scores(start, stop), np.float32)
        seen, relevant = question.seen.between(start, stop), question.relevant.between(start, stop)
        wanted = scored[relevant.owner, relevant.title]
        scored[seen.owner, seen.title] = -np.inf
        scored[:, OOV_ROW] = -np.inf
        scored[relevant.owner, relevant.title] = wanted
        order = np.argsort(-scored, axis=1, kind="stable").astype(np.int32)
        place = np.empty_like(order)
        np.put_along_axis(place, order, np.arange(question.titles, dtype=np.int32)[None, :], axis=1)
        best = order[:, :length]
        tops.append(np.where(np.isneginf(np.take_along_axis(scored, best, axis=1)), OOV_ROW, best))
        ranks.append(place[relevant.owner, relevant.title] + 1)
    return Ranking(np.concatenate(tops), np.concatenate(ranks))


def blocks(users: int, titles: int) -> Iterator[tuple[int, int]]:
    """Places of users, from start to stop, that bound the memory of what is computed for all titles."""
    size = max(1, _BLOCK_CELLS // titles)
    return ((start, min(start + size, users)) for start in range(0, users, size))


def accuracy(ranking: Ranking, question: Question) -> dict[str, Floats]:
    """Figures of each user, [users] by name.

    `recall@k`: the share of what the user then rated that is among the first k. `hit@k`: whether any is. `ndcg@k`: the
    discounted gain, 1 / log2(1 + rank) for each, by that of the best list possible (Jarvelin and Kekalainen, ACM TOIS
    20(4), 2002, with gains of 0 and 1). `mrr`: 1 / the rank of the first.
    """
    owner, users = question.relevant.owner, question.users
    gain = 1 / np.log2(1 + ranking.rank)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, CUTOFFS[-1] + 2)))])
    figures: dict[str, Floats] = {}
    for cutoff in CUTOFFS:
        listed = ranking.rank <= cutoff
        hits = np.bincount(owner, listed, users)
        figures[f"recall@{cutoff}"] = hits / question.wanted
        figures[f"hit@{cutoff}"] = (hits > 0).astype(np.float64)
        best = ideal[np.minimum(question.wanted, cutoff)]
        figures[f"ndcg@{cutoff}"] = np.bincount(owner, gain * listed, users) / best
    figures["mrr"] = np.zeros(users)
    np.maximum.at(figures["mrr"], owner, 1 / ranking.rank)
    return figures


def gains(scores: Scorer, question: Question) -> Floats:
    """The `ndcg` at `LENGTH` of each user, [users], by the mean of which systems are chosen."""
    return accuracy(rank(scores, question), question)[f"ndcg@{LENGTH}"]


def variety(ranking: Ranking, question: Question, popularity: Floats, vectors: Floats) -> dict[str, Floats]:
    """What the first `LENGTH` titles of each user are like, [users] by name.

    `novelty`: their mean self-information in bits, -log2 of the share of training users who rated the title
    (`popularity`, [titles]); Zhou and others, PNAS 107(10), 2010. `distance`: the mean of 1 - cosine over all pairs of
    them, of `vectors` [titles, size]; Ziegler and others, WWW 2005. `popularity_lift`: by how much they are more
    popular than what the user had rated, as a share of that; Abdollahpouri and others, RMSE workshop 2019.
    """
    top = ranking.top[:, :LENGTH]
    listed = top != OOV_ROW
    count = np.maximum(listed.sum(axis=1), 1)
    information = -np.log2(np.maximum(popularity, np.finfo(np.float64).tiny))
    mean_popularity = (popularity[top] * listed).sum(axis=1) / count
    owner, title = question.seen.owner, question.seen.title
    earlier = np.bincount(owner, popularity[title], question.users) / np.maximum(
        np.bincount(owner, minlength=question.users), 1
    )
    return {
        "novelty": (information[top] * listed).sum(axis=1) / count,
        "distance": _distances(top, listed, vectors),
        "popularity_lift": np.where(earlier > 0, mean_popularity / np.where(earlier > 0, earlier, 1) - 1, 0.0),
    }


def _distances(top: Rows, listed: npt.NDArray[np.bool_], vectors: Floats) -> Floats:
    """1 - the mean cosine over the pairs of each list, [users]; 0 for lists of fewer than two.

    The products of all pairs add up to the square of the sum, which has each pair twice and each title with itself.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    sums = np.stack([units[titles[known]].sum(axis=0) for titles, known in zip(top, listed, strict=True)])
    own = (np.square(units).sum(axis=1)[top] * listed).sum(axis=1)
    count = listed.sum(axis=1)
    pairs = count * (count - 1)
    return np.where(pairs > 0, 1 - (np.square(sums).sum(axis=1) - own) / np.maximum(pairs, 1), 0.0)


def coverage(top: Rows, titles: int) -> float:
    """The share of the known titles that are among the first `LENGTH` of any user, of `top` as in `Ranking`."""
    return float(len(np.setdiff1d(top[:, :LENGTH], [OOV_ROW])) / (titles - 1))


def gini(top: Rows, titles: int) -> float:
    """How unevenly the first `LENGTH` places are shared out among the known titles: 0 is even, 1 is all to one.

    `top` is as in `Ranking`. Fleder and Hosanagar, Management Science 55(5), 2009.
    """
    counts = np.sort(np.bincount(top[:, :LENGTH].ravel(), minlength=titles)[OOV_ROW + 1 :])
    total, known = counts.sum(), titles - 1
    if not total:
        return 0.0
    return float((2 * np.arange(1, known + 1) - known - 1) @ counts / (known * total))


@dataclass(frozen=True, slots=True)
class ListComparison:
    """Two systems for the same users: the mean of the first minus that of the second."""

    difference: Estimate
    p_value: float
    """How often a difference as large would come if it were chance which of the two a user's figure belongs to."""


def estimates(figures: Mapping[str, Floats], *, seed: int) -> dict[str, Estimate]:
    """The mean over users of each figure, with its interval: users are drawn anew, as in `metrics.Bootstrap`."""
    by_user = np.stack(list(figures.values()), axis=1)
    drawn = np.concatenate([draws @ by_user for draws in metrics.draws(len(by_user), metrics.RESAMPLES, seed)])
    means = drawn / len(by_user)
    return {
        name: metrics.estimate(float(by_user[:, column].mean()), means[:, column])
        for column, name in enumerate(figures)
    }


def compare(first: Floats, second: Floats, *, seed: int) -> ListComparison:
    """One figure of two systems, both [users].

    The p-value is that of the paired randomisation test: signs of the users' differences are drawn at random. Smucker
    and others, A Comparison of Statistical Significance Tests for Information Retrieval Evaluation, CIKM 2007.
    """
    difference = np.asarray(first, np.float64) - second
    interval = estimates({"difference": difference}, seed=seed)["difference"]
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // len(difference))
    as_large = 0
    for start in range(0, FLIPS, block):
        signs = random.integers(0, 2, (min(block, FLIPS - start), len(difference)), dtype=np.int8)
        sums = 2 * (signs @ difference) - difference.sum()
        as_large += int((np.abs(sums) >= abs(difference.sum()) - 1e-12).sum())
    return ListComparison(interval, (as_large + 1) / (FLIPS + 1))
