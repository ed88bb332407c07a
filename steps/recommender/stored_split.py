"""A split whose rows lie on disk, side by side by user, so that it can be judged where memory does not hold it.

Memory holds what is known of each user, title and item, and the rows of some users at a time: a shard, which has all
rows of its users, of every part. What needs a user's earlier ratings is so computed shard by shard.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from steps.recommender import data
from steps.recommender.data import SplitDescription
from steps.recommender.profiles import Profiles
from steps.recommender.stored_columns import LookedUp, StoredColumns, shards_of
from steps.recommender.vocabulary import Vocabulary

_IDS: Final = {"owner": "user_id", "name": "title", "item": "item_id"}

Rows = Mapping[str, npt.NDArray[Any]]
Counts = npt.NDArray[np.int64]
Shard = Mapping[str, Rows]
"""All rows of some users, by part of the split, with the columns of `StoredSplit.parts`; a part may have none."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The embedding rows of a vocabulary, `user` and `title`, and perhaps of profiles, by a split's own places."""

    tables: Mapping[str, tuple[str, npt.NDArray[Any]]]

    def columns(self, stored: StoredColumns) -> LookedUp:
        """A part of the split with these columns as well."""
        return LookedUp(stored, self.tables)

    def rows(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Rows in memory with these columns as well."""
        return {**rows, **{name: table[rows[of]] for name, (of, table) in self.tables.items()}}


@dataclass(frozen=True, slots=True)
class StoredSplit:
    """The parts of a split that have rows, in the order of `data.PARTS`."""

    folder: Path
    """Where the split lies as the step `split` wrote it."""
    about: SplitDescription
    owners: pl.Series
    """The users of all parts, sorted."""
    names: pl.Series
    """The titles of all parts, sorted."""
    items: pl.Series
    """The items' ids of all parts, sorted."""
    vocabulary: Vocabulary
    """The users and titles of the training rows."""
    parts: Mapping[str, StoredColumns]
    """`owner`, `name` and `item`: the places of the user, title and item among the above, int32; `rating`, `timestamp`;
    and `place`: which row of the part's file it is. The rows of a shard lie side by side, in the order of the file."""
    ends: Mapping[str, Counts]
    """Where the shards of each part begin, and where the last one ends, [shards + 1]."""
    ratings: Mapping[str, Counts]
    """How many ratings of each part are a user's, [owners]."""
    title_ratings: Counts
    """How many training ratings are a title's, [names]."""

    @property
    def judged_on(self) -> str:
        """The last part."""
        return list(self.parts)[-1]

    @property
    def chosen_on(self) -> str:
        """The part by which choices are made."""
        return "validation" if "validation" in self.parts else "train"

    def encoding(self, vocabulary: Vocabulary, profiles: Profiles | None = None) -> Encoding:
        """That of a vocabulary, and of profiles where the split knows its users."""
        tables = {
            "user": ("owner", vocabulary.user_rows(self.owners)),
            "title": ("name", vocabulary.title_rows(self.names)),
        }
        if profiles is not None and self.about.users is not None:
            tables["profile"] = ("owner", profiles.rows(self.about.users, self.owners))
        return Encoding(tables)

    def shards(self, *parts: str) -> Iterator[Shard]:
        """The rows shard by shard, of these parts or of all."""
        for number in range(len(self.ends["train"]) - 1):
            yield {
                name: self.parts[name].take(*(int(end) for end in self.ends[name][number : number + 2]))
                for name in parts or self.parts
            }

    def of_owners(self, chosen: npt.NDArray[np.bool_]) -> Shard:
        """All rows of the users who are `chosen`, [owners]."""
        return {part: data.where(stored, lambda rows: chosen[rows["owner"]]) for part, stored in self.parts.items()}

    def at(self, part: str, places: npt.NDArray[np.int64]) -> Rows:
        """The rows at some places of a part's file, in the order of the file."""
        found = data.where(self.parts[part], lambda rows: np.isin(rows["place"], places))
        order = np.argsort(found["place"])
        return {name: column[order] for name, column in found.items()}


def together(shard: Shard) -> dict[str, npt.NDArray[Any]]:
    """The rows of all parts, one part after the other."""
    parts = list(shard.values())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def parted(values: npt.NDArray[Any], shard: Shard) -> dict[str, npt.NDArray[Any]]:
    """What was said of each row of `together`, by part."""
    ends = np.cumsum([data.count_rows(part) for part in shard.values()])[:-1]
    return dict(zip(shard, np.split(values, ends), strict=True))


def store_split(folder: Path, scratch: Path) -> StoredSplit:
    """Read a folder in the format `split`, some rows at a time, and write them to `scratch`.

    Raises:
        StepError: the folder is no split, or has nothing to learn from.
    """
    about = data.describe_split(folder)
    parts = [part for part in data.PARTS if about.rows[part]]
    counted = {name: {part: _count(folder, part, column) for part in parts} for name, column in _IDS.items()}
    ids = {name: pl.concat([found["id"] for found in by.values()]).unique().sort() for name, by in counted.items()}
    ratings = {part: _of_each(ids["owner"], found) for part, found in counted["owner"].items()}
    shard_of, ends = in_shards(ratings)
    kinds = {name: pl.Enum(known) for name, known in ids.items()}

    def group(rows: Rows) -> Counts:
        found: Counts = shard_of[rows["owner"]]
        return found

    return StoredSplit(
        folder=folder,
        about=about,
        owners=ids["owner"],
        names=ids["name"],
        items=ids["item"],
        vocabulary=Vocabulary(*(tuple(counted[name]["train"]["id"].sort()) for name in ("owner", "name"))),
        parts={
            part: StoredColumns.write_grouped(
                scratch / part, _coded(data.frames(folder, about, part), kinds), group, ends[part]
            )
            for part in parts
        },
        ends=ends,
        ratings=ratings,
        title_ratings=_of_each(ids["name"], counted["name"]["train"]),
    )


def in_shards(ratings: Mapping[str, Counts]) -> tuple[Counts, dict[str, Counts]]:
    """In which shard each owner is, and `StoredSplit.ends`, of owners with so many ratings in each part."""
    counts = np.sum(list(ratings.values()), axis=0)
    shard_of = shards_of(counts, np.arange(len(counts)))
    ends = {
        part: np.concatenate([[0], np.cumsum(np.bincount(shard_of, each))]).astype(np.int64)
        for part, each in ratings.items()
    }
    return shard_of, ends


def _count(folder: Path, part: str, column: str) -> pl.DataFrame:
    """How many rows of a part have each value of a column: `id` and `count`."""
    rows = pl.scan_parquet(folder / f"{part}.parquet").group_by(id=column).agg(count=pl.len())
    return rows.collect(engine="streaming")


def _of_each(ids: pl.Series, counted: pl.DataFrame) -> Counts:
    """The count of each of `ids`; 0 where there is none."""
    found = pl.DataFrame({"id": ids}).join(counted, on="id", how="left", maintain_order="left")
    counts: Counts = found["count"].fill_null(0).to_numpy().astype(np.int64)
    return counts


def _coded(frames: Iterator[pl.DataFrame], kinds: Mapping[str, pl.Enum]) -> Iterator[Rows]:
    start = 0
    for rows in frames:
        codes = {name: rows[_IDS[name]].cast(kind).to_physical().to_numpy() for name, kind in kinds.items()}
        yield {
            **{name: each.astype(np.int32) for name, each in codes.items()},
            "rating": rows["rating"].to_numpy().astype(np.float32),
            "timestamp": rows["timestamp"].to_numpy().astype(np.int64),
            "place": np.arange(start, start + len(rows)),
        }
        start += len(rows)
