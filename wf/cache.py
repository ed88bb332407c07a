"""What makes two executions of a job the same: a key made of everything that can change its outputs."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

SCHEMA = 3
"""Raised when the meaning of a key changes, so that older ones no longer match."""

_in_order = json.JSONEncoder(sort_keys=True, default=str).encode
_UNSET = object()
_LONGEST_SHOWN = 80  # characters of a value in a sentence


class CacheKey(Struct, frozen=True, dict=True):
    """All that a job's outputs depend on."""

    image: str
    """Digest of the software that it runs in."""
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...]
    parameters: Mapping[str, object]
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    """Names, never values."""
    inputs: Mapping[str, str]
    """Name -> digest of the artifact."""
    outputs: Mapping[str, str]
    """Name -> its type."""
    inputs_mode: str = "cow"
    """Whether it could change what it read, where that makes a difference."""
    code: Mapping[str, str] = {}
    """Files of the code that is not in the image: path -> digest."""
    files: Mapping[str, str] = {}
    """Parameter that names a file of this machine -> digest of what lies there."""
    extra: str = ""
    """What the workflow adds."""
    texts: Mapping[str, str] = {}
    """Inputs that are short texts: name -> the text, whose digest is what counts. For sentences alone."""

    @cached_property
    def text(self) -> str:
        """All of this as JSON."""
        return f'{self._what_counts[:-1]}, "texts": {json.dumps(dict(self.texts))}}}'

    @cached_property
    def digest(self) -> str:
        """What counts of it, in 64 characters."""
        return hashlib.sha256(self._what_counts.encode()).hexdigest()

    @cached_property
    def _what_counts(self) -> str:
        values = {name: value for name, value in asdict(self).items() if name != "texts"}
        # Parameters may hold paths and the like: their text is what reaches the job.
        return _in_order({"schema": SCHEMA, **values})

    def to_json(self) -> dict[str, Any]:
        """The key as plain data."""
        return json.loads(self.text)  # type: ignore[no-any-return]


def explain(now: CacheKey, before: Mapping[str, Any]) -> list[str]:
    """What differs from an earlier key, as its JSON; a sentence each, nothing if the keys are the same."""
    return differences(now.to_json(), before)


def differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """The same for two keys as JSON."""
    if before.get("schema") != now.get("schema"):
        return ["it ran with another version of wf"]
    return list(_differences(now, before))


def _differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    for name, value in now.items():
        old: Any = before.get(name)
        if name == "texts" or value == old or (name == "command" and now["parameters"] != before["parameters"]):
            continue  # a step's command line says again what its parameters say
        if name == "image":
            yield "the image changed"
        elif name == "inputs":
            yield from _changed_names("input ", value, old, now.get("texts", {}), before.get("texts", {}))
        elif name == "secrets":
            yield from _changed_names("secret ", dict.fromkeys(value), dict.fromkeys(old))
        elif name == "code":
            yield from _changed_names("", value, old)
        elif name == "files":
            yield from _changed_names("the file of with.", value, old)
        elif isinstance(value, dict):
            prefix = {"parameters": "with", "outputs": "outputs"}.get(name, name)
            for key in sorted({*value, *old}):
                if value.get(key) != old.get(key):
                    yield f"{prefix}.{key} {_change(old.get(key, _UNSET), value.get(key, _UNSET))}"
        else:
            yield f"{'cache.key' if name == 'extra' else name} {_change(old, value)}"


def _changed_names(
    kind: str,
    now: Mapping[str, Any],
    before: Mapping[str, Any],
    texts: Mapping[str, str] = MappingProxyType({}),
    texts_before: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    for name in sorted({*now, *before}):
        if name not in before:
            yield f"{kind}{name} is new"
        elif name not in now:
            yield f"{kind}{name} is gone"
        elif now[name] != before[name] and name in texts and name in texts_before:
            yield f"{kind}{name} {_change(texts_before[name], texts[name])}"
        elif now[name] != before[name]:
            yield f"{kind}{name} changed"


def _change(before: object, now: object) -> str:
    """`0.1 -> 0.05`; of texts of several lines, the first lines that differ."""
    if isinstance(before, str) and isinstance(now, str):
        pairs = zip_longest(before.splitlines(), now.splitlines(), fillvalue=_UNSET)
        differing = next(((n, *pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1]), None)
        if differing and "\n" in before + now:
            number, old, new = differing
            return f"line {number}: {_shown(old)} -> {_shown(new)}"
    return f"{_shown(before)} -> {_shown(now)}"


def _shown(value: object) -> str:
    text = "(unset)" if value is _UNSET else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
