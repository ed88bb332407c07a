"""How good lists of titles are: every title that a user has not rated is ranked, and what is chosen next looked up.

Nothing is sampled: metrics over a few drawn titles put systems into another order than those over all of them
(Krichene and Rendle, On Sampled Metrics for Item Recommendation, KDD 2020).
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from steps.recommender import metrics
from steps.recommender.metrics import Estimate
from steps.recommender.vocabulary import OOV_ROW

Floats = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.integer[Any]]
Key = TypeVar("Key", bound=Hashable)
"""What names figures."""

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
        titles = int(title.max(initial=0)) + 1
        pairs = np.unique(owner[known].astype(np.int64) * titles + title[known])
        return cls(*(part.astype(np.int32) for part in np.divmod(pairs, titles)))

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
    """The best for each user, [users, at most `LENGTH`]; `OOV_ROW` where no title is left."""
    rank: Rows
    """The rank, from 1, of each pair of `Question.relevant`."""


Scorer = Callable[[int, int], Floats]
"""Scores for the users at the places from start to stop, [stop - start, titles]."""


def rank(scores: Scorer, question: Question) -> Ranking:
    """Rank all titles that each user has not seen; of equal scores the lower row comes first.

    What a user has seen and rates again is ranked as if it had not been seen. What is no number is the least.
    """
    tops, ranks = [], []
    for start, stop in blocks(question.users, question.titles):
        scored = np.array(scores(start, stop), np.float32)
        seen, relevant = question.seen.between(start, stop), question.relevant.between(start, stop)
        wanted = scored[relevant.owner, relevant.title]
        scored[seen.owner, seen.title] = -np.inf
        scored[:, OOV_ROW] = -np.inf
        scored[relevant.owner, relevant.title] = wanted
        scored[np.isnan(scored)] = -np.inf
        # Numbers alone are sorted ten times as quickly as titles by them, and say how many are better.
        ascending = np.sort(scored, axis=1)
        tops.append(_best(scored, ascending[:, -min(LENGTH, question.titles - 1) :]))
        ranks.append(_ranks(scored, ascending, relevant))
    return Ranking(np.concatenate(tops), np.concatenate(ranks))


def _best(scored: Floats, greatest: Floats) -> Rows:
    """The titles that have the `greatest` scores, [users, length], which ascend; `OOV_ROW` where they are infinite."""
    user, title = np.nonzero(scored >= greatest[:, :1])
    score = scored[user, title]
    order = np.lexsort((-score, user))
    starts = np.searchsorted(user, np.arange(len(scored)))
    best = title[order][starts[:, None] + np.arange(greatest.shape[1])]
    return np.where(np.isneginf(greatest[:, ::-1]), OOV_ROW, best).astype(np.int32)


def _ranks(scored: Floats, ascending: Floats, pairs: Pairs) -> Rows:
    """The rank of each pair, where each row of `ascending` has the scores of one user in order."""
    ranks = np.empty(len(pairs.owner), np.int32)
    ends = np.searchsorted(pairs.owner, np.arange(len(scored) + 1))
    for user, (start, stop) in enumerate(pairwise(ends)):
        titles = pairs.title[start:stop]
        score = scored[user, titles]
        first, last = (np.searchsorted(ascending[user], score, side=side) for side in ("left", "right"))
        ranks[start:stop] = scored.shape[1] - last + 1
        for place in np.flatnonzero(last - first > 1):
            ranks[start + place] += np.count_nonzero(scored[user, : titles[place]] == score[place])
    return ranks


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
    top = ranking.top
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
    return float(len(np.setdiff1d(top, [OOV_ROW])) / (titles - 1))


def gini(top: Rows, titles: int) -> float:
    """How unevenly the first `LENGTH` places are shared out among the known titles: 0 is even, 1 is all to one.

    `top` is as in `Ranking`. Fleder and Hosanagar, Management Science 55(5), 2009.
    """
    counts = np.sort(np.bincount(top.ravel(), minlength=titles)[OOV_ROW + 1 :])
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


def estimates(figures: Mapping[Key, Floats], *, seed: int) -> dict[Key, Estimate]:
    """The mean over users of each figure, with its interval: users are drawn anew, as in `metrics.Bootstrap`.

    All figures are [users], and see the same draws, which take most of the time.
    """
    by_user = np.stack(list(figures.values()), axis=1)
    drawn = np.concatenate([draws @ by_user for draws in metrics.draws(len(by_user), metrics.RESAMPLES, seed)])
    means = drawn / len(by_user)
    return {
        name: metrics.estimate(float(by_user[:, column].mean()), means[:, column])
        for column, name in enumerate(figures)
    }


def compare(figures: Mapping[Key, tuple[Floats, Floats]], *, seed: int) -> dict[Key, ListComparison]:
    """Figures of two systems, the first minus the second, all [users].

    The p-value is that of the paired randomisation test: signs of the users' differences are drawn at random. Smucker
    and others, A Comparison of Statistical Significance Tests for Information Retrieval Evaluation, CIKM 2007.
    """
    differences = {name: np.asarray(first, np.float64) - second for name, (first, second) in figures.items()}
    by_user = np.stack(list(differences.values()), axis=1)
    totals, users = by_user.sum(axis=0), len(by_user)
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // users)
    as_large = np.zeros(len(differences), np.int64)
    for start in range(0, FLIPS, block):
        signs = random.integers(0, 2, (min(block, FLIPS - start), users), dtype=np.int8)
        as_large += (np.abs(2 * (signs @ by_user) - totals) >= np.abs(totals) - 1e-12).sum(axis=0)
    return {
        name: ListComparison(interval, (int(count) + 1) / (FLIPS + 1))
        for (name, interval), count in zip(estimates(differences, seed=seed).items(), as_large, strict=True)
    }
