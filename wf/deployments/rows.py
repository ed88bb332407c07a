"""Requests for ratings as they come: CSV with a header, JSON, or lines of the raw stream. One reader for all of them.

Ids stay text and are looked up inside the model, as in training: nothing is transformed here but times.
"""

import base64
import csv
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from wf.errors import InvalidWorkflow, Problem

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("user_id", "user", "userid"),
    "movie": ("movie_title", "movie", "title", "item", "item_id", "movie_id", "movieid"),
    "timestamp": ("timestamp", "time", "date"),
}
"""What a column, a key or an input of a model may be called, in lower case."""

_SEPARATORS = (",", ";", "\t", "|")
_MILLISECONDS_FROM = 100_000_000_000  # as seconds, this would be the year 5138


@dataclass(frozen=True, slots=True)
class Row:
    """A user and a movie to rate."""

    user: str
    movie: str
    timestamp: int | None = None
    """Seconds since 1970, or nothing for this moment."""


@dataclass(frozen=True, slots=True)
class Rated:
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


def meaning(name: str) -> str | None:
    """`user`, `movie` or `timestamp`, where a name means one of them."""
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    return next((kind for kind, names in NAMES.items() if plain in names), None)


def read_rows(content: bytes) -> list[Row]:
    """Read rows in whichever of the three forms they have.

    Raises:
        InvalidWorkflow: with the first line that cannot be read.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _unreadable(line, "it is not UTF-8 text") from None
    if text.lstrip()[:1] in ("[", "{"):
        return _json_rows(text)
    for separator in _SEPARATORS:
        if _is_header(next(csv.reader([text.lstrip().partition("\n")[0].rstrip("\r")], delimiter=separator), [])):
            return _csv_rows(_cut(text, separator))
    return [_stream_row(fields, number) for number, fields in enumerate(_cut(text, ","), 1)]


def read_time(text: str) -> int:
    """Seconds since 1970, from whole seconds, milliseconds or an ISO 8601 date; raises `ValueError`."""
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return int(number / 1000 if number >= _MILLISECONDS_FROM else number)


def _cut(text: str, separator: str) -> list[list[str]]:
    return [fields for fields in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if fields]


def _is_header(fields: list[str]) -> bool:
    return {"user", "movie"} <= {meaning(name) for name in fields}


def _csv_rows(lines: list[list[str]]) -> list[Row]:
    places = {kind: place for place, name in enumerate(lines[0]) if (kind := meaning(name))}
    return [
        _row({kind: fields[place] for kind, place in places.items() if place < len(fields)}, number)
        for number, fields in enumerate(lines[1:], 2)
    ]


def _stream_row(fields: list[str], number: int) -> Row:
    """`timestamp,user,movie,rating`, where `+` and `%XX` stand for other characters, as training reads such a log.

    The rating may be missing, since it is what is asked for. A movie may have commas of its own.
    """
    if len(fields) < 3:
        raise _unreadable(number, "a line is `timestamp,user,movie`, or the first one names the columns")
    movie = fields[2:-1] if len(fields) > 3 and _is_number(fields[-1]) else fields[2:]
    return _row({"timestamp": fields[0], "user": fields[1], "movie": unquote_plus(",".join(movie)).strip()}, number)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _json_rows(text: str) -> list[Row]:
    try:
        data = json.loads(text)
    except ValueError:
        try:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise InvalidWorkflow([Problem(f"the rows are not valid JSON: {error}")]) from None
    if isinstance(data, dict):
        data = data.get("instances", [data])
    rows = []
    for number, each in enumerate(data, 1):
        if not isinstance(each, dict):
            raise _unreadable(number, "a row is an object with a user and a movie")
        rows.append(_row({kind: value for name, value in each.items() if (kind := meaning(name))}, number))
    return rows


def _row(values: Mapping[str, Any], number: int) -> Row:
    missing = [kind for kind in ("user", "movie") if values.get(kind) is None]
    if missing:
        raise _unreadable(number, f"it has no {' and no '.join(missing)}")
    moment = values.get("timestamp")
    try:
        timestamp = None if moment in (None, "") else read_time(str(moment))
    except (ValueError, OverflowError):
        raise _unreadable(number, f"`{moment}` is no time") from None
    return Row(_text(values["user"], number), _text(values["movie"], number), timestamp)


def _text(value: object, number: int) -> str:
    """An id or a title as text: a number as it is written, bytes as TensorFlow Serving's API writes them."""
    if isinstance(value, dict) and list(value) == ["b64"]:
        try:
            return base64.b64decode(value["b64"], validate=True).decode()
        except (ValueError, TypeError):
            raise _unreadable(number, f"`{value['b64']}` is no UTF-8 text in base64") from None
    if isinstance(value, dict | list | bool | float):
        raise _unreadable(number, f"`{json.dumps(value)}` is neither text nor a whole number")
    return str(value)


def _unreadable(number: int, why: str) -> InvalidWorkflow:
    return InvalidWorkflow([Problem(f"row {number} cannot be read: {why}")])
