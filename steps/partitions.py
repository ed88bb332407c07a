"""Rows on disk, of which those with the same key can be had together without all the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

ROWS: Final = 2**19
"""Rows of a partition, about: as many as memory holds at once."""


class Partitions:
    """Rows that are added in batches, and read again by batch or by partition, each in the order of column `row`."""

    def __init__(self, folder: Path, rows: int, key: pl.Expr) -> None:
        """Prepare for about so many `rows`; those with the same `key`, a column of hashes, come into one partition."""
        self._folder, self._key = folder, key
        self._count = max(-(-rows // ROWS), 1)
        self._batches = 0

    def add(self, batch: pl.DataFrame) -> None:
        """Keep the rows of a batch, in whose order later batches come after it."""
        parts = {(0,): batch}
        if self._count > 1:
            numbered = batch.with_columns(partition=self._key % self._count)
            parts = numbered.partition_by("partition", include_key=False, as_dict=True)
        for (number,), rows in parts.items():
            rows.write_ipc(self._path(self._batches, number))
        self._batches += 1

    def partitions(self) -> Iterator[pl.DataFrame]:
        """All rows of some keys, and then of others."""
        for number in range(self._count):
            yield from self._read([self._path(batch, number) for batch in range(self._batches)])

    def batches(self) -> Iterator[pl.DataFrame]:
        """The batches as they were added."""
        for batch in range(self._batches):
            for rows in self._read([self._path(batch, number) for number in range(self._count)]):
                yield rows.sort("row") if self._count > 1 else rows

    def _path(self, batch: int, partition: int) -> Path:
        return self._folder / f"{batch}-{partition}.ipc"

    def _read(self, paths: list[Path]) -> Iterator[pl.DataFrame]:
        """The rows of those files that are there; nothing where none is."""
        parts = [pl.read_ipc(path) for path in paths if path.exists()]
        if parts:
            yield pl.concat(parts)
