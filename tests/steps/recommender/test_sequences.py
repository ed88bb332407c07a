"""Tests of `steps.recommender.models.sequences`."""

import numpy as np

from steps.recommender.models.sequences import latest, padded, sequences

OWNER = np.array([2, 1, 2, 1, 1], np.int32)
TIME = np.array([5, 9, 3, 7, 7], np.int64)


def test_sequences_are_in_order_of_time() -> None:
    """Rows of one moment stay in the order given, and what is shorter is filled up."""
    (places,) = sequences(OWNER, TIME, 100)

    assert sorted(places.tolist()) == [[2, 0, -1], [3, 4, 1]]


def test_a_batch_has_about_as_many_places_as_asked() -> None:
    """Two sequences of which one would fit make two batches, and every row is in one of them."""
    found = list(sequences(OWNER, TIME, 3))

    assert len(found) == 2
    assert sorted(place for batch in found for place in batch.ravel() if place >= 0) == [0, 1, 2, 3, 4]


def test_empty_places_are_marked() -> None:
    """`known` tells rows from filling."""
    (places,) = sequences(OWNER, TIME, 100)

    assert padded({"time": TIME}, places)["known"].sum() == 5


def test_the_latest_rows_of_each_owner() -> None:
    """At most two each, sorted by owner and time."""
    assert latest(OWNER, TIME, 2).tolist() == [4, 1, 2, 0]


def test_no_rows_make_no_sequences() -> None:
    """Nothing is an ordinary amount."""
    assert list(sequences(OWNER[:0], TIME[:0], 10)) == []
