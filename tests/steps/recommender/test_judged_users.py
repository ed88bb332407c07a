"""Tests of `steps.recommender.judged_users`: who is drawn of a split with many rows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steps.recommender import judged_users
from steps.recommender.stored_split import StoredSplit, store_split
from tests.steps.synthetic_ratings import write_split


@pytest.fixture(name="split", scope="module")
def _split(tmp_path_factory: pytest.TempPathFactory) -> StoredSplit:
    folder = tmp_path_factory.mktemp("data")
    return store_split(write_split(folder / "split"), folder / "rows")


def test_a_small_split_is_judged_whole(split: StoredSplit) -> None:
    """Nobody is drawn where all fit."""
    assert judged_users.draw(split) is None


def test_drawn_users_have_about_so_many_rows(split: StoredSplit, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more users are drawn than make the number full, and another time the same."""
    monkeypatch.setattr(judged_users, "MOST_ROWS", 300)
    monkeypatch.setattr(judged_users, "FEWEST_USERS", 1)
    rows = np.sum(list(split.ratings.values()), axis=0)

    drawn, again = judged_users.draw(split), judged_users.draw(split)

    assert drawn is not None
    assert again is not None
    assert 300 <= rows[drawn].sum() < 300 + rows.max()
    assert np.array_equal(drawn, again)


def test_each_part_has_users_enough(split: StoredSplit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that few users have rows in is not judged by fewer than it takes."""
    monkeypatch.setattr(judged_users, "MOST_ROWS", 10)
    monkeypatch.setattr(judged_users, "FEWEST_USERS", 12)

    drawn = judged_users.draw(split)

    assert drawn is not None
    assert all(np.count_nonzero(of_part[drawn]) >= 12 for of_part in split.ratings.values())


def test_readers_are_told_how_many_rows_they_have(split: StoredSplit, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few were wanted: the least number of users may bring more."""
    monkeypatch.setattr(judged_users, "MOST_ROWS", 10)
    monkeypatch.setattr(judged_users, "FEWEST_USERS", 12)
    drawn = judged_users.draw(split)
    assert drawn is not None
    users = pl.concat([pl.read_parquet(split.folder / f"{part}.parquet")["user_id"] for part in split.parts])
    rows = users.is_in(split.owners.filter(pl.Series(drawn)).implode()).sum()
    assert rows > 10

    assert judged_users.note(split, drawn) == (
        f"Ratings are judged of {np.count_nonzero(drawn)} users, drawn from all 30: those have {rows} of 851 rows. "
        "Everything was fitted on all rows."
    )


def test_all_rows_of_drawn_users_are_taken(split: StoredSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in its place among them, in the order of the file; what is known of titles stays."""
    monkeypatch.setattr(judged_users, "MOST_ROWS", 300)
    monkeypatch.setattr(judged_users, "FEWEST_USERS", 1)
    drawn = judged_users.draw(split)
    assert drawn is not None

    taken = judged_users.take(split, drawn, tmp_path)

    for part, stored in split.parts.items():
        order, kept = np.argsort(stored["place"]), np.argsort(taken.parts[part]["place"])
        of_drawn = order[drawn[stored["owner"][order]]]
        for name in ("owner", "item", "rating", "timestamp"):
            assert np.array_equal(taken.parts[part][name][kept], stored[name][of_drawn])
        assert np.array_equal(np.sort(taken.parts[part]["place"]), np.arange(len(of_drawn)))
    assert taken.title_ratings is split.title_ratings
