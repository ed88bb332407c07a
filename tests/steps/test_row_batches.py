"""Tables read and written a batch of rows at a time."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from steps import row_batches
from steps.entry import StepError
from steps.row_batches import count_distinct, count_rows, read_batches, write_batches

TABLE = pl.DataFrame({"number": range(10), "text": [str(number % 3) for number in range(10)]})


@pytest.mark.parametrize("groups", [3, 100])
def test_a_table_is_the_same_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: int) -> None:
    """Batches have their size and the rows their order, however the file is grouped, and what is written is equal."""
    monkeypatch.setattr(row_batches, "BATCH", 4)
    source, target = tmp_path / "source.parquet", tmp_path / "target.parquet"
    TABLE.write_parquet(source, row_group_size=groups)
    batches = list(read_batches(source))
    assert [batch.height for batch in batches] == [4, 4, 2]
    write_batches(batches, TABLE.schema, target)
    assert pl.read_parquet(target).equals(TABLE)
    assert (count_rows(target), count_distinct(target, "text")) == (10, 3)
    assert [batch.columns for batch in read_batches(target, ["text"])] == [["text"]] * 3


def test_what_breaks_a_batch_is_told_as_it_is(tmp_path: Path) -> None:
    """An error of who makes the batches comes through, as nothing else knows what it means."""

    def batches() -> Iterator[pl.DataFrame]:
        yield TABLE
        raise StepError("the rest is unreadable")

    with pytest.raises(StepError, match=r"^the rest is unreadable$"):
        write_batches(batches(), TABLE.schema, tmp_path / "target.parquet")
