"""Columns that lie on disk, for tables that memory does not hold: read part by part, or shuffled through a buffer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Part = Mapping[str, npt.NDArray[Any]]
"""Some rows in memory: equally long columns by name."""

BLOCK: Final = 4096
"""Rows that lie side by side and are read at once when rows are shuffled: 16 KB of a column of 32 bits."""
BUFFER: Final = 2**18
"""Rows in memory at once, of batches that have fewer."""
SHARD: Final = 2**20
"""Rows of a shard, but for those of its last user or title: tables of up to so many rows are one shard."""


class StoredColumns(Mapping[str, npt.NDArray[Any]]):
    """Equally long columns in a folder, a file for each. A column that is asked for by name is read whole."""

    def __init__(self, folder: Path, dtypes: Mapping[str, np.dtype[Any]], rows: int) -> None:
        self.folder, self.dtypes, self.rows = folder, dtypes, rows
        self._shards: dict[str, Shards] = {}

    @classmethod
    def write(cls, folder: Path, parts: Iterable[Part]) -> "StoredColumns":
        """The rows of `parts`, one after the other, which need not be in memory together. Takes the folder's place."""
        folder.mkdir(parents=True, exist_ok=True)
        dtypes: dict[str, np.dtype[Any]] = {}
        rows = 0
        for part in parts:
            for name, column in part.items():
                with (folder / name).open("ab" if name in dtypes else "wb") as file:
                    file.write(np.ascontiguousarray(column).data)
                dtypes[name] = column.dtype
            rows += len(next(iter(part.values())))
        return cls(folder, dtypes, rows)

    @classmethod
    def write_grouped(
        cls,
        folder: Path,
        parts: Iterable[Part],
        group: Callable[[Part], npt.NDArray[np.int64]],
        ends: npt.NDArray[np.int64],
    ) -> "StoredColumns":
        """The same with the rows of each group side by side, in the order given.

        `group` says the group of each row; that of number n lies from `ends[n]` to before `ends[n + 1]`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        dtypes: dict[str, np.dtype[Any]] = {}
        filled = ends[:-1].copy()
        for part in parts:
            groups = group(part)
            order = np.argsort(groups, kind="stable")
            present, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
            for name, column in part.items():
                ordered = column[order]
                with (folder / name).open("r+b" if name in dtypes else "w+b") as file:
                    for number, start, count in zip(present, starts, counts, strict=True):
                        file.seek(int(filled[number]) * column.dtype.itemsize)
                        file.write(ordered[start : start + count].data)
                dtypes[name] = column.dtype
            filled[present] += counts
        return cls(folder, dtypes, int(ends[-1]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.dtypes)

    def __len__(self) -> int:
        return len(self.dtypes)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.read(name, 0, self.rows)

    def read(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Some rows of a column."""
        dtype = self.dtypes[name]
        count = max(min(stop, self.rows) - start, 0)
        return np.fromfile(self.folder / name, dtype, count, offset=start * dtype.itemsize)

    def take(self, start: int, stop: int) -> dict[str, npt.NDArray[Any]]:
        """Some rows of all columns."""
        return {name: self.read(name, start, stop) for name in self.dtypes}

    def mapped(self, name: str) -> npt.NDArray[Any]:
        """A column of which only what is asked for is read, into memory that the system takes back at will."""
        return np.memmap(self.folder / name, self.dtypes[name], "r", shape=(self.rows,)) if self.rows else self[name]

    def shards(self, of: str) -> "Shards":
        """The same rows in shards, each with all rows of some users or titles, as the column `of` has them.

        They are written to a folder in this one when they are first asked for.
        """
        if of not in self._shards:
            self._shards[of] = Shards.of(self, of)
        return self._shards[of]

    def shuffled(self, random: np.random.Generator, at_once: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """All rows in a random order, about `at_once` at a time, which come from blocks anywhere in the table."""
        blocks = random.permutation(-(-self.rows // BLOCK))
        together = -(-at_once // BLOCK)
        for first in range(0, len(blocks), together):
            starts = blocks[first : first + together] * BLOCK
            read = [self.take(int(start), int(start) + BLOCK) for start in starts]
            order = random.permutation(sum(len(next(iter(block.values()))) for block in read))
            yield {name: np.concatenate([block[name] for block in read])[order] for name in self.dtypes}


class Shards:
    """Rows of which those of a user, or of a title, are in one shard. Which ones share a shard is drawn by chance."""

    def __init__(self, rows: StoredColumns, ends: npt.NDArray[np.int64]) -> None:
        self._rows, self._ends = rows, ends

    @classmethod
    def of(cls, columns: StoredColumns, name: str) -> "Shards":
        """See `StoredColumns.shards`."""
        starts = range(0, columns.rows, BUFFER)
        counts = np.zeros(0, np.int64)
        for start in starts:
            found = np.bincount(columns.read(name, start, start + BUFFER), minlength=len(counts))
            found[: len(counts)] += counts
            counts = found
        shard_of = shards_of(counts, np.random.default_rng(0).permutation(len(counts)))
        ends = np.concatenate([[0], np.cumsum(np.bincount(shard_of, counts))]).astype(np.int64)
        parts = (columns.take(start, start + BUFFER) for start in starts)

        def group(part: Part) -> npt.NDArray[np.int64]:
            found: npt.NDArray[np.int64] = shard_of[part[name]]
            return found

        return cls(StoredColumns.write_grouped(columns.folder / f"by-{name}", parts, group, ends), ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> dict[str, npt.NDArray[Any]]:
        return self._rows.take(*self._ends[number : number + 2].tolist())

    def __iter__(self) -> Iterator[dict[str, npt.NDArray[Any]]]:
        return (self[number] for number in range(len(self)))


def shards_of(counts: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The shard of each user or title, of whom there are so many rows; shards are filled in the order given."""
    so_far = np.cumsum(counts[order]) - counts[order]
    _, filled = np.unique(so_far // SHARD, return_inverse=True)
    shards = np.empty(len(counts), np.int64)
    shards[order] = filled
    return shards


class LookedUp(StoredColumns):
    """Stored columns, and others that say of each row what a table in memory has at the place that one of them names.

    `tables` has, by the name of the new column, the column of places and the table.
    """

    def __init__(self, stored: StoredColumns, tables: Mapping[str, tuple[str, npt.NDArray[Any]]]) -> None:
        dtypes = {name: table.dtype for name, (_, table) in tables.items()}
        super().__init__(stored.folder, {**stored.dtypes, **dtypes}, stored.rows)
        self._tables = tables

    def read(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Some rows of a column."""
        if name not in self._tables:
            return super().read(name, start, stop)
        of, table = self._tables[name]
        found: npt.NDArray[Any] = table[super().read(of, start, stop)]
        return found
