"""As much of GraphQL as the client speaks: one operation, fields with arguments, a selection of each object."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from wf.errors import InvalidWorkflow, Problem

_TOKEN = re.compile(r'\s*(?:,|#[^\n]*\n|(\$?\w+|[{}():!\[\]=]|"(?:[^"\\]|\\.)*"|-?\d[\d.]*)|$)')

Resolver = Callable[[Mapping[str, Any]], object]
"""From a field's arguments to its value, which may hold more than is selected."""


class Field(Struct):
    """A field that is asked for, with what is asked of its value."""

    arguments: dict[str, Any] = {}
    selection: "Selection" = {}


Selection = dict[str, Field]
"""In the order of the query. What is selected twice is selected once with all that was asked for."""


def execute(query: str, variables: Mapping[str, Any], resolvers: Mapping[str, Resolver]) -> dict[str, Any]:
    """Answer a query.

    Raises `InvalidWorkflow` if it cannot be read or asks for what there is not.
    """
    answer = {}
    for name, asked in parse(query, variables).items():
        if name not in resolvers:
            raise InvalidWorkflow([Problem(f"wf does not answer `{name}`")])
        answer[name] = _select(resolvers[name](asked.arguments), asked.selection)
    return answer


def parse(query: str, variables: Mapping[str, Any]) -> Selection:
    """The fields of the query's one operation."""
    reader = _Reader(query, variables)
    try:
        while reader.peek() != "{":  # the operation's kind, its name, and the types of its variables
            reader.take()
        return reader.selection()
    except StopIteration:
        raise InvalidWorkflow([Problem("the GraphQL query breaks off")]) from None


class _Reader:
    def __init__(self, query: str, variables: Mapping[str, Any]) -> None:
        self._tokens = [match[1] for match in _TOKEN.finditer(query) if match[1]]
        self._variables = variables
        self._next = 0

    def peek(self) -> str:
        if self._next == len(self._tokens):
            raise StopIteration
        return self._tokens[self._next]

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        return token

    def selection(self) -> Selection:
        found: Selection = {}
        self.take()
        while self.peek() != "}":
            asked = found.setdefault(self.take(), Field())
            if self.peek() == "(":
                asked.arguments |= dict(self._arguments())
            if self.peek() == "{":
                _merge(asked.selection, self.selection())
        self.take()
        return found

    def _arguments(self) -> Iterator[tuple[str, Any]]:
        self.take()
        while self.peek() != ")":
            name = self.take()
            self.take()
            value = self.take()
            yield name, self._variables.get(value[1:]) if value.startswith("$") else json.loads(value)
        self.take()


def _merge(into: Selection, more: Selection) -> None:
    for name, asked in more.items():
        known = into.setdefault(name, Field())
        known.arguments |= asked.arguments
        _merge(known.selection, asked.selection)


def _select(value: object, selection: Selection) -> object:
    """What was asked of a value, in the order in which it was asked."""
    if isinstance(value, list):
        return [_select(each, selection) for each in value]
    if isinstance(value, Mapping) and selection:
        return {name: _select(value.get(name), asked.selection) for name, asked in selection.items()}
    return value
