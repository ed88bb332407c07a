"""Tests of `steps.recommender.retrieval_index`."""

import numpy as np
import pytest
import tensorflow as tf

from steps.recommender.retrieval_index import Leaves, compare


def test_leaves_hold_several_times_what_is_looked_for() -> None:
    """Of a million vectors a small share is searched, of few all."""
    assert Leaves.suited_to(1_000_000, 100) == Leaves(1000, 60, 1000)
    assert Leaves.suited_to(24, 24) == Leaves(5, 5, 24)


def test_an_index_that_searches_everything_finds_everything() -> None:
    """Compressed vectors choose, whole ones decide: the best are the truly best."""
    random = np.random.default_rng(0)
    vectors, queries = (random.standard_normal((count, 8), np.float32) for count in (400, 40))

    index, found = compare(vectors, queries, 5, Leaves(10, 10, 400))

    assert found.recall == 1.0
    assert (found.vectors, found.size, found.k) == (400, 8, 5)
    products, places = index(tf.constant(queries))
    assert places.numpy()[:, 0].tolist() == (queries @ vectors.T).argmax(axis=1).tolist()
    assert products.numpy()[:, 0] == pytest.approx((queries @ vectors.T).max(axis=1), abs=1e-5)
