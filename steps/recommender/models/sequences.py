"""Rows as sequences: each owner's rows side by side, in order of time."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from steps.recommender.data import Columns, count_rows

Indices = npt.NDArray[np.int64]

_LENGTH_STEP = 16  # lengths are rounded up to it, so that sequences of similar length share a batch


def sequences(owner: npt.NDArray[np.int32], timestamp: npt.NDArray[np.int64], cells: int) -> Iterator[Indices]:
    """Batches of sequences, as places of rows [sequences, length]; -1 fills up what is shorter than the longest.

    A batch has about `cells` places, and at least one sequence. Each row is in one of them. The order of rows in a
    sequence is that of time, then that given; the order of batches follows the order given.
    """
    order = np.lexsort((timestamp, owner))
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    # Of equal length, who comes first in the rows comes first: shuffled rows make other batches in each epoch.
    by_length = np.lexsort((order[starts], -(-lengths // _LENGTH_STEP)))
    batches: list[list[int]] = [[]]
    for sequence in by_length:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[sequence] > cells:
            batches.append([])
        batches[-1].append(int(sequence))
    filled = [batch for batch in batches if batch]
    for batch in sorted(filled, key=lambda members: int(order[starts[members[0]]])):
        places = np.full((len(batch), lengths[batch].max()), -1, np.int64)
        for row, sequence in enumerate(batch):
            start, length = starts[sequence], lengths[sequence]
            places[row, :length] = order[start : start + length]
        yield places


def padded(columns: Columns, places: Indices) -> dict[str, npt.NDArray[np.generic]]:
    """The columns at `places`, each [sequences, length], and `known`: 1 where there is a row, 0 where there is none."""
    known = (places >= 0).astype(np.float32)
    if not count_rows(columns):
        return {**{name: np.zeros(places.shape, column.dtype) for name, column in columns.items()}, "known": known}
    return {**{name: column[places] for name, column in columns.items()}, "known": known}


def latest(owner: npt.NDArray[np.int32], timestamp: npt.NDArray[np.int64], limit: int) -> Indices:
    """The places of each owner's last `limit` rows, sorted by owner and time."""
    order = np.lexsort((timestamp, owner))
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    from_end = np.repeat(starts + lengths, lengths) - np.arange(len(order))
    return order[from_end <= limit]
