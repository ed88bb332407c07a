"""Tests of `steps.recommender.features`."""

import numpy as np
import polars as pl
import pytest

from steps.recommender.features import MOMENT_FEATURES, TitleFeatures, TitleTable
from steps.recommender.vocabulary import Vocabulary

TRAIN = pl.DataFrame(
    {
        "user_id": ["1", "1", "2"],
        "item_id": ["a", "b", "a"],
        "title": ["Heat (1995)", "Nameless", "Heat (1995)"],
        "timestamp": [100, 200, 300],
    }
)
ITEMS = pl.DataFrame(
    {"item_id": ["a", "b"], "title": ["x", "y"], "year": [1995, None], "genres": [["Crime", "Drama"], ["Drama"]]}
)
VOCABULARY = Vocabulary(users=("1", "2"), titles=("Heat (1995)", "Nameless"))


def moments(title: list[int], timestamp: list[int]) -> dict[str, list[float]]:
    """The features of titles at moments, by name."""
    features = TitleFeatures(TitleTable.of(TRAIN, ITEMS, VOCABULARY))
    values = features.at_moments(np.array(title, np.int32), np.array(timestamp, np.int64)).numpy()
    return {name: values[:, column].tolist() for column, name in enumerate(MOMENT_FEATURES)}


def test_titles_have_genres_and_a_year() -> None:
    """What is not known is marked so, and the unknown title has nothing."""
    table = TitleTable.of(TRAIN, ITEMS, VOCABULARY)

    assert table.names == ("Crime", "Drama", "year", "year squared", "year unknown")
    assert table.values == pytest.approx(np.array([[0, 0, 0, 0, 1], [1, 1, 1 / 3, 1 / 9, 0], [0, 1, 0, 0, 1]]))


def test_without_items_the_year_comes_from_the_title() -> None:
    """`Heat (1995)` says its own."""
    assert TitleTable.of(TRAIN, None, VOCABULARY).release.tolist()[1] == 1995


def test_popularity_counts_ratings_before_the_moment_only() -> None:
    """A rating does not count itself, nor what comes after it."""
    counted = moments([1, 1, 1, 2, 0], [100, 300, 301, 10**9, 10**9])["earlier ratings"]

    assert counted == pytest.approx([value / 5 for value in (0, np.log(2), np.log(3), np.log(2), 0)])


def test_age_is_counted_from_the_release() -> None:
    """In 2000 a film of 1995 is five years old; what is unknown has the age 0."""
    assert moments([1, 0], [946_684_800] * 2)["age"] == pytest.approx([np.log(6), 0], abs=0.01)


def test_the_day_comes_round() -> None:
    """A quarter of a day is the top of its sine."""
    assert moments([1], [21_600])["sine of day"] == pytest.approx([1])


def test_a_table_survives_its_arrays() -> None:
    """What is written is what is read."""
    table = TitleTable.of(TRAIN, ITEMS, VOCABULARY)
    again = TitleTable.from_arrays(table.arrays())

    assert again.names == table.names
    assert np.array_equal(again.release, table.release, equal_nan=True)
    assert np.array_equal(again.values, table.values)
    assert np.array_equal(again.ratings, table.ratings)
