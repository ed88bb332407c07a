"""Which function answers which path."""

import re
from collections.abc import Callable
from typing import Any

from wf.control.http import Request, Response, json_response

Answer = Callable[..., object]
"""From a request and the parts of its path to an answer: a `Response`, or anything that is JSON."""


class Routes:
    """Paths and who answers them; the first that fits is asked. It is a `wf.control.http.Handler`."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Answer]] = []

    def add(self, methods: str, path: str, answer: Answer) -> None:
        """Let `answer` see to a path such as `/models/{id}`, in which `{id}` stands for any part.

        `{id...}` stands for several. Methods are separated by blanks. A slash at the end makes no difference.
        """
        several = re.sub(r"\{(\w+)\.\.\.\}", r"(?P<\1>.+?)", path)
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", several) + "/?")
        self._routes += [(method, pattern, answer) for method in methods.split()]

    def __call__(self, request: Request) -> Response | None:
        """The answer, or nothing where the path is not known."""
        for method, pattern, answer in self._routes:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                said = answer(request, **match.groupdict())
                return said if isinstance(said, Response) else json_response(said)
        return None


def fields_of(request: Request) -> dict[str, Any]:
    """The body as an object; nothing in it where there is none."""
    try:
        body = request.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def conditions_of(request: Request) -> dict[str, Any]:
    """What a list is to be filtered by: the client sends it as `filter.where.and`, a list of objects, in the body."""
    found: dict[str, Any] = {}
    where = fields_of(request).get("filter", {}).get("where", {}).get("and", ())
    for each in where:
        found |= each
    return found


def page_of(request: Request) -> slice:
    """The part of a list that is asked for."""
    start = int(request.query.get("filter[skip]", 0))
    return slice(start, start + int(request.query.get("filter[limit]", 100)))
