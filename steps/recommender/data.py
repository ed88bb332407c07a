"""Split ratings, from Parquet to the batches that models eat."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from steps.entry import StepError
from steps.recommender.vocabulary import OOV_ROW, Vocabulary

Columns = Mapping[str, npt.NDArray[Any]]
"""Equally long columns by name: `user` and `title` are embedding rows (int32), `rating` is float32, `timestamp` int64
seconds since 1970. Where they are there, `owner` tells apart users whom the vocabulary does not know, and `profile`
says what is known of them (both int32)."""

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

    def parts(self) -> dict[str, pl.DataFrame]:
        """The parts that have rows, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if len(part)}


def read_split(folder: Path) -> Split:
    """Read a folder in the format `split`.

    Raises:
        StepError: it is not such a folder, or has nothing to learn from.
    """
    require_files(folder, ["dataset.json", *(f"{part}.parquet" for part in PARTS)], made_by="split")
    description = json.loads((folder / "dataset.json").read_text())
    scale = RatingScale(float(description["rating_min"]), float(description["rating_max"]))
    if not scale.minimum < scale.maximum:
        raise StepError(f"ratings from {scale.minimum} to {scale.maximum} leave nothing to predict: check dataset.json")
    frames = {part: pl.read_parquet(folder / f"{part}.parquet", columns=list(RATING_COLUMNS)) for part in PARTS}
    if not len(frames["train"]):
        raise StepError("the split has no training rows: check the split's parameters in the workflow")
    return Split(
        **frames,
        scale=scale,
        dataset=str(description.get("name", "ratings")),
        items=_read_if_there(folder / "items.parquet"),
        users=_read_if_there(folder / "users.parquet"),
    )


def require_validation(split: Split) -> None:
    """Raises StepError where nothing could be chosen by."""
    if not len(split.validation):
        raise StepError(
            "the split has no validation rows, by which the best epoch is chosen: "
            "change the split's parameters so that it has some"
        )


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
    return len(next(iter(columns.values())))


def batches(columns: Columns, size: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The rows in their order, `size` at a time; the last batch may be smaller."""
    for start in range(0, count_rows(columns), size):
        yield {name: column[start : start + size] for name, column in columns.items()}


def epoch_rows(columns: Columns, *, seed: int, epoch: int, hide: Mapping[str, float]) -> dict[str, npt.NDArray[Any]]:
    """The training rows of one epoch: shuffled, with a share of the ids in some columns hidden.

    What is random depends on `seed` and `epoch` only, so that training can continue after any epoch as if it had
    never stopped. Hiding, by column name in `hide`, teaches the row of unknown ids what is true of them on average.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(count_rows(columns))
    rows = {name: column[order] for name, column in columns.items()}
    for name, share in hide.items():
        hidden = random.random(len(order), dtype=np.float32) < share
        rows[name] = np.where(hidden, np.int32(OOV_ROW), rows[name])
    return rows


def digest(columns: Columns) -> str:
    """A fingerprint of the rows, in their order: SHA-256 in hexadecimal."""
    sha = hashlib.sha256()
    for name in sorted(columns):
        sha.update(f"{name}:{columns[name].dtype}:{len(columns[name])};".encode())
        sha.update(np.ascontiguousarray(columns[name]).data)
    return sha.hexdigest()
