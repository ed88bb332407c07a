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


class StoredColumns(Mapping[str, npt.NDArray[Any]]):
    """Equally long columns in a folder, a file for each. A column that is asked for by name is read whole."""

    def __init__(self, folder: Path, dtypes: Mapping[str, np.dtype[Any]], rows: int) -> None:
        self.folder, self.dtypes, self.rows = folder, dtypes, rows

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

    def shuffled(self, random: np.random.Generator, at_once: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """All rows in a random order, about `at_once` at a time, which come from blocks anywhere in the table."""
        blocks = random.permutation(-(-self.rows // BLOCK))
        together = -(-at_once // BLOCK)
        for first in range(0, len(blocks), together):
            starts = blocks[first : first + together] * BLOCK
            read = [self.take(int(start), int(start) + BLOCK) for start in starts]
            order = random.permutation(sum(len(next(iter(block.values()))) for block in read))
            yield {name: np.concatenate([block[name] for block in read])[order] for name in self.dtypes}


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
