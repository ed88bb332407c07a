"""The body of a predict request to the inputs of a signature, with TensorFlow Serving's rules and messages.

The common case, lists of plain values of the right type, is decided for whole columns at once; only what is not so is
looked at value by value, to name the one that is wrong.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from serving.errors import Code, InvalidArgument, ServingError
from serving.rest.parse import shown
from serving.signatures import NUMPY, Array, TensorSpec

_INTEGERS: Final = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
_PLAIN: Final[Mapping[str, frozenset[type]]] = {
    "string": frozenset({str}),
    "bool": frozenset({bool}),
    "float": frozenset({float, int}),
    "double": frozenset({float, int}),
    **{name: frozenset({int}) for name in _INTEGERS},
}
"""Type of an input -> the types of JSON values that may stand for it, apart from `{"b64": ...}`."""
_HELD: Final = {dtype: np.dtype(NUMPY[dtype]) for dtype in _PLAIN}

_MOST_DIMENSIONS: Final = 32

_NOTHING: Final[frozenset[type]] = frozenset()

Inputs = dict[str, Array]


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names, or nothing."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def decode(document: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> tuple[Inputs, bool]:
    """The inputs that a request holds, and whether it wrote them as rows (`instances`) or columns (`inputs`).

    Raises:
        ServingError: the message names the element and the input that is wrong.
    """
    if "instances" in document:
        if "inputs" in document:
            raise InvalidArgument(
                f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or "
                "'instances' keys to exist "
            )
        instances = document["instances"]
        if not isinstance(instances, list):
            raise InvalidArgument(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
        if not instances:
            raise InvalidArgument(f"JSON Value: {shown(document)} No values in 'instances' array")
        return rows(instances, specs), True
    if "inputs" in document:
        return _columns(document["inputs"], specs), False
    raise InvalidArgument("Missing 'inputs' or 'instances' key")


def rows(instances: list[Any], specs: Mapping[str, TensorSpec]) -> Inputs:
    """The inputs that the elements of `instances` hold, at least one.

    Raises:
        ServingError: the message names the element and the input that is wrong.
    """
    objects = _is_object(instances[0])
    if not specs and not objects:
        raise InvalidArgument("Expecting object but got list at item 0 of input list")
    if not isinstance(instances[0], dict) and len(specs) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    try:
        if not objects:
            (spec,) = specs.values()
            return {spec.name: _tensor(instances, spec.dtype)}
        if sum(map(len, instances)) == len(instances) * len(specs):
            return {name: _tensor([row[name] for row in instances], spec.dtype) for name, spec in specs.items()}
    except (InvalidArgument, KeyError, TypeError, ValueError):
        # What stands below tells which element is to blame.
        pass
    _check_rows(instances, specs, objects=objects)
    raise ServingError(Code.INTERNAL, "the rows of 'instances' cannot be put together")


def _check_rows(instances: list[Any], specs: Mapping[str, TensorSpec], *, objects: bool) -> None:
    """Raise what is wrong with the first row that is."""
    shapes: dict[str, tuple[int, ...]] = {}
    for place, element in enumerate(instances):
        if objects and not _is_object(element):
            raise InvalidArgument(f"Expecting object but got list at item {place} of input list")
        if not objects and _is_object(element):
            raise InvalidArgument(f"Expecting value/list but got object at item {place} of input list")
        named = element if objects else {next(iter(specs)): element}
        for name, value in named.items():
            try:
                if name not in specs:
                    raise InvalidArgument(f"JSON object: does not have named input: {name}")
                shape = _tensor(value, specs[name].dtype).shape
                _check_shape(shape, shapes.setdefault(name, shape))
            except ServingError as error:
                key = f" key: {name}" if objects else ""
                raise ServingError(
                    Code.INVALID_ARGUMENT,
                    f"Failed to process element: {place}{key} of 'instances' list. Error: {error}",
                ) from error
        if named.keys() != specs.keys():
            raise InvalidArgument(
                f"Failed to process element: {place} of 'instances' list. JSON object: {shown(element)} "
                f"keys must be equal to: {','.join(sorted(specs))}"
            )


def _check_shape(shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    size, expected = int(np.prod(shape)), int(np.prod(first))
    if size != expected:
        raise InvalidArgument(f"Expecting tensor size: {expected} but got: {size}")
    if shape != first:
        raise InvalidArgument(f"Expecting shape {_shape(first)} but got: {_shape(shape)}")


def _shape(sizes: Sequence[int]) -> str:
    return f"[{','.join(map(str, sizes))}]"


def _columns(value: Any, specs: Mapping[str, TensorSpec]) -> Inputs:
    if not _is_object(value):
        if len(specs) != 1:
            raise InvalidArgument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        (spec,) = specs.values()
        return {spec.name: _tensor(value, spec.dtype)}
    for name in specs:
        if name not in value:
            raise InvalidArgument(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(value[name], spec.dtype) for name, spec in specs.items()}


def _is_object(value: Any) -> bool:
    """Whether a value is an object, other than one that stands for bytes."""
    return isinstance(value, dict) and not is_bytes(value)


def is_bytes(value: Mapping[str, Any]) -> bool:
    """Whether an object stands for bytes."""
    return len(value) == 1 and isinstance(value.get("b64"), str)


def _tensor(value: Any, dtype: str) -> Array:
    """A value, a list, or lists of equal length in lists, as an array of the type."""
    if type(value) is list:
        array = _plain(value, dtype)
        if array is not None:
            return array
    shape: list[int] = []
    first = value
    while type(first) is list:
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    if len(shape) > _MOST_DIMENSIONS:
        raise InvalidArgument(f"lists are nested {len(shape)} deep, at most {_MOST_DIMENSIONS} are possible")
    leaves = [value]
    for level, size in enumerate(shape):
        for each in leaves:
            if type(each) is not list:
                raise InvalidArgument(
                    f"JSON Value: {shown(each)} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {len(shape)}"
                )
            if len(each) != size:
                raise InvalidArgument(
                    f"Encountered list at unexpected size: {len(each)} at level: {level} expected size: {size}"
                )
        leaves = list(chain.from_iterable(leaves))
    if dtype not in _PLAIN:
        raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {shown(leaves)} to type: {dtype}")
    return _array([_leaf(leaf, dtype, len(shape)) for leaf in leaves], dtype).reshape(shape)


def _plain(values: list[Any], dtype: str) -> Array | None:
    """The common case: no lists in the list, and all values as they should be."""
    if dtype == "string":
        try:
            return np.fromiter(map(str.encode, values), _HELD[dtype], len(values))
        except TypeError:
            return None
    return _array(values, dtype) if _PLAIN.get(dtype, _NOTHING).issuperset(map(type, values)) else None


def _array(leaves: list[Any], dtype: str) -> Array:
    """Values of the right types, text as bytes, as an array of one dimension."""
    held = _HELD[dtype]
    try:
        return np.fromiter(leaves, held, len(leaves))
    except OverflowError:
        bounds = np.iinfo(held) if dtype in _INTEGERS else np.finfo(np.float64)
        # As Python's own numbers: NumPy's cannot be compared with an integer that no float holds.
        least, most = int(bounds.min), int(bounds.max)
        wrong = next(value for value in leaves if not least <= value <= most)
        raise _wrong_type(wrong, dtype) from None


def _leaf(value: Any, dtype: str, rank: int) -> Any:
    """One value, or the bytes that it stands for."""
    if type(value) is list:
        raise InvalidArgument(f"Encountered list at unexpected level: {rank} expected < {rank}")
    if type(value) is dict and dtype == "string":
        if not is_bytes(value):
            raise InvalidArgument(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
        return from_base64(value["b64"])
    if type(value) not in _PLAIN[dtype]:
        raise _wrong_type(value, dtype)
    return value.encode() if dtype == "string" else value


def from_base64(text: str) -> bytes:
    """The bytes that base64 text stands for, with or without its padding, in either alphabet."""
    try:
        unpadded = text.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument("Unable to base64 decode") from error


def _wrong_type(value: Any, dtype: str) -> InvalidArgument:
    return InvalidArgument(f"JSON Value: {shown(value)} Type: {json_type(value)} is not of expected type: {dtype}")


def json_type(value: Any) -> str:
    """The name of a value's type in messages."""
    if value is None or isinstance(value, bool):
        return {None: "Null", False: "False", True: "True"}[value]
    names: Mapping[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")
