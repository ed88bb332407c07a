"""What is known of people beyond their ids: gender, age and occupation.

Each combination is a profile, with a row of its own, so that a single number comes along with each rating. Somebody
whom training has not seen may have a profile all the same.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from steps.recommender import data
from steps.recommender.vocabulary import Rows, Vocabulary

AGES: Final = (18, 25, 35, 45, 50, 56)
"""Where the age groups begin after the first, as MovieLens 1M has them."""
AGE_NAMES: Final = ("under 18", "18 to 24", "25 to 34", "35 to 44", "45 to 49", "50 to 55", "56 and older")


def age_groups(ages: pl.Series) -> pl.Series:
    """The name in `AGE_NAMES` of each age in years, and null for null."""
    names = pl.Series(np.array(AGE_NAMES)[np.searchsorted(AGES, ages.fill_null(0).to_numpy(), side="right")])
    return pl.select(pl.when(ages.is_not_null()).then(names)).to_series()


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles that occur, and who has which; row 0 is that of people of whom nothing is known."""

    names: tuple[str, ...]
    """What a profile may say, such as `gender: F`."""
    values: npt.NDArray[np.float32]
    """Whether it says so, 0 or 1, [profiles + 1, names]."""
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
        profiles = cls(names, values, np.zeros(len(vocabulary.users) + 1, np.int32))
        return cls(names, values, np.concatenate([[0], profiles.rows(users, known["user_id"])]).astype(np.int32))

    def rows(self, users: pl.DataFrame, user_ids: pl.Series) -> Rows:
        """The profile of each of `user_ids`, int32 [rows], by what `users` says of them.

        Who has a profile that no user of the vocabulary has gets the one that agrees in most.
        """
        said = _sayings(users, user_ids)
        distinct = said.unique(maintain_order=True)
        nearest = [self._nearest([name for name in row if name in self.names]) for row in distinct.iter_rows()]
        table = distinct.with_columns(row=pl.Series(nearest, dtype=pl.Int32))
        found = said.join(table, on=said.columns, how="left", nulls_equal=True, maintain_order="left")
        return found["row"].to_numpy().astype(np.int32)

    def _nearest(self, said: list[str]) -> int:
        if not said:
            return 0
        wanted = np.isin(self.names, said).astype(np.float32)
        return int(np.argmin(np.abs(self.values - wanted).sum(axis=1)))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as arrays that `from_arrays` takes back."""
        return {"names": np.array(self.names, np.str_), "values": self.values, "of_users": self.of_users}

    @classmethod
    def from_arrays(cls, arrays: "dict[str, npt.NDArray[Any]]") -> "Profiles":
        """The profiles that `arrays` describes."""
        return cls(tuple(str(name) for name in arrays["names"]), arrays["values"], arrays["of_users"])


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


def _named(what: str, value: pl.Expr) -> pl.Expr:
    return pl.when(value.is_not_null() & (value.cast(pl.String) != "")).then(pl.format(what + ": {}", value))
