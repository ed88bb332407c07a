"""What is kept of each user's training rows, side by side: in memory, or on disk where the rows lie there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from steps.recommender import data
from steps.recommender.data import Columns
from steps.recommender.stored_columns import StoredColumns

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class UserRows:
    """Some rows of each user of a vocabulary; those of a user lie one after the other."""

    starts: Counts
    """Where each user's rows begin, [users + 1]."""
    counts: Counts
    """How many there are, [users + 1]."""
    columns: Columns

    @classmethod
    def of(cls, train: Columns, users: int, keep: Callable[[Columns], Columns], name: str) -> "UserRows":
        """What `keep` makes of all rows of some users: columns in the order of `user`, which is one of them.

        `users` is how many the vocabulary knows; `name` is that of the folder where the rows lie on disk.
        """
        counts, starts = np.zeros(users + 1, np.int64), np.zeros(users + 1, np.int64)
        kept_before = 0

        def kept() -> Iterator[Columns]:
            nonlocal kept_before
            for part in data.whole_parts(train, "user"):
                rows = keep(part)
                own = np.bincount(rows["user"], minlength=users + 1)
                present = np.flatnonzero(own)
                starts[present] = kept_before + np.cumsum(own[present]) - own[present]
                counts[present] = own[present]
                kept_before += len(rows["user"])
                yield {column: values for column, values in rows.items() if column != "user"}

        if isinstance(train, StoredColumns):
            return cls(starts, counts, StoredColumns.write(train.folder / name, kept()))
        (columns,) = kept()
        return cls(starts, counts, columns)

    def places(self, users: npt.NDArray[np.int32]) -> Counts:
        """Where the rows of these users lie, one user after the other."""
        counts = self.counts[users]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found: Counts = np.repeat(self.starts[users], counts) + within
        return found

    def blocks(self, size: int) -> Iterator[npt.NDArray[np.int32]]:
        """All users, about so many rows at a time, in the order in which the rows lie."""
        users = np.argsort(self.starts, kind="stable").astype(np.int32)
        block = np.cumsum(self.counts[users]) // size
        yield from np.split(users, np.flatnonzero(np.diff(block)) + 1)

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column, of which only what is asked for is read where it is on disk."""
        return self.columns.mapped(name) if isinstance(self.columns, StoredColumns) else self.columns[name]
