"""`--batching_parameters_file` and `--monitoring_config_file`: protobuf text, whose protos are not published."""

import re
from pathlib import Path
from typing import Any, Final

from serving.batching import BatchingParameters
from serving.errors import InvalidArgument

METRICS_PATH: Final = "/monitoring/prometheus/metrics"

_TOKEN: Final = re.compile(r"\s*(?:#[^\n]*|(?P<token>[{}:;,]|\"[^\"\n]*\"|'[^'\n]*'|[\w.+-]+))\s*")
_LEAST: Final = {"max_batch_size": 1, "batch_timeout_micros": 0, "max_enqueued_batches": 1, "num_batch_threads": 1}

Message = dict[str, list[Any]]


def batching_parameters(path: Path | None, *, enabled: bool) -> BatchingParameters:
    """What a file says about batches, and the defaults for the rest.

    Raises:
        InvalidArgument: it cannot be read, or says what makes no sense.
    """
    said: Message = {} if path is None else _read(path)
    numbers: dict[str, int] = {}
    for name, least in _LEAST.items():
        if name in said:
            value = said[name][-1]
            numbers[name] = _whole(
                path, name, value["value"][-1] if isinstance(value, dict) and "value" in value else value
            )
            if numbers[name] < least:
                raise InvalidArgument(f"{path}: {name} is {numbers[name]}, at least {least} is needed")
    found = BatchingParameters(
        enabled=enabled,
        allowed_batch_sizes=tuple(
            _whole(path, "allowed_batch_sizes", size) for size in said.get("allowed_batch_sizes", [])
        ),
        **numbers,
    )
    sizes = found.allowed_batch_sizes
    if list(sizes) != sorted(set(sizes)) or (sizes and sizes[-1] != found.max_batch_size):
        raise InvalidArgument(f"{path}: allowed_batch_sizes must rise, and end with max_batch_size")
    return found


def metrics_path(path: Path | None) -> str:
    """Where metrics are; nothing if a file says that they are not wanted.

    Raises:
        InvalidArgument: it cannot be read.
    """
    if path is None:
        return METRICS_PATH
    prometheus = _read(path).get("prometheus_config", [{}])[-1]
    if not isinstance(prometheus, dict) or prometheus.get("enable", ["false"])[-1] != "true":
        return ""
    return str(prometheus.get("path", [METRICS_PATH])[-1])


def _whole(path: Path | None, name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{path}: {name} is no whole number") from None


def _read(path: Path) -> Message:
    """A message as its fields by name, each with all its values: words, or messages."""
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"{path}: {error}") from error
    tokens = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.end() == place:
            raise InvalidArgument(f"{path}:{text.count(chr(10), 0, place) + 1}: this is no protobuf text")
        if match["token"] not in (None, ":", ";", ","):
            tokens.append(match["token"])
        place = match.end()
    return _message(path, tokens[::-1], nested=False)


def _message(path: Path, tokens: list[str], *, nested: bool) -> Message:
    found: Message = {}
    while tokens:
        name = tokens.pop()
        if name == "}" and nested:
            return found
        value = tokens.pop() if tokens else ""
        if not name.isidentifier() or value in ("", "}"):
            raise InvalidArgument(f"{path}: `{name}` has no value")
        parsed = _message(path, tokens, nested=True) if value == "{" else value.strip("\"'")
        found.setdefault(name, []).append(parsed)
    if nested:
        raise InvalidArgument(f"{path}: a `{{` is not closed")
    return found
