"""What an evaluation keeps of each row of the part that it judges: numbers, in the order of the part's file."""

from typing import Any

import numpy as np
import numpy.typing as npt


class JudgedRows:
    """Columns by name, which are filled shard by shard."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._columns: dict[tuple[str, ...], npt.NDArray[Any]] = {}

    def put(self, name: tuple[str, ...], place: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> None:
        """Fill some places of a column."""
        self._columns.setdefault(name, np.empty(self._rows, values.dtype))[place] = values

    def __getitem__(self, name: tuple[str, ...]) -> npt.NDArray[Any]:
        return self._columns[name]
