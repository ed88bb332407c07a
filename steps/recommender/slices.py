"""Rows that have something in common: whose ratings they are, and of what."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from steps.recommender.profiles import AGE_NAMES, age_groups
from steps.recommender.stored_split import Rows, StoredSplit

USER_RATINGS: Final = (1, 20, 100)
"""Where the groups of users by their number of training ratings begin, after those who have none."""
TITLE_RATINGS: Final = (1, 10, 100)
"""The same for titles."""
WARMTH: Final = "known or new"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of a part; those of one dimension may overlap, as genres do."""

    dimension: str
    name: str
    rows: Mask


def slices(split: StoredSplit, rows: Rows) -> Iterator[Slice]:
    """All slices of `rows` of the part judged on, which have `owner`, `name` and `item`; empty ones too."""
    of_user, of_title = split.ratings["train"][rows["owner"]], split.title_ratings[rows["name"]]
    yield from _by_warmth(of_user > 0, of_title > 0)
    yield from _by_count("user's training ratings", of_user, USER_RATINGS)
    yield from _by_count("title's training ratings", of_title, TITLE_RATINGS)
    if split.about.users is not None:
        yield from _by_profile(split.about.users, split.owners, rows["owner"])
    if split.about.items is not None:
        yield from _by_genre(split.about.items, split.items, rows["item"])


def _by_warmth(user: Mask, title: Mask) -> Iterator[Slice]:
    yield Slice(WARMTH, "known user, known title", user & title)
    yield Slice(WARMTH, "new user, known title", ~user & title)
    yield Slice(WARMTH, "known user, new title", user & ~title)
    yield Slice(WARMTH, "new user, new title", ~user & ~title)


def _by_count(dimension: str, count: npt.NDArray[Any], starts: Sequence[int]) -> Iterator[Slice]:
    yield Slice(dimension, "none", count == 0)
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        if stop is None:
            yield Slice(dimension, f"{start} and more", count >= start)
        else:
            yield Slice(dimension, f"{start} to {stop - 1}", (count >= start) & (count < stop))


def _by_profile(users: pl.DataFrame, owners: pl.Series, owner: npt.NDArray[Any]) -> Iterator[Slice]:
    known = users.unique("user_id", keep="first")
    known = known.with_columns(age=age_groups(known["age"]))
    people = pl.DataFrame({"user_id": owners}).join(known, on="user_id", how="left", maintain_order="left")
    there = np.unique(owner)
    for dimension in ("gender", "age", "occupation"):
        found = people[dimension][there].drop_nulls().unique()
        names = [name for name in AGE_NAMES if name in found] if dimension == "age" else sorted(found)
        for name in names:
            of_people = (people[dimension] == name).fill_null(value=False).to_numpy()
            yield Slice(dimension, name or "not said", of_people[owner])


def _by_genre(items: pl.DataFrame, ids: pl.Series, item: npt.NDArray[Any]) -> Iterator[Slice]:
    known = items.unique("item_id", keep="first").select("item_id", "genres")
    genres = pl.DataFrame({"item_id": ids}).join(known, on="item_id", how="left", maintain_order="left")["genres"]
    for genre in sorted(genres[np.unique(item)].explode().drop_nulls().unique()):
        yield Slice("genre", genre, genres.list.contains(genre).fill_null(value=False).to_numpy()[item])
