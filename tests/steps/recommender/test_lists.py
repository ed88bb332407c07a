"""Tests of `steps.recommender.lists`, against values computed by hand."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from steps.recommender import lists
from steps.recommender.lists import Pairs, Question


def pairs(*wanted: tuple[int, int]) -> Pairs:
    """Pairs of a user's place and a title."""
    owner, title = np.array(wanted, np.int64).reshape(-1, 2).T
    return Pairs.of(owner, title)


SCORES = np.array(
    [
        [9.0, 5.0, 4.0, 3.0, 2.0],  # has seen 1, so ranks 2, 3, 4
        [9.0, 1.0, 7.0, 7.0, 2.0],  # ranks 2, 3, 4, 1: of equal scores the lower row first
        [9.0, 1.0, 2.0, 3.0, 4.0],  # has seen 3 and 4, so ranks 2, 1
    ]
)
QUESTION = Question(
    users=3,
    titles=5,
    seen=pairs((0, 1), (2, 3), (2, 4)),
    relevant=pairs((0, 4), (1, 2), (1, 4)),
    wanted=np.array([1, 3, 1]),  # the second user also rated a title that nobody knew, the third only such a one
)
RANKING = lists.rank(lambda start, stop: SCORES[start:stop], QUESTION)


def test_titles_are_ranked_without_those_seen() -> None:
    """What a user had rated is not listed, and the unknown title never is; what is missing is filled up."""
    assert RANKING.top.tolist() == [[2, 3, 4, 0], [2, 3, 4, 1], [2, 1, 0, 0]]
    assert RANKING.rank.tolist() == [3, 1, 3]


def test_accuracy_is_that_by_hand() -> None:
    """Recall counts titles that nobody could list as missed; a user of whom nothing can be listed has zeros."""
    figures = {name: values.tolist() for name, values in lists.accuracy(RANKING, QUESTION).items()}

    assert figures["recall@1"] == pytest.approx([0, 1 / 3, 0])
    assert figures["recall@5"] == pytest.approx([1, 2 / 3, 0])
    assert figures["hit@1"] == [0, 1, 0]
    assert figures["hit@5"] == [1, 1, 0]
    best = 1 + 1 / math.log2(3) + 1 / 2
    assert figures["ndcg@1"] == [0, 1, 0]
    assert figures["ndcg@10"] == pytest.approx([1 / 2, (1 + 1 / 2) / best, 0])
    assert figures["mrr"] == pytest.approx([1 / 3, 1, 0])


def test_variety_is_that_by_hand() -> None:
    """Novelty in bits, the mean distance of all pairs listed, and how much more popular they are than what was seen."""
    popularity = np.array([0, 1 / 2, 1 / 4, 1 / 8, 1 / 4])
    vectors = np.array([[0, 0], [1, 0], [1, 0], [0, 2], [1, 1]], float)

    figures = lists.variety(RANKING, QUESTION, popularity, vectors)

    assert figures["novelty"] == pytest.approx([(2 + 3 + 2) / 3, (2 + 3 + 2 + 1) / 4, (2 + 1) / 2])
    diagonal = 1 - 1 / math.sqrt(2)
    assert figures["distance"] == pytest.approx([(1 + 2 * diagonal) / 3, (2 + 3 * diagonal) / 6, 0])
    earlier = (1 / 8 + 1 / 4) / 2
    assert figures["popularity_lift"] == pytest.approx([5 / 24 / (1 / 2) - 1, 0, 3 / 8 / earlier - 1])


def test_coverage_and_gini_are_those_by_hand() -> None:
    """All four titles are listed, 2, 3, 2 and 2 times: nearly even."""
    assert lists.coverage(RANKING.top, 5) == 1
    assert lists.gini(RANKING.top, 5) == pytest.approx((-3 * 2 - 1 * 2 + 1 * 2 + 3 * 3) / (4 * 9))


def test_a_comparison_has_the_p_value_of_its_signs() -> None:
    """Of the 8 ways to sign three equal differences 2 are as large as all of one sign."""
    comparison = lists.compare({"ndcg": (np.array([1.0, 1.0, 1.0]), np.zeros(3))}, seed=1)["ndcg"]

    assert comparison.difference.value == 1
    assert comparison.p_value == pytest.approx(2 / 8, abs=0.02)


def test_equal_systems_are_told_as_equal() -> None:
    """Without any difference the p-value is 1 and the interval is nothing."""
    comparison = lists.compare({"ndcg": (np.ones(5), np.ones(5))}, seed=1)["ndcg"]

    assert (comparison.p_value, comparison.difference.low, comparison.difference.high) == (1.0, 0.0, 0.0)


SCORED = arrays(np.float32, (4, 9), elements=st.floats(-5, 5, width=16))
WHOLE_SCORES = arrays(np.float32, (4, 9), elements=st.integers(-5, 5))  # which moving does not round
TITLES_OF_USERS = st.sets(st.tuples(st.integers(0, 3), st.integers(1, 8)), min_size=1)


@settings(deadline=None)  # a busy machine is no failure
@given(scores=SCORED, relevant=TITLES_OF_USERS, seen=TITLES_OF_USERS)
def test_figures_of_any_ranking_are_in_order(scores: Any, relevant: set[Any], seen: set[Any]) -> None:
    """All are from 0 to 1, longer lists find no less, a hit is at least a recall, and no title is listed twice."""
    wanted = pairs(*relevant)
    question = Question(4, 9, pairs(*(seen - relevant)), wanted, np.maximum(np.bincount(wanted.owner, minlength=4), 1))

    ranking = lists.rank(lambda start, stop: scores[start:stop], question)
    figures = lists.accuracy(ranking, question)

    assert all(((values >= 0) & (values <= 1 + 1e-9)).all() for values in figures.values())
    for shorter, longer in zip(lists.CUTOFFS, lists.CUTOFFS[1:], strict=False):
        assert (figures[f"recall@{shorter}"] <= figures[f"recall@{longer}"]).all()
    assert (figures["recall@10"] <= figures["hit@10"]).all()
    assert figures["recall@10"][np.unique(wanted.owner)] == pytest.approx(1)
    for row in ranking.top:
        assert len(set(row[row > 0])) == (row > 0).sum()


@settings(deadline=None)  # a busy machine is no failure
@given(scores=WHOLE_SCORES, relevant=TITLES_OF_USERS)
def test_only_the_order_of_scores_counts(scores: Any, relevant: set[Any]) -> None:
    """A user's scores may be moved and stretched."""
    question = Question(4, 9, pairs(), pairs(*relevant), np.ones(4, np.int64))

    ranking = lists.rank(lambda start, stop: scores[start:stop], question)
    moved = lists.rank(lambda start, stop: 2 * scores[start:stop] - 64, question)

    assert (ranking.top == moved.top).all()
    assert (ranking.rank == moved.rank).all()


def test_blocks_of_users_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One user at a time gets the same lists."""
    monkeypatch.setattr(lists, "_BLOCK_CELLS", 1)

    ranking = lists.rank(lambda start, stop: SCORES[start:stop], QUESTION)

    assert (ranking.top == RANKING.top).all()
    assert (ranking.rank == RANKING.rank).all()
