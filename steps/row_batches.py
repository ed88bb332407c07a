"""Parquet tables of any size, of which memory holds one batch of rows at a time."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from polars._typing import SchemaDict

BATCH: Final = 2**18
"""Rows in memory at once, and in a row group of what is written."""


def count_rows(path: Path) -> int:
    """How many rows a table has, by its metadata."""
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def count_distinct(path: Path, column: str) -> int:
    """How many different values a column has."""
    return int(pl.scan_parquet(path).select(pl.col(column).n_unique()).collect(engine="streaming").item())


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """The rows of a table in their order, `BATCH` at a time."""
    table = pl.scan_parquet(path)
    if columns is not None:
        table = table.select(columns)
    for start in range(0, count_rows(path), BATCH):
        yield table.slice(start, BATCH).collect()


def write_batches(batches: Iterable[pl.DataFrame], schema: "SchemaDict", path: Path) -> None:
    """Write a table from its rows in their order; every batch has the columns of `schema`."""

    def rows(*_: object) -> Iterator[pl.DataFrame]:
        yield from batches

    register_io_source(rows, schema=schema).sink_parquet(path, row_group_size=BATCH)
