"""Rows by partition: those of one key are together, and all come back in their order."""

from pathlib import Path

import polars as pl
import pytest

from steps import partitions
from steps.partitions import Partitions


@pytest.fixture(name="waiting")
def _waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Partitions:
    """A hundred rows of seven users, added in batches, one of which is empty."""
    monkeypatch.setattr(partitions, "ROWS", 10)
    rows = pl.DataFrame({"row": range(100), "user_id": [f"user {row * row % 7}" for row in range(100)]})
    waiting = Partitions(tmp_path, 100, pl.col("user_id").hash())
    for batch in (rows[:40], rows[:0], rows[40:45], rows[45:]):
        waiting.add(batch)
    return waiting


def test_the_rows_of_a_key_are_in_one_partition(waiting: Partitions) -> None:
    """Every row is in one partition, in order, and no key is in two."""
    parts = list(waiting.partitions())
    assert len(parts) > 1
    assert all(part["row"].is_sorted() for part in parts)
    assert sorted(row for part in parts for row in part["row"]) == list(range(100))
    users = [user for part in parts for user in part["user_id"].unique()]
    assert len(users) == len(set(users))


def test_the_rows_come_back_as_they_were_added(waiting: Partitions) -> None:
    """Batches have their rows in their order."""
    assert [row for batch in waiting.batches() for row in batch["row"]] == list(range(100))


def test_of_no_rows_there_are_none(tmp_path: Path) -> None:
    """Where nothing was added, nothing comes back."""
    waiting = Partitions(tmp_path, 0, pl.col("user_id").hash())
    assert list(waiting.partitions()) == list(waiting.batches()) == []
