"""JSON text to values, as tolerant as TensorFlow Serving's parser: NaN, Infinity, and text after the document."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

from serving.errors import InvalidArgument

_SHOWN: Final = 256
"""How many characters of a value an error shows, as TensorFlow Serving cuts it."""

_DECODER: Final = json.JSONDecoder()

_REASONS: Final[Mapping[str, str]] = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or } after an object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
}
"""What Python's parser says -> what TensorFlow Serving's says."""


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a request's body is.

    Raises:
        InvalidArgument: it is empty, no JSON, nested too deeply, or no object.
    """
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _parse_leniently(body)
    if not isinstance(document, dict):
        raise InvalidArgument(f"JSON Value: {shown(document)} Is not object")
    return document


def shown(value: Any) -> str:
    """A value as errors show it: its beginning, as JSON."""
    text = ""
    # A document may be nested more deeply than Python's encoder follows.
    with suppress(RecursionError):
        for part in json.JSONEncoder().iterencode(value):
            text += part
            if len(text) > _SHOWN:
                break
    return text[:_SHOWN]


def _parse_leniently(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"JSON Parse error: Invalid encoding in string. at offset: {error.start}") from error
    stripped = text.lstrip(" \t\r\n")
    start = len(text) - len(stripped)
    if not stripped:
        raise InvalidArgument("JSON Parse error: The document is empty")
    try:
        document, _ = _DECODER.raw_decode(text, start)
        # A half of a surrogate pair passes Python's parser, and is no text.
        json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        reason = _REASONS.get(error.msg, f"{error.msg}.")
        raise InvalidArgument(f"JSON Parse error: {reason} at offset: {error.pos}") from error
    except UnicodeEncodeError as error:
        raise InvalidArgument("JSON Parse error: The surrogate pair in string is invalid. at offset: 0") from error
    except RecursionError as error:
        raise InvalidArgument("JSON Parse error: The document is nested too deeply.") from error
    except ValueError as error:
        raise InvalidArgument("JSON Parse error: Number too big to be stored in double. at offset: 0") from error
    return document
