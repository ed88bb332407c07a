"""A response, and how it is written in HTTP/1.1."""

import logging
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

import orjson

from serving.errors import ServingError

log = logging.getLogger(__name__)

JSON: Final = b"application/json"
CORS: Final = (
    b"access-control-allow-origin: *\r\n"
    b"access-control-allow-methods: GET, POST\r\n"
    b"access-control-allow-headers: content-type\r\n"
)
"""What lets pages of other origins ask and read."""

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes
    content_type: bytes = JSON


def refusal(error: ServingError) -> Answer:
    """What a client is told that asked for something wrong."""
    return failure(error.code.http_status, error.message)


def failure(status: int, message: str) -> Answer:
    """An answer that tells what is wrong."""
    return Answer(status, orjson.dumps({"error": message}))


def told(error: Exception) -> Answer:
    """What a client is told of any failure. Unexpected ones are logged."""
    if isinstance(error, ServingError):
        return refusal(error)
    log.error("a request failed: this is a mistake of the server", exc_info=error)
    return failure(500, "internal error; the server's log says more")


def written(answer: Answer, connection: bytes, more: bytes, *, with_body: bool) -> bytes:
    """The bytes to send. `connection`: the header of that name, if any; `more`: other headers, each with its end."""
    head = _head(answer.status, answer.content_type, connection, more)
    return b"%s%d\r\n\r\n%s" % (head, len(answer.body), answer.body if with_body else b"")


@lru_cache(maxsize=256)
def _head(status: int, content_type: bytes, connection: bytes, more: bytes) -> bytes:
    """All but the length, whose name is its end."""
    line = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Client Closed Request')}\r\n".encode()
    told = b"Connection: %s\r\n" % connection if connection else b""
    return b"%sContent-Type: %s\r\n%s%sContent-Length: " % (line, content_type, told, more)
