"""Columns that lie on disk, for tables that memory does not hold: read part by part, or shuffled through a buffer."""

from collections.abc import Iterable, Iterator, Mapping
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
