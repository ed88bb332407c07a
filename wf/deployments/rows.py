"""Rows of requests, read as the project reads its training data: by the module `steps/raw_rows.py` of the project."""

import math
from pathlib import Path

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
