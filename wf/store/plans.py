"""Plans as JSON: how the history keeps them, and back again.

Each field is written with its name, for any later `wf` to read; `wf.plan_text` is for the same `wf`, and four times as
fast.
"""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wf.plan import Plan


def as_json(value: object) -> str:
    """JSON for anything that a plan holds; each record says its type, since some fields have several."""
    return json.dumps(value, sort_keys=True, default=_plain)


def read_plan(text: str) -> Plan:
    """The plan that was written as JSON, by this `wf` or an older one.

    Raises:
        ValueError: it was written by a `wf` whose plans were others.
    """
    try:
        plan = _restored(json.loads(text), Plan)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"not a plan of this wf: {error}") from error
    if not isinstance(plan, Plan):
        raise ValueError("not a plan of this wf")  # noqa: TRY004 -- wrong data, not a wrong call
    return plan


def _plain(value: object) -> object:
    """What stands in JSON for what JSON does not know."""
    kind: Any = type(value)
    if names := _names(kind):
        return {"record": kind.__name__, **{name: getattr(value, name) for name in names}}
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value) if isinstance(value, frozenset) else str(value)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    """The fields of a record; none for anything else."""
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()


def _restored(value: Any, hint: Any) -> Any:
    """The value as the type hint of its field wants it."""
    if value is None or hint is object:
        return value
    choices = _choices(hint)
    if isinstance(value, dict):
        for choice in choices:
            if isinstance(choice, type) and is_dataclass(choice) and choice.__name__ == value.get("record"):
                hints = _hints(choice)
                return choice(**{name: _restored(value[name], hints[name]) for name in hints if name in value})
        return {key: _restored(item, typing.get_args(choices[0])[1]) for key, item in value.items()}
    if isinstance(value, list):
        kind, within = typing.get_origin(choices[0]), typing.get_args(choices[0])[0]
        return (frozenset if kind is frozenset else tuple)(_restored(item, within) for item in value)
    return Path(value) if Path in choices else value


@cache
def _choices(hint: Any) -> tuple[Any, ...]:
    """The types of a union, without nothing; else the type alone."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(each for each in typing.get_args(hint) if each is not types.NoneType)
    return (hint,)


@cache
def _hints(record: type) -> dict[str, Any]:
    return typing.get_type_hints(record)
