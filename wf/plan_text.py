"""A plan as text, and the way back: what `decode` gives is equal to what `encode` took, or `encode` refuses."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import wf.plan
from wf.errors import Span
from wf.plan import Plan

_MARK: Final = "!"
"""The one key of an object that stands for something else than a mapping: the list of its kind and its parts."""

_RECORDS: Final[dict[str, Any]] = {
    name: each for name, each in vars(wf.plan).items() if isinstance(each, type) and is_dataclass(each)
} | {"Span": Span}
_KINDS: Final[dict[str, Any]] = {
    "tuple": lambda *parts: parts,
    "frozenset": lambda *parts: frozenset(parts),
    "path": Path,
    **_RECORDS,
}
_FIELDS: Final = {record: tuple(field.name for field in fields(record)) for record in _RECORDS.values()}


def encode(plan: Plan) -> str | None:
    """The plan as one line of JSON, or nothing if it holds something that would not come back as it was."""
    try:
        text = json.dumps(_plain(plan), separators=(",", ":"))
        return text if decode(text) == plan else None
    except (TypeError, ValueError, KeyError):
        return None


def decode(text: str) -> Plan:
    """The plan of a text that `encode` has made; raises `ValueError`, `TypeError` or `KeyError` for any other."""
    plan = json.loads(text, object_hook=_restored)
    if not isinstance(plan, Plan):
        raise ValueError("not a plan")  # noqa: TRY004 -- wrong data, not a wrong call
    return plan


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in {str, int, float, bool} or value is None:
        return value
    if names := _FIELDS.get(kind):
        return {_MARK: [kind.__name__, *(_plain(getattr(value, name)) for name in names)]}
    if kind is dict:
        return {key: _plain(item) for key, item in value.items()}
    if kind is list:
        return [_plain(item) for item in value]
    if kind is tuple:
        return {_MARK: ["tuple", *(_plain(item) for item in value)]}
    if kind is frozenset:
        return {_MARK: ["frozenset", *sorted(value)]}
    if isinstance(value, Path):
        return {_MARK: ["path", str(value)]}
    raise TypeError(f"{kind.__name__} has no text")


def _restored(found: dict[str, Any]) -> Any:
    if _MARK not in found:
        return found
    kind, *parts = found[_MARK]
    return _KINDS[kind](*parts)
