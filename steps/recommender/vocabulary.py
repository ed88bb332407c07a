"""Ids and titles as rows of embedding tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

OOV_ROW: Final = 0
"""The row that stands for everything outside a vocabulary; known values have the rows 1, 2, ..."""

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The users and titles that a model knows, in the order of their embedding rows, of which the first is 1."""

    users: tuple[str, ...]
    titles: tuple[str, ...]

    @classmethod
    def of(cls, ratings: pl.DataFrame) -> "Vocabulary":
        """The users and titles that occur in `ratings`, each sorted."""
        return cls(
            users=tuple(ratings["user_id"].unique().sort()),
            titles=tuple(ratings["title"].unique().sort()),
        )

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote."""
        content = json.loads(path.read_text())
        return cls(users=tuple(content["users"]), titles=tuple(content["titles"]))

    def save(self, path: Path) -> None:
        """Write JSON with the lists `users` and `titles`, where the value at position i has row i + 1."""
        path.write_text(json.dumps({"users": self.users, "titles": self.titles}, ensure_ascii=False))

    def user_rows(self, users: pl.Series) -> Rows:
        """The row of each user, int32 [rows]; `OOV_ROW` for unknown ones."""
        return _rows(self.users, users)

    def title_rows(self, titles: pl.Series) -> Rows:
        """The row of each title, int32 [rows]; `OOV_ROW` for unknown ones."""
        return _rows(self.titles, titles)


def _rows(known: tuple[str, ...], values: pl.Series) -> Rows:
    table = pl.DataFrame(
        {"value": known, "row": np.arange(1, len(known) + 1, dtype=np.int32)},
        schema_overrides={"value": pl.String},
    )
    found = pl.DataFrame({"value": values}).join(table, on="value", how="left", maintain_order="left")
    return found["row"].fill_null(OOV_ROW).to_numpy()
