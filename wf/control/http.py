"""Requests and answers, and who answers them."""

import json
from collections.abc import Callable, Mapping

from msgspec import Struct


class Request(Struct, frozen=True):
    """What a job asks."""

    method: str
    path: str
    """Decoded, without the query and without a token."""
    query: Mapping[str, str]
    """The last value of each name."""
    body: bytes
    job: str
    """The id of the task that asks, known from its token."""
    run: int = 0
    """The number of the run that the task belongs to."""
    base: str = ""
    """The address at which the job reaches this server, its token inside: for links to this server in an answer."""

    @property
    def by(self) -> str:
        """Who asks, for a history."""
        return f"run {self.run}, {self.job}"

    def json(self) -> object:
        """The body as JSON; raises `ValueError` if it is none."""
        return json.loads(self.body or b"null")


class Response(Struct, frozen=True):
    """What it is told."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


Handler = Callable[[Request], Response | None]
"""Answers a request, or returns nothing where the path is not its own. Called from many threads at once."""


def json_response(value: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(status, json.dumps(value).encode())


def error_response(status: int, message: str) -> Response:
    """An error, under the key that clients look for."""
    return json_response({"error": {"status": status, "message": message}, "message": message}, status)
