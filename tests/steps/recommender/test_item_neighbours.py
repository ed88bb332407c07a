"""Tests of `steps.recommender.item_neighbours`, on ratings where two titles are liked by the same people."""

from typing import Any

import numpy as np
import pytest

from steps.recommender import baselines, item_neighbours

USERS = 40
TRAIN: dict[str, Any] = {
    "user": np.repeat(np.arange(1, USERS + 1), 3).astype(np.int32),
    "title": np.tile([1, 2, 3], USERS).astype(np.int32),
    # The first two titles go together, the third is rated by chance.
    "rating": np.stack(
        [
            3.0 + (np.arange(USERS) % 2),
            2.0 + (np.arange(USERS) % 2),
            3.0 + (np.arange(USERS) // 2 % 2),
        ],
        axis=1,
    )
    .ravel()
    .astype(np.float32),
    "timestamp": np.arange(3 * USERS, dtype=np.int64),
}


@pytest.fixture(name="fitted", scope="module")
def _fitted() -> item_neighbours.ItemNeighbours:
    titles = baselines.fit_title_mean(TRAIN, USERS, 3, damping=1e-9)
    return item_neighbours.fit([TRAIN], titles, damping=10.0)


def test_similarity_is_a_shrunk_correlation(fitted: item_neighbours.ItemNeighbours) -> None:
    """Titles rated alike by all 40 users have 40 / (40 + shrinkage); none is similar to itself or the unknown."""
    alike = USERS / (USERS + item_neighbours.SHRINKAGE)

    assert fitted.similarity == pytest.approx(
        np.array([[0, 0, 0, 0], [0, 0, alike, 0], [0, alike, 0, 0], [0, 0, 0, 0]]), abs=1e-6
    )


def test_a_similar_title_moves_a_rating(fitted: item_neighbours.ItemNeighbours) -> None:
    """By hand: the title's mean, the user's damped mean without the title itself, and the neighbour's share."""
    asked = {name: column[:1] for name, column in TRAIN.items()}
    mean = (-0.5 - 0.5) / (2 + 10)
    weight = USERS / (USERS + item_neighbours.SHRINKAGE)

    expected = 3.5 + mean + weight * (-0.5 - mean) / (weight + item_neighbours.DAMPING)

    assert fitted.predict(asked, TRAIN) == pytest.approx([expected])


def test_in_turn_only_earlier_moments_count(fitted: item_neighbours.ItemNeighbours) -> None:
    """A first rating is the title's mean; ratings of one moment do not know one another."""
    rows: dict[str, Any] = {
        "owner": np.array([7, 7, 7], np.int32),
        "user": np.zeros(3, np.int32),
        "title": np.array([2, 1, 1], np.int32),
        "rating": np.array([3, 4, 4], np.float32),
        "timestamp": np.array([10, 10, 11], np.int64),
    }

    answered = fitted.predict_in_turn(rows)

    assert answered[:2] == pytest.approx([2.5, 3.5])
    assert answered[2] > 3.5


def test_users_may_come_some_at_a_time_and_titles_block_by_block(
    fitted: item_neighbours.ItemNeighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Similarities are the same, where each part has all rows of its users."""
    parts = [{name: column[some] for name, column in TRAIN.items()} for some in (slice(0, 30), slice(30, None))]
    monkeypatch.setattr(item_neighbours, "_BLOCK_CELLS", 8)

    assert item_neighbours.fit(parts, fitted.titles, damping=10.0).similarity == pytest.approx(fitted.similarity)
