"""Rows that have something in common: whose ratings they are, and of what."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from steps.recommender.data import Columns, Split
from steps.recommender.profiles import AGE_NAMES, age_groups
from steps.recommender.vocabulary import OOV_ROW

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


def slices(split: Split, part: pl.DataFrame, train: Columns, columns: Columns) -> list[Slice]:
    """All slices of the rows of `part`, which `columns` and `train` have by vocabulary rows; empty ones too."""
    return [
        *_by_warmth(columns),
        *_by_count("user's training ratings", train["user"], columns["user"], USER_RATINGS),
        *_by_count("title's training ratings", train["title"], columns["title"], TITLE_RATINGS),
        *_by_profile(split.users, part),
        *_by_genre(split.items, part),
    ]


def _by_warmth(columns: Columns) -> Iterator[Slice]:
    user, title = columns["user"] != OOV_ROW, columns["title"] != OOV_ROW
    yield Slice(WARMTH, "known user, known title", user & title)
    yield Slice(WARMTH, "new user, known title", ~user & title)
    yield Slice(WARMTH, "known user, new title", user & ~title)
    yield Slice(WARMTH, "new user, new title", ~user & ~title)


def _by_count(
    dimension: str, trained: npt.NDArray[Any], rows: npt.NDArray[Any], starts: Sequence[int]
) -> Iterator[Slice]:
    counts = np.bincount(trained, minlength=int(rows.max(initial=0)) + 1)
    counts[OOV_ROW] = 0
    count = counts[rows]
    yield Slice(dimension, "none", count == 0)
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        if stop is None:
            yield Slice(dimension, f"{start} and more", count >= start)
        else:
            yield Slice(dimension, f"{start} to {stop - 1}", (count >= start) & (count < stop))


def _by_profile(users: pl.DataFrame | None, part: pl.DataFrame) -> Iterator[Slice]:
    if users is None:
        return
    known = users.unique("user_id", keep="first")
    known = known.with_columns(age=age_groups(known["age"]))
    rows = part.select("user_id").join(known, on="user_id", how="left", maintain_order="left")
    for dimension in ("gender", "age", "occupation"):
        found = rows[dimension].drop_nulls().unique()
        names = [name for name in AGE_NAMES if name in found] if dimension == "age" else sorted(found)
        for name in names:
            yield Slice(dimension, name or "not said", (rows[dimension] == name).fill_null(value=False).to_numpy())


def _by_genre(items: pl.DataFrame | None, part: pl.DataFrame) -> Iterator[Slice]:
    if items is None:
        return
    known = items.unique("item_id", keep="first").select("item_id", "genres")
    genres = part.select("item_id").join(known, on="item_id", how="left", maintain_order="left")["genres"]
    for genre in sorted(genres.explode().drop_nulls().unique()):
        yield Slice("genre", genre, genres.list.contains(genre).fill_null(value=False).to_numpy())
