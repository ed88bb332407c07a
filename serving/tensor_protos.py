"""TensorProto to arrays and back, with nothing copied that need not be."""

from math import prod
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.errors import Code, InvalidArgument, ServingError
from serving.signatures import NUMPY, Array

FIELDS: Final = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_STRING: "string_val",
}
"""The number of a type -> the field of a tensor that holds values of it."""
_TYPES: Final[dict[int, Any]] = {
    number: np.dtype(NUMPY[types_pb2.DataType.Name(number).removeprefix("DT_").lower()]) for number in FIELDS
}
NUMBERS: Final = {dtype: number for number, dtype in _TYPES.items()}
"""The type of an array -> the number of the type of its tensor."""
_INT32: Final = np.dtype(np.int32)
_MOST_REPEATED: Final = 2**24
"""How many elements a value may stand for that is written once: more is no request but an attack."""

_MOST_ELEMENTS: Final = 2**48


def to_array(name: str, proto: tensor_pb2.TensorProto) -> Array:
    """The array that a tensor of a request holds.

    Raises:
        ServingError: its type cannot be held, or its values do not fill its shape.
    """
    dtype = _TYPES.get(proto.dtype)
    if dtype is None:
        kind = types_pb2.DataType.Name(proto.dtype) if proto.dtype in types_pb2.DataType.values() else proto.dtype
        raise ServingError(Code.UNIMPLEMENTED, f"tensor `{name}` has type {kind}, which this server does not take")
    described = proto.tensor_shape
    # A copy of a repeated field is read in a fraction of the time that the field itself takes.
    shape = [dim.size for dim in described.dim[:]]
    if described.unknown_rank or min(shape, default=0) < 0 or len(shape) > 32 or _boundless(shape):
        raise InvalidArgument(f"Tensor proto parsing error: `{name}` has no shape that a value can have")
    count = prod(shape)
    content = proto.tensor_content
    if content:
        if dtype.hasobject or len(content) != count * dtype.itemsize:
            raise InvalidArgument(f"Tensor proto parsing error: `{name}` has content that does not fill {shape}")
        return np.frombuffer(content, dtype).reshape(shape)
    values = values_of(proto, proto.dtype)
    if len(values) != count:
        # TensorFlow's rule: the last value stands for all that are not written.
        if not len(values) or len(values) > count or count > _MOST_REPEATED:
            raise InvalidArgument(f"Tensor proto parsing error: `{name}` has {len(values)} values for {shape}")
        values = np.concatenate([values, np.repeat(values[-1:], count - len(values))])
    return values if len(shape) == 1 else values.reshape(shape)


def values_of(proto: tensor_pb2.TensorProto, number: int) -> Array:
    """The values in the field of the type with this number."""
    field = FIELDS[number]
    written = getattr(proto, field)[:]
    dtype = _TYPES[number]
    if field == "int_val":
        # Small integers lie in a field of larger ones.
        return np.fromiter(written, _INT32, len(written)).astype(dtype)
    return np.fromiter(written, dtype, len(written))


def _boundless(shape: list[int]) -> bool:
    """Whether a shape without elements has sizes that no array can have."""
    return len(shape) > 1 and prod(size or 1 for size in shape) > _MOST_ELEMENTS


def fill(proto: tensor_pb2.TensorProto, array: Array) -> None:
    """Write an array into a tensor of a response, in the field of its type, where clients look for it."""
    number = NUMBERS.get(array.dtype)
    if number is None:
        raise ServingError(Code.UNIMPLEMENTED, f"the model answers with {array.dtype}, which this server cannot send")
    proto.dtype = number
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    getattr(proto, FIELDS[number]).extend(array.ravel().tolist())
