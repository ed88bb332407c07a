"""Tests of `steps.recommender.list_baselines`, on ratings small enough to solve by hand."""

import numpy as np
import pytest
import scipy.sparse as sp

from steps.recommender import list_baselines as baselines
from steps.recommender import lists
from steps.recommender.lists import Pairs, Question

TRAIN = sp.csr_matrix(np.array([[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0], [0, 1, 0, 0]], np.float32))
"""Four users and three titles; column 0 is the unknown title."""


def test_popularity_counts_users() -> None:
    """Everyone gets the same."""
    scores = baselines.Popularity(np.array([0, 3, 3, 1.0])).score(TRAIN)

    assert scores.tolist() == [[0, 3, 3, 1]] * 4


def test_item_neighbours_are_cosines() -> None:
    """With one neighbour, the third title's is the more similar one, by its cosine; the lower ones are zero."""
    weights = baselines.fit_item_neighbours(baselines.Interactions([TRAIN]).together, 1).weights.toarray()

    assert weights[:, 1] == pytest.approx([0, 0, 2 / 3, 0])
    assert weights[:, 3] == pytest.approx([0, 1 / np.sqrt(3), 1 / np.sqrt(3), 0])


def test_ease_is_the_least_squares_solution_without_the_diagonal() -> None:
    """Each title's weights are those of a ridge regression on the others."""
    rated = TRAIN.toarray()
    weights = baselines.fit_ease(baselines.Interactions([TRAIN]).together, 2.0).weights

    for title in range(4):
        others = [other for other in range(4) if other != title]
        given = rated[:, others]
        solved = np.linalg.solve(given.T @ given + 2.0 * np.eye(3), given.T @ rated[:, title])
        assert weights[others, title] == pytest.approx(solved, abs=1e-6)
        assert weights[title, title] == 0


def test_als_lists_by_what_is_rated_now() -> None:
    """Two groups of users with titles of their own: a new user gets what the group has, and the same in every run."""
    group = np.kron(np.eye(2), np.ones((10, 4)))
    train = sp.csr_matrix(np.hstack([np.zeros((20, 1)), group]).astype(np.float32))
    new = sp.csr_matrix(np.array([[0, 1, 1, 0, 0, 0, 0, 0, 0]], np.float32))

    scores, again = (baselines.fit_als(train, 4, 0.1, 1.0, seed=1).score(new)[0] for _ in range(2))

    assert min(scores[[3, 4]]) > max(scores[5:]) + 0.2
    assert (scores == again).all()


def test_choices_are_those_of_validation() -> None:
    """The penalty that ranks the validation titles best is taken; without validation rows, the first."""
    random = np.random.default_rng(1)
    train = sp.csr_matrix((random.random((40, 12)) < 0.3).astype(np.float32) * (np.arange(12) > 0))
    owner, title = train.nonzero()
    question = Question(
        40, 12, Pairs.of(owner, title), Pairs.of(np.arange(40), 1 + np.arange(40) % 11), np.ones(40, int)
    )

    def gain(baseline: baselines.ListBaseline) -> float:
        return float(lists.gains(baselines.scorer(baseline, train), question).mean())

    chosen = baselines.fit(baselines.Interactions([train]), gain, seed=1)

    assert list(chosen) == ["popularity", "item-kNN", "EASE", "ALS"]
    assert chosen["EASE"].choices["ridge"] in baselines.RIDGES
    assert baselines.fit(baselines.Interactions([train]), None, seed=1)["EASE"].choices == {
        "ridge": baselines.RIDGES[0]
    }


def test_many_users_may_come_some_at_a_time() -> None:
    """Matrices of some users each add up to that of all."""
    blocks = [sp.diags_array(np.array(rows, np.float32)).tocsr() @ TRAIN for rows in ([1, 0, 1, 0], [0, 1, 0, 1])]
    parted, whole = baselines.Interactions(blocks), baselines.Interactions([TRAIN])

    assert parted.counts.tolist() == whole.counts.tolist() == [0, 3, 3, 1]
    assert (parted.together == whole.together).all()
    assert (parted.matrix != whole.matrix).nnz == 0


def test_what_would_not_fit_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers for each pair of many titles, and all of many ratings: the other baselines remain."""
    monkeypatch.setattr(baselines, "MOST_TITLES", 3)
    interactions = baselines.Interactions([TRAIN])

    assert list(baselines.fit(interactions, None, seed=1)) == ["popularity", "ALS"]
    assert list(interactions.left_out().values()) == [
        "item-kNN of lists is left out: it needs a number for each two titles, which is done for up to 3 titles.",
        "EASE of lists is left out: it needs a number for each two titles, which is done for up to 3 titles.",
    ]
    monkeypatch.setattr(baselines, "MOST_TITLES", 4)
    monkeypatch.setattr(baselines, "MOST_RATINGS", 6)
    assert list(baselines.fit(interactions, None, seed=1)) == ["popularity", "item-kNN", "EASE"]
    assert list(interactions.left_out().values()) == [
        "ALS is left out: it needs all ratings in memory, which is done for up to 6 of them."
    ]
