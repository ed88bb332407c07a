"""What is known of people beyond their ids: gender, age and occupation.

Each combination is a profile, with a row of its own, so that a single number comes along with each rating. Somebody
whom training has not seen may have a profile all the same. Of whom only a part is said is the average of those of whom
that is true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from steps.recommender import data
from steps.recommender.vocabulary import Rows, Vocabulary

Values = npt.NDArray[np.float32]

AGES: Final = (18, 25, 35, 45, 50, 56)
"""Where the age groups begin after the first, as MovieLens 1M has them."""
AGE_NAMES: Final = ("under 18", "18 to 24", "25 to 34", "35 to 44", "45 to 49", "50 to 55", "56 and older")


def age_groups(ages: pl.Series) -> pl.Series:
    """The name in `AGE_NAMES` of each age in years, and null for null."""
    names = pl.Series(np.array(AGE_NAMES)[np.searchsorted(AGES, ages.fill_null(0).to_numpy(), side="right")])
    return pl.select(pl.when(ages.is_not_null()).then(names)).to_series()


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles that occur, and who has which; row 0 is that of people of whom nothing is known.

    After them come rows for each part of what they say, in which the rest is an average.
    """

    names: tuple[str, ...]
    """What a profile may say, such as `gender: F`."""
    values: Values
    """The share of the people in a row of whom it is true, [rows, names]: 0 or 1 in the profiles."""
    said: Values
    """Whether it has to be said of somebody to be in the row, 0 or 1, [rows, names]."""
    of_users: Rows
    """The profile of each user of the vocabulary, int32 [users + 1]."""

    @classmethod
    def of(cls, users: pl.DataFrame, vocabulary: Vocabulary) -> "Profiles":
        """The profiles of the vocabulary's users."""
        known = pl.DataFrame({"user_id": vocabulary.users}, schema={"user_id": pl.String})
        said = _sayings(users, known["user_id"])
        distinct = said.unique(maintain_order=True).filter(pl.any_horizontal(pl.all().is_not_null()))
        names = tuple(sorted({name for column in distinct for name in column.drop_nulls()}))
        values = np.zeros((len(distinct) + 1, len(names)), np.float32)
        for column in distinct:
            for row, name in enumerate(column, start=1):
                if name is not None:
                    values[row, names.index(name)] = 1.0
        found = _look_up(said, distinct, range(1, len(distinct) + 1))
        of_users = np.concatenate([[0], found]).astype(np.int32)
        averages, said_of_them = _averages(values, np.bincount(of_users[1:], minlength=len(values)))
        return cls(names, np.concatenate([values, averages]), np.concatenate([values, said_of_them]), of_users)

    def rows(self, users: pl.DataFrame, user_ids: pl.Series) -> Rows:
        """The profile of each of `user_ids`, int32 [rows], by what `users` says of them.

        Of whom as much is said as of anybody, but what is true of no user of the vocabulary, gets the profile that
        agrees in most; of whom less is said, the average of those who agree.
        """
        said = _sayings(users, user_ids)
        distinct = said.unique(maintain_order=True)
        nearest = [self._nearest([name for name in row if name in self.names]) for row in distinct.iter_rows()]
        return _look_up(said, distinct, nearest)

    def _nearest(self, said: list[str]) -> int:
        if not said:
            return 0
        candidates = self.said if len(said) < self.most_said else self.said[: self.profiles]
        return int(np.argmin(np.abs(candidates - np.isin(self.names, said)).sum(axis=1)))

    @property
    def profiles(self) -> int:
        """How many of the rows, the first ones, are profiles."""
        return int(self.of_users.max()) + 1

    @property
    def most_said(self) -> int:
        """How much is said of those of whom most is known."""
        return int(self.said.sum(axis=1).max(initial=0))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as arrays that `from_arrays` takes back."""
        tables = {"values": self.values, "said": self.said, "of_users": self.of_users}
        return {"names": np.array(self.names, np.str_), **tables}

    @classmethod
    def from_arrays(cls, arrays: "dict[str, npt.NDArray[Any]]") -> "Profiles":
        """The profiles that `arrays` describes."""
        names = tuple(str(name) for name in arrays["names"])
        # Models of earlier versions have profiles only.
        return cls(names, arrays["values"], arrays.get("said", arrays["values"]), arrays["of_users"])


def _averages(values: Values, people: npt.NDArray[np.int64]) -> tuple[Values, Values]:
    """For each part of what a profile says that is no profile itself: the average of those who agree, and what is said.

    `people` is how many have each of the profiles.
    """
    known = {tuple(np.flatnonzero(row)) for row in values}
    parts = {part for row in known for size in range(1, len(row)) for part in combinations(row, size)} - known
    averages = np.zeros((len(parts), values.shape[1]), np.float32)
    said = np.zeros_like(averages)
    for row, part in enumerate(sorted(parts)):
        said[row, list(part)] = 1.0
        averages[row] = np.average(values, axis=0, weights=people * values[:, list(part)].all(axis=1))
    return averages, said


def encode(
    part: pl.DataFrame, vocabulary: Vocabulary, profiles: Profiles | None, users: pl.DataFrame | None
) -> dict[str, npt.NDArray[Any]]:
    """`data.encode` of a part, with the column `profile` where both are there that it is made of."""
    columns = data.encode(part, vocabulary)
    if profiles is None or users is None:
        return columns
    return {**columns, "profile": profiles.rows(users, part["user_id"])}


def _sayings(users: pl.DataFrame, user_ids: pl.Series) -> pl.DataFrame:
    """`gender`, `age` and `occupation` of each of `user_ids`, as names or null."""
    known = users.unique("user_id", keep="first").select(
        "user_id",
        gender=_named("gender", pl.col("gender")),
        age=_named("age", pl.col("age").map_batches(age_groups, return_dtype=pl.String)),
        occupation=_named("occupation", pl.col("occupation")),
    )
    rows = pl.DataFrame({"user_id": user_ids}).join(known, on="user_id", how="left", maintain_order="left")
    return rows.drop("user_id")


def _look_up(said: pl.DataFrame, distinct: pl.DataFrame, rows: Sequence[int]) -> Rows:
    """The row that belongs to what is said of each, int32; 0 where it is not among the `distinct` sayings."""
    table = distinct.with_columns(row=pl.Series(rows, dtype=pl.Int32))
    found = said.join(table, on=said.columns, how="left", nulls_equal=True, maintain_order="left")
    return found["row"].fill_null(0).to_numpy().astype(np.int32)


def _named(what: str, value: pl.Expr) -> pl.Expr:
    return pl.when(value.is_not_null() & (value.cast(pl.String) != "")).then(pl.format(what + ": {}", value))
