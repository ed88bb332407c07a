"""Which part of a split each rating belongs to, by the method asked for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from steps.partitions import Partitions
from steps.row_batches import count_rows, read_batches

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from steps.split import Inputs

TRAIN, VALIDATION, TEST = range(3)


def assign(inputs: "Inputs", ratings: Path, scratch: Path) -> pl.Series:
    """The part of each rating, in one byte: 0 for training, 1 for validation, 2 for test.

    Memory holds nothing else of all rows, but 8 bytes of each for quantiles of time, random parts and folds. With
    leave_last_n the rows wait in `scratch` until those of one user are compared.
    """
    if inputs.method == "leave_last_n":
        return _by_user(ratings, inputs.leave, scratch)
    if inputs.method in ("time_range", "time_quantile"):
        first, second = _cuts(inputs, ratings)
        time = pl.col("timestamp")
        part = (time > first).cast(pl.Int8) + (time > second).cast(pl.Int8)
        return pl.scan_parquet(ratings).select(part.alias("part")).collect(engine="streaming").to_series()
    return _at_random(inputs, count_rows(ratings))


def _cuts(inputs: "Inputs", ratings: Path) -> tuple[float, float]:
    """The last times of training and of validation, so that ratings of one moment stay together."""
    fractions = (inputs.train_end, inputs.validation_end)
    if inputs.method == "time_range":
        time = pl.col("timestamp")
        span = pl.scan_parquet(ratings).select(time.min().alias("first"), time.max().alias("last"))
        earliest, latest = span.collect(engine="streaming").row(0)
        first, second = (float(earliest + fraction * (latest - earliest)) for fraction in fractions)
        return first, second
    import numpy as np

    times = np.empty(count_rows(ratings), dtype=np.int64)
    start = 0
    for rows in read_batches(ratings, ["timestamp"]):
        times[start : start + rows.height] = rows["timestamp"]
        start += rows.height
    places = [max(round(fraction * len(times)), 1) - 1 for fraction in fractions]
    times.partition(places)
    first, second = (float(times[place]) for place in places)
    return first, second


def _by_user(ratings: Path, leave: int, scratch: Path) -> pl.Series:
    """The last `leave` ratings of each user are test, as many before them validation.

    Of ratings of one moment the one with the greater item id, then the later row, counts as later. Users with too
    few ratings to leave one for training stay in training.
    """
    from_end = pl.int_range(pl.len()).reverse().over("user_id")
    part = pl.when(from_end < leave).then(TEST).when(from_end < 2 * leave).then(VALIDATION).otherwise(TRAIN)
    enough = pl.len().over("user_id") > 2 * leave
    rows = count_rows(ratings)
    waiting = Partitions(scratch, rows, pl.col("user_id").hash())
    first = 0
    for batch in read_batches(ratings, ["user_id", "timestamp", "item_id"]):
        waiting.add(batch.with_row_index("row", offset=first))
        first += batch.height
    parts = pl.repeat(TRAIN, rows, dtype=pl.Int8, eager=True)
    for together in waiting.partitions():
        ordered = together.sort("user_id", "timestamp", "item_id", "row")
        parted = ordered.select("row", part=pl.when(enough).then(part).otherwise(TRAIN).cast(pl.Int8))
        parts.scatter(parted["row"], parted["part"])
    return parts


def _at_random(inputs: "Inputs", rows: int) -> pl.Series:
    """Parts by the place of each row when rows are in a random order."""
    if inputs.method == "random":
        cuts, parts = [round(inputs.train_end * rows), round(inputs.validation_end * rows)], [TRAIN, VALIDATION, TEST]
    else:
        # Fold k takes the places whose number times folds / rows, rounded down, is k.
        cuts = [-(-fold * rows // inputs.folds) for fold in range(1, inputs.folds)]
        parts = [TRAIN] * inputs.folds
        parts[inputs.fold - 1], parts[inputs.fold % inputs.folds] = TEST, VALIDATION
    import numpy as np

    # NumPy promises the raw stream of PCG64 to be the same in every version and on every machine (NEP 19).
    return by_place(lambda: np.random.PCG64(inputs.seed).random_raw(rows), cuts, parts)


def by_place(draw: "Callable[[], npt.NDArray[np.uint64]]", cuts: Sequence[int], parts: Sequence[int]) -> pl.Series:
    """Put rows in the order of their numbers, equal ones in that of the rows, and part the places at `cuts`.

    Each call of `draw` returns the number of each row anew, so that memory holds no second copy of them. Of the parts,
    one more than the cuts, the first has the places before the first cut.
    """
    import numpy as np

    drawn = draw()
    rows = len(drawn)
    within = np.array([cut for cut in cuts if cut < rows], dtype=np.intp)
    drawn.partition(within)
    limits = drawn[within]
    del drawn
    drawn = draw()
    passed = np.zeros(rows, dtype=np.int8)
    for cut, limit in zip(within, limits, strict=True):
        after, equal = drawn > limit, np.flatnonzero(drawn == limit)
        before = rows - int(after.sum()) - len(equal)
        after[equal[cut - before :]] = True
        passed += after
    return pl.Series(np.array(parts, dtype=np.int8)[passed])
