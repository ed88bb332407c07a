"""Requests as they should be, and keys and values that may take the place of theirs."""

from typing import Any

KEYS = ("instances", "inputs", "examples", "context", "signature_name", "x", "a", "b", "b64", "text", "short", "scalar")
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, float("nan"), float("-inf")),
    *("", "a", "\0", "é", "\ud800", "x" * 3000, "serving_default", "picture_bytes", "pair", "uneven", "long_table"),
    *([], {}, [[]], [[1], [1, 2]], {"b64": "AA=="}, {"b64": "!"}, {"b64": 1}, {"x": 1}, [{"x": 1}, 1]),
)
DOCUMENTS: tuple[dict[str, Any], ...] = (
    {"instances": [1.0, 2.0]},
    {"inputs": {"x": [1, 2]}},
    {"signature_name": "pair", "instances": [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}]},
    {"signature_name": "picture_bytes", "instances": [{"b64": "AAEC"}]},
    {"signature_name": "long_table", "inputs": [[1, 2], [3, 4]]},
    {"signature_name": "text", "instances": ["a", "é", {"b64": "/w=="}]},
    {"signature_name": "classify", "context": {"y": 1.0}, "examples": [{"x": 1.0}, {"x": [2.0]}]},
)
