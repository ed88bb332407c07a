"""Whose ratings are judged where a split has more than time and memory should be spent on: those of drawn users.

What is fitted is fitted on all rows; errors, slices and intervals are of the drawn users, of whom all rows are judged.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from steps.recommender import data
from steps.recommender.stored_columns import StoredColumns
from steps.recommender.stored_split import Counts, Rows, StoredSplit, in_shards

MOST_ROWS: Final = 2**22
"""Of a split with more, users are drawn until they have so many together."""
FEWEST_USERS: Final = 1000
"""So many are drawn of each part, where it has them, however many rows that makes."""
_SEED: Final = 0  # always the same, so that models that are compared were judged on the same rows

Mask = npt.NDArray[np.bool_]


def draw(split: StoredSplit) -> Mask | None:
    """Which users are judged, [owners]; None: all."""
    rows = np.sum(list(split.ratings.values()), axis=0)
    if rows.sum() <= MOST_ROWS:
        return None
    order = np.random.default_rng(_SEED).permutation(len(rows))
    enough = [np.searchsorted(np.cumsum(rows[order]), MOST_ROWS)]
    for of_part in split.ratings.values():
        there = np.cumsum(of_part[order] > 0)
        enough.append(np.searchsorted(there, min(FEWEST_USERS, there[-1])))
    drawn = np.zeros(len(rows), np.bool_)
    drawn[order[: int(max(enough)) + 1]] = True
    return drawn


def take(split: StoredSplit, drawn: Mask, scratch: Path) -> StoredSplit:
    """The rows of the `drawn` users, written to `scratch`, with `place` counted among these.

    What else the split says, such as how many training ratings a title has, is that of all users.
    """
    shard_of, ends = in_shards({part: counts * drawn for part, counts in split.ratings.items()})

    def group(rows: Rows) -> Counts:
        found: Counts = shard_of[rows["owner"]]
        return found

    parts = {
        part: StoredColumns.write_grouped(scratch / part, _rows(stored, drawn), group, ends[part])
        for part, stored in split.parts.items()
    }
    return replace(split, parts=parts, ends=ends)


def _rows(stored: StoredColumns, drawn: Mask) -> Iterator[Rows]:
    kept = data.where(stored, lambda rows: drawn[rows["owner"]])
    yield {**kept, "place": np.argsort(np.argsort(kept["place"]))}


def note(split: StoredSplit, drawn: Mask) -> str:
    """What a reader must know of it."""
    rows = np.sum(list(split.ratings.values()), axis=0)
    return (
        f"Ratings are judged of {np.count_nonzero(drawn):,} users, drawn from all {len(drawn):,}: those have "
        f"{rows[drawn].sum():,} of {rows.sum():,} rows. Everything was fitted on all rows."
    )
