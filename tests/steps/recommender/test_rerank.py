"""Tests of `steps.recommender.rerank`: best scores, variety, and limits for genres."""

import numpy as np
import pytest
import tensorflow as tf

from steps.recommender.rerank import Titles, Wish, rerank

VECTORS = tf.constant([[0, 0], [1, 0], [1, 0.01], [0, 1], [-1, 0], [0, -1]], tf.float32)
"""Titles 1 and 2 are almost the same."""
GENRES = np.array([[0, 0], [1, 0], [1, 0], [1, 1], [0, 1], [0, 0]], np.float32)
SCORES = [-np.inf, 5.0, 4.9, 4.0, 3.0, 1.0]
TITLES = Titles(VECTORS, GENRES)


def listed(*, count: int = 3, diversity: float = 0.0, per_genre: int = 0, scores: list[float] = SCORES) -> list[int]:
    """The rows of a list."""
    wish = Wish(tf.constant(count), tf.constant(diversity), tf.constant(per_genre))
    rows = tf.range(len(scores))
    return [int(row) for row in tf.function(rerank)(rows, tf.constant(scores, tf.float32), TITLES, wish)]


def test_without_a_wish_the_best_scores_come_first() -> None:
    """And what is left out, with a score of minus infinity, is not in the list however long."""
    assert listed() == [1, 2, 3]
    assert listed(count=9) == [1, 2, 3, 4, 5]
    assert listed(count=0) == []


def test_the_dial_replaces_what_is_like_the_titles_before() -> None:
    """A title almost equal to the first gives way to one that differs, and at the end scores do not matter."""
    assert listed(diversity=0.3) == [1, 4, 3]
    assert listed(diversity=1.0, count=2) == [1, 4]
    assert sorted(listed(diversity=0.7, count=9)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("per_genre", "expected"), [(1, [1, 4, 5]), (2, [1, 2, 4, 5]), (3, [1, 2, 3, 4, 5])])
def test_no_genre_comes_more_often_than_wished(per_genre: int, expected: list[int]) -> None:
    """A title counts for each of its genres; without a genre it may always come. The list gets shorter at need."""
    assert listed(count=9, per_genre=per_genre) == expected


def test_nothing_is_listed_where_nothing_is_allowed() -> None:
    """Whoever has seen everything gets an empty list."""
    nothing = [-np.inf] * 6

    assert listed(scores=nothing) == listed(scores=nothing, diversity=0.5, per_genre=1) == []
