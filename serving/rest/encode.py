"""The outputs of a signature to the JSON of a predict response."""

import base64
import json
from typing import Any

import numpy as np
import orjson

from serving.errors import InvalidArgument
from serving.signatures import Array, Tensors


def rows(outputs: Tensors) -> bytes:
    """`{"predictions": [...]}`: a list with a value, or an object of values, for each row."""
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        _rows_in(name, array)
        return _dump({"predictions": _plain(name, array)}, outputs)
    count: int | None = None
    for name, array in outputs.items():
        size = _rows_in(name, array)
        if count not in (None, size):
            raise InvalidArgument(f"Tensor name: {name} has inconsistent batch size: {size} expecting: {count}")
        count = size
    columns = [_plain(name, array) for name, array in outputs.items()]
    return _dump({"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]}, outputs)


def columns(outputs: Tensors) -> bytes:
    """`{"outputs": ...}`: the only output's value, or an object of all."""
    plain = {name: _plain(name, array) for name, array in outputs.items()}
    return _dump({"outputs": next(iter(plain.values())) if len(plain) == 1 else plain}, outputs)


def _rows_in(name: str, array: Array) -> int:
    if not array.ndim:
        raise InvalidArgument(f"Tensor name: {name} has no shape information ")
    return int(array.shape[0])


def _plain(name: str, array: Array) -> Any:
    """What orjson can write: an array of numbers, or lists of text. Bytes of an output `*_bytes` become base64."""
    if not array.dtype.hasobject:
        # A 0-d array is a scalar to JSON.
        return np.ascontiguousarray(array) if array.ndim else array[()]
    if name.endswith("_bytes"):
        return _nested(array, lambda value: {"b64": base64.b64encode(value).decode()})
    return _nested(array, lambda value: value.decode(errors="replace"))


def _nested(array: Array, convert: Any) -> Any:
    if not array.ndim:
        return convert(array[()])
    return [_nested(each, convert) for each in array] if array.ndim > 1 else [convert(each) for each in array]


def _dump(document: dict[str, Any], outputs: Tensors) -> bytes:
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    # orjson writes null for NaN and infinities; Python's writer knows TensorFlow Serving's tokens.
    if b"null" in text and not all(np.isfinite(array).all() for array in outputs.values() if array.dtype.kind == "f"):
        return json.dumps(document, default=_short).encode()
    return text


def _short(value: Any) -> Any:
    """Numbers with no more digits than their type holds."""
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.generic):
        return value.item()
    return [_short(each) for each in value]
