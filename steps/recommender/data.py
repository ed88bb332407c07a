"""Split ratings, from Parquet to the batches that models eat."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from steps.entry import StepError
from steps.recommender.stored_columns import BUFFER, StoredColumns
from steps.recommender.vocabulary import OOV_ROW, Vocabulary

Columns = Mapping[str, npt.NDArray[Any]]
"""Equally long columns by name: `user` and `title` are embedding rows (int32), `rating` is float32, `timestamp` int64
seconds since 1970. Where they are there, `owner` tells apart users whom the vocabulary does not know, and `profile`
says what is known of them (both int32). They are in memory, or `StoredColumns`."""

PARTS: Final = ("train", "validation", "test")
RATING_COLUMNS: Final = ("user_id", "item_id", "title", "rating", "timestamp")


@dataclass(frozen=True, slots=True)
class RatingScale:
    """The lowest and the highest rating that users could give."""

    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Split:
    """Ratings for learning, choosing and judging, with the columns `RATING_COLUMNS`."""

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    scale: RatingScale
    dataset: str
    """The name of the data."""
    items: pl.DataFrame | None = None
    """What is known of items: `item_id`, `year` and `genres`, where the source has that."""
    users: pl.DataFrame | None = None
    """What is known of users: `user_id`, `gender`, `age` and `occupation`, where the source has that."""


def read_split(folder: Path) -> Split:
    """Read a folder in the format `split`.

    Raises:
        StepError: it is not such a folder, or has nothing to learn from.
    """
    about = describe_split(folder)
    frames = {part: pl.read_parquet(folder / f"{part}.parquet", columns=list(RATING_COLUMNS)) for part in PARTS}
    return Split(**frames, scale=about.scale, dataset=about.dataset, items=about.items, users=about.users)


@dataclass(frozen=True, slots=True)
class SplitDescription:
    """What is known of a split before one rating is read; the fields are those of `Split`."""

    rows: Mapping[str, int]
    """How many there are, by part."""
    scale: RatingScale
    dataset: str
    items: pl.DataFrame | None
    users: pl.DataFrame | None


def describe_split(folder: Path) -> SplitDescription:
    """Read everything of a folder in the format `split` but the ratings.

    Raises:
        StepError: it is not such a folder, or has nothing to learn from.
    """
    require_files(folder, ["dataset.json", *(f"{part}.parquet" for part in PARTS)], made_by="split")
    description = json.loads((folder / "dataset.json").read_text())
    scale = RatingScale(float(description["rating_min"]), float(description["rating_max"]))
    if not scale.minimum < scale.maximum:
        raise StepError(f"ratings from {scale.minimum} to {scale.maximum} leave nothing to predict: check dataset.json")
    rows = {part: pl.scan_parquet(folder / f"{part}.parquet").select(pl.len()).collect().item() for part in PARTS}
    if not rows["train"]:
        raise StepError("the split has no training rows: check the split's parameters in the workflow")
    return SplitDescription(
        rows=rows,
        scale=scale,
        dataset=str(description.get("name", "ratings")),
        items=_read_if_there(folder / "items.parquet"),
        users=_read_if_there(folder / "users.parquet"),
    )


def frames(folder: Path, about: SplitDescription, part: str) -> Iterator[pl.DataFrame]:
    """The rows of a part of a split in their order, as many at a time as memory should hold."""
    rows = pl.scan_parquet(folder / f"{part}.parquet").select(RATING_COLUMNS)
    for start in range(0, about.rows[part], BUFFER):
        yield rows.slice(start, BUFFER).collect()


def first_rows(folder: Path, part: str, count: int) -> pl.DataFrame:
    """So many of the first rows of a part of a split."""
    return pl.scan_parquet(folder / f"{part}.parquet").select(RATING_COLUMNS).head(count).collect()


def _read_if_there(path: Path) -> pl.DataFrame | None:
    return pl.read_parquet(path) if path.exists() else None


def require_files(folder: Path, names: Iterable[str], *, made_by: str) -> None:
    """Refuse a folder that lacks what the step `made_by` writes."""
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise StepError(f"{folder} has no {', '.join(missing)}: it should be the output of the step `{made_by}`")


def encode(ratings: pl.DataFrame, vocabulary: Vocabulary) -> dict[str, npt.NDArray[Any]]:
    """Look every id up once, so that no epoch has to do it again."""
    return {
        "user": vocabulary.user_rows(ratings["user_id"]),
        "title": vocabulary.title_rows(ratings["title"]),
        "rating": ratings["rating"].to_numpy().astype(np.float32),
        "timestamp": ratings["timestamp"].to_numpy().astype(np.int64),
    }


def encode_in_turn(parts: Sequence[pl.DataFrame], vocabulary: Vocabulary) -> dict[str, npt.NDArray[Any]]:
    """The rows of several parts, one after the other, with their `owner`."""
    together = pl.concat(parts)
    return {**encode(together, vocabulary), "owner": together["user_id"].rank("dense").to_numpy().astype(np.int32)}


def count_rows(columns: Columns) -> int:
    """How many rows the columns have."""
    return columns.rows if isinstance(columns, StoredColumns) else len(next(iter(columns.values())))


def take(columns: Columns, start: int, stop: int) -> dict[str, npt.NDArray[Any]]:
    """The rows from `start` to before `stop`, in memory."""
    if isinstance(columns, StoredColumns):
        return columns.take(start, stop)
    return {name: column[start:stop] for name, column in columns.items()}


def batches(columns: Columns, size: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The rows in their order, `size` at a time; the last batch may be smaller."""
    for start in range(0, count_rows(columns), size):
        yield take(columns, start, start + size)


def parts(columns: Columns, *names: str) -> Iterator[Columns]:
    """The rows in their order, as many at a time as memory should hold: all of them where they are there already.

    With `names`, only these columns.
    """
    if not isinstance(columns, StoredColumns):
        yield columns
        return
    for start in range(0, columns.rows, BUFFER):
        yield {name: columns.read(name, start, start + BUFFER) for name in names or columns}


def whole_parts(columns: Columns, of: str) -> Iterator[Columns]:
    """The rows in parts that have all rows of some users or titles, as the column `of` has them.

    One part where the rows are in memory; those on disk come in the order of `StoredColumns.shards`.
    """
    yield from columns.shards(of) if isinstance(columns, StoredColumns) else [columns]


def where(columns: Columns, chosen: Callable[[Columns], npt.NDArray[np.bool_]]) -> dict[str, npt.NDArray[Any]]:
    """The rows that `chosen` says of some at a time, in memory."""
    found = [
        {name: column[rows] for name, column in part.items()} for part in parts(columns) for rows in [chosen(part)]
    ]
    return {name: np.concatenate([each[name] for each in found]) for name in columns}


def pieces(columns: Columns, name: str) -> Iterator[npt.NDArray[Any]]:
    """The values of a column in their order, as many at a time."""
    if not isinstance(columns, StoredColumns):
        yield columns[name]
        return
    for start in range(0, columns.rows, BUFFER):
        yield columns.read(name, start, start + BUFFER)


def mean(columns: Columns, name: str) -> float:
    """The mean of a column."""
    if isinstance(columns, StoredColumns):
        return sum(float(np.sum(piece, dtype=np.float64)) for piece in pieces(columns, name)) / columns.rows
    return float(np.mean(columns[name]))


def latest(columns: Columns) -> int:
    """When the last rating was given, in seconds since 1970."""
    return max(int(piece.max()) for piece in pieces(columns, "timestamp"))


def later(columns: Columns, moment: int) -> Columns:
    """The rows after a moment, in seconds since 1970; those of `StoredColumns` lie on disk as well."""

    def after(part: Columns) -> dict[str, npt.NDArray[Any]]:
        new = part["timestamp"] > moment
        return {name: column[new] for name, column in part.items()}

    if isinstance(columns, StoredColumns):
        return StoredColumns.write(columns.folder / "later", map(after, parts(columns)))
    return after(columns)


def epoch_rows(columns: Columns, *, seed: int, epoch: int, hide: Mapping[str, float]) -> dict[str, npt.NDArray[Any]]:
    """The training rows of one epoch: shuffled, with a share of the ids in some columns hidden.

    What is random depends on `seed` and `epoch` only, so that training can continue after any epoch as if it had
    never stopped. Hiding, by column name in `hide`, teaches the row of unknown ids what is true of them on average.
    """
    return _mixed(columns, hide, np.random.default_rng((seed, epoch)))


def epoch_parts(
    columns: Columns, *, seed: int, epoch: int, hide: Mapping[str, float], size: int, whole: str | None = None
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The same, as many rows at a time as memory should hold.

    All parts but the last are whole batches of `size`; or they have all rows of some users or titles, where `whole`
    names their column.
    """
    random = np.random.default_rng((seed, epoch))
    if not isinstance(columns, StoredColumns):
        yield _mixed(columns, hide, random)
        return
    if whole:
        shards = columns.shards(whole)
        for number in random.permutation(len(shards)):
            yield _mixed(shards[number], hide, random)
        return
    rest = columns.take(0, 0)
    for part in columns.shuffled(random, max(BUFFER, size)):
        rows = {name: np.concatenate([rest[name], column]) for name, column in part.items()}
        full = count_rows(rows) // size * size
        rest = take(rows, full, count_rows(rows))
        if full:
            yield _hidden(take(rows, 0, full), hide, random)
    if count_rows(rest):
        yield _hidden(rest, hide, random)


def _mixed(columns: Columns, hide: Mapping[str, float], random: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    order = random.permutation(count_rows(columns))
    return _hidden({name: column[order] for name, column in columns.items()}, hide, random)


def _hidden(
    rows: dict[str, npt.NDArray[Any]], hide: Mapping[str, float], random: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    for name, share in hide.items():
        hidden = random.random(count_rows(rows), dtype=np.float32) < share
        rows[name] = np.where(hidden, np.int32(OOV_ROW), rows[name])
    return rows


def digest(columns: Columns) -> str:
    """A fingerprint of the rows, in their order: SHA-256 in hexadecimal."""
    sha = hashlib.sha256()
    for name, none in sorted(take(columns, 0, 0).items()):
        sha.update(f"{name}:{none.dtype}:{count_rows(columns)};".encode())
        for piece in pieces(columns, name):
            sha.update(np.ascontiguousarray(piece).data)
    return sha.hexdigest()
