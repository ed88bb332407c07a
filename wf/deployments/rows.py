"""Rows of requests, read as the project reads its training data: by the module `steps/raw_rows.py` of the project."""

import math
from pathlib import Path
from typing import Final

from msgspec import Struct

from wf.actions.step import load_module
from wf.errors import InvalidWorkflow, Problem


class Row(Struct, frozen=True):
    """A user and a movie to rate."""

    user: str
    movie: str
    timestamp: int | None = None
    """Seconds since 1970, or nothing for this moment."""


class Rated(Struct, frozen=True):
    """A movie that a user has rated."""

    movie: str
    rating: float


class Described(Struct, frozen=True):
    """What is known of a user beside what the user has rated, as the model's training data has it."""

    age: int = 0
    """In years; 0 where it is not known."""
    gender: str = ""
    occupation: str = ""

    def __bool__(self) -> bool:
        return bool(self.age or self.gender or self.occupation)

    def inputs(self, rows: int) -> dict[str, list[int] | list[str]]:
        """The inputs of signatures that can be told, for so many rows."""
        return {"age": [self.age] * rows, "gender": [self.gender] * rows, "occupation": [self.occupation] * rows}


UNDESCRIBED: Final = Described()
"""Of whom nothing is known."""


def read_rated(text: str) -> Rated:
    """Read `TITLE=RATING`, where the title may have a `=` of its own; raises `ValueError`."""
    movie, _, number = text.rpartition("=")
    rating = float(number)
    if not movie.strip() or not math.isfinite(rating):
        raise ValueError(text)
    return Rated(movie.strip(), rating)


def read_rows(root: Path, content: bytes) -> list[Row]:
    """Read rows as CSV, JSON or lines of the raw stream.

    Raises:
        InvalidWorkflow: with the first row that cannot be read.
        EnvironmentProblem: the project at `root` has no such module.
    """
    try:
        return [Row(*row) for row in load_module(root, "raw_rows").read_rows(content)]
    except ValueError as error:
        raise InvalidWorkflow([Problem(str(error))]) from None
