"""The URLs of TensorFlow Serving's REST interface."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from serving.errors import InvalidArgument

_TARGET: Final = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
_CALL: Final = re.compile(rf"/v1/models/([^/:]+){_TARGET}:(classify|regress|predict)", re.IGNORECASE)
_LOOK: Final = re.compile(rf"/v1/models(?:/([^/:]+))?{_TARGET}(?:/(metadata))?", re.IGNORECASE)
_LARGEST_VERSION: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL asks for."""

    verb: str
    """`predict`, `classify`, `regress`, `metadata` or `status`."""
    model: str
    version: int | None = None
    label: str | None = None


@lru_cache(maxsize=1024)
def parse(method: str, path: str) -> Target:
    """The target of a request under `/v1/`; `path` is as the client sent it, still percent-encoded.

    Raises:
        InvalidArgument: no URL of the interface looks like that, or it names no model.
    """
    pattern = {"POST": _CALL, "GET": _LOOK}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    # The documented patterns match case-insensitively, but what is called is compared with lower case.
    if match is None or (method == "POST" and not match[4].islower()):
        raise InvalidArgument(f"Malformed request: {method} {path}")
    model, version, label, verb = match.groups()
    if not model:
        raise InvalidArgument("Missing model name in request.")
    if version and int(version) > _LARGEST_VERSION:
        raise InvalidArgument(f"Failed to convert version: {version} to numeric.")
    return Target(
        verb="status" if verb is None or (method == "GET" and verb != "metadata") else verb,
        model=unquote(model),
        version=int(version) if version else None,
        label=unquote(label) if label else None,
    )
