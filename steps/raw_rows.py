"""What raw rows of ratings mean, for training and for requests alike: columns, separators, the stream, times, titles.

`ingest` reads tables for training by these rules, in bulk; `wf predict` and the gate of a deployment read the rows of
requests with `read_rows`. Ids stay text and are looked up inside the model. Nothing but the standard library is needed.
"""

import base64
import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

FIELDS: Final = {
    "user_id": ("user_id", "userid", "user"),
    "item_id": ("item_id", "itemid", "item", "movie_id", "movieid", "movie"),
    "rating": ("rating", "user_rating", "stars", "score"),
    "timestamp": ("timestamp", "time", "datetime", "date"),
    "title": ("title", "movie_title"),
    "year": ("year", "release_year"),
    "genres": ("genres",),
}
"""Each field -> what a column, a key or an input of a model may be called: see `field_of`."""
SEPARATORS: Final = ("::", "\t", ",", ";", "|")
"""What may stand between fields; of those that fit equally well, the first."""
LOG: Final = {"timestamp": 0, "user_id": 1, "item_id": 2, "rating": 3}
"""The fields of a line of the stream such as `2021-12-16 14:52:44, 461360, the+muppet+movie+1979, 2`."""
UNIX_TIME: Final = r"^[+-]?[0-9]+(\.[0-9]*)?$"
ISO_TIME: Final = (
    r"^([1-9][0-9]{3})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:[T ]([0-9]{1,2}):([0-9]{1,2})(?::([0-5]?[0-9])(?:\.[0-9]{1,9})?(Z|[+-][01][0-9]:?[0-5][0-9])?)?)?$"
)
MILLISECONDS_FROM: Final = 100_000_000_000
"""As seconds, this would be the year 5138."""

Row = tuple[str, str, int | None]
"""User, title and seconds since 1970; no time stands for the moment of the request."""


class UnreadableRowError(ValueError):
    """The text says which row it is and why."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"row {number} cannot be read: {why}")


def field_of(name: str) -> str | None:
    """The field that a column of this name holds, however it is spelled: `userId`, `User ID`, `user-id`."""
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    return next((field for field, names in FIELDS.items() if plain in names), None)


def cut(line: str, separator: str, *, quotes: bool) -> list[str]:
    """The fields of a line; a separator of several characters knows no quotes."""
    if quotes and len(separator) == 1:
        return next(csv.reader([line], delimiter=separator), [])
    return line.split(separator)


def title_in_log(item: str) -> str:
    """The title that a line of the stream writes as in an address: `+` and `%XX` stand for other characters."""
    return unquote_plus(item).strip()


def seconds_of(text: str) -> int:
    """Seconds since 1970 in UTC, parts of a second cut off, from a number of seconds or a date as ISO 8601 writes it.

    The same as `steps.tables.seconds` for one text, but that a number so large that it can only be milliseconds is
    taken for some. Raises `ValueError`.
    """
    text = text.strip()
    if re.match(UNIX_TIME, text):
        number = float(text) if "." in text else int(text)
        return math.floor(number / 1000 if number >= MILLISECONDS_FROM else number)
    found = re.match(ISO_TIME, text)
    if not found:
        raise ValueError(text)
    *parts, offset = found.groups()
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    moment = int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    if offset and offset != "Z":
        moment -= int(f"{offset[0]}1") * (int(offset[1:3]) * 60 + int(offset[-2:])) * 60
    return moment


def read_rows(content: bytes) -> list[Row]:
    """The rows of a request: a table with a header, JSON, or lines of the stream with or without a rating.

    Raises:
        UnreadableRowError: at the first row that cannot be read.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableRowError(content[: error.start].count(b"\n") + 1, "it is not UTF-8 text") from None
    if text.lstrip()[:1] in ("[", "{"):
        return _json_rows(text)
    head = next((line for line in text.splitlines() if line.strip()), "")
    for separator in SEPARATORS:
        if places := _places(cut(head, separator, quotes=True)):
            return [_row({field: row[at] for field, at in places.items() if at < len(row)}, number)
                    for number, row in list(_lines(text, separator))[1:]]  # fmt: skip
    return [_stream_row(row, number) for number, row in _lines(text, ",")]


def _places(header: Sequence[str]) -> dict[str, int]:
    """Where the fields lie, if this is a header that names a user and what is rated."""
    places: dict[str, int] = {}
    for at, name in enumerate(header):
        if field := field_of(name):
            places.setdefault(field, at)
    return places if "user_id" in places and ("title" in places or "item_id" in places) else {}


def _lines(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """The fields of each row that is not blank, and its number among them, the header's being 1."""
    if len(separator) == 1:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    else:
        rows = [line.split(separator) for line in text.splitlines()]
    return list(enumerate((row for row in rows if any(field.strip() for field in row)), 1))


def _stream_row(fields: Sequence[str], number: int) -> Row:
    """The rating may be missing, since it is what is asked for. A title may have commas of its own."""
    if len(fields) < 3:
        raise UnreadableRowError(number, "a line is `timestamp,user,movie`, or the first one names the columns")
    last = len(fields) - 1 if len(fields) > 3 and _is_number(fields[-1]) else len(fields)
    at = LOG["item_id"]
    title = title_in_log(",".join(fields[at:last]))
    return _row({"timestamp": fields[LOG["timestamp"]], "user_id": fields[LOG["user_id"]], "title": title}, number)


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
            raise ValueError(f"the rows are not valid JSON: {error}") from None
    if isinstance(data, dict):
        data = data.get("instances", [data])
    rows = []
    for number, each in enumerate(data, 1):
        if not isinstance(each, dict):
            raise UnreadableRowError(number, "a row is an object with a user and a movie")
        rows.append(_row({field: value for name, value in each.items() if (field := field_of(name))}, number))
    return rows


def _row(values: Mapping[str, Any], number: int) -> Row:
    """A title says what is meant better than an id does: models know titles."""
    user, title = values.get("user_id"), values.get("title", values.get("item_id"))
    missing = [name for name, value in (("user", user), ("movie", title)) if value is None]
    if missing:
        raise UnreadableRowError(number, f"it has no {' and no '.join(missing)}")
    moment = values.get("timestamp")
    try:
        timestamp = None if moment is None or not str(moment).strip() else seconds_of(str(moment))
    except (ValueError, OverflowError):
        raise UnreadableRowError(number, f"`{moment}` is no time") from None
    return _text(user, number), _text(title, number), timestamp


def _text(value: object, number: int) -> str:
    """An id or a title as text: a number as it is written, bytes as TensorFlow Serving's API writes them."""
    if isinstance(value, dict) and list(value) == ["b64"]:
        try:
            return base64.b64decode(value["b64"], validate=True).decode().strip()
        except (ValueError, TypeError):
            raise UnreadableRowError(number, f"`{value['b64']}` is no UTF-8 text in base64") from None
    if isinstance(value, dict | list | bool | float):
        raise UnreadableRowError(number, f"`{json.dumps(value)}` is neither text nor a whole number")
    return str(value).strip()
