"""Reading gRPC requests by their bytes: whatever is told from them is what protobuf says, or what it refuses."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2

from serving.errors import ServingError
from serving.rpc.answering import UNREADABLE
from serving.rpc.one_row import Row, RowReader
from serving.signatures import Tensors, TensorSpec
from serving.tensor_protos import to_array

KINDS: Final[Mapping[str, str]] = {
    "user": "string",
    "movie title": "string",
    "at": "int64",
    "tiny": "int8",
    "byte": "uint8",
    "short": "int32",
    "flag": "bool",
    "single": "float",
    "pair": "double",
}
SPECS: Final = {name: TensorSpec(name, name, dtype, (-1,)) for name, dtype in KINDS.items()}
READER: Final = RowReader.of(SPECS)
VALUES: Final[Mapping[str, Any]] = {
    "user": b"42",
    "movie title": "Toy Story (1995) \u4e16".encode(),
    "at": 892_870_992,
    "tiny": -5,
    "byte": 200,
    "short": -(2**31),
    "flag": True,
    "single": 0.2,
    "pair": float("inf"),
}


def request(values: Mapping[str, Any]) -> bytes:
    """The inputs of a request for one row."""
    message = predict_pb2.PredictRequest()
    for name, value in values.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto([value], KINDS[name]))
    return bytes(message.SerializeToString())


def check(data: bytes) -> str:
    """Read the inputs of a request; "left" to protobuf, "read", or what is wrong with it.

    Raises:
        AssertionError: protobuf says something else.
    """
    assert READER
    row = READER.read(data, 0)
    if row is None:
        return "left"
    expected = _by_protobuf(data)
    good = READER.read(request(VALUES), 0)
    assert good
    alone, between = _read(row), _read(good, row, good)
    assert isinstance(alone, dict) == isinstance(between, dict), (data, alone, between)
    if isinstance(expected, str) or isinstance(alone, str) or isinstance(between, str):
        # Where several inputs are wrong, either may name another one.
        assert isinstance(alone, str), (data, alone, expected)
        assert isinstance(expected, str), (data, alone, expected)
        return alone
    known = READER.inputs([good])
    for name, array in expected.items():
        np.testing.assert_array_equal(alone[name], array, strict=True)
        np.testing.assert_array_equal(between[name], np.concatenate([known[name], array, known[name]]), strict=True)
    assert alone.keys() == expected.keys()
    return "read"


def _read(*rows: Row) -> Tensors | str:
    assert READER
    try:
        return READER.inputs(rows)
    except ServingError as error:
        return error.message


def _by_protobuf(data: bytes) -> Tensors | str:
    try:
        message = predict_pb2.PredictRequest.FromString(data)
        assert not message.HasField("model_spec")
        assert not message.output_filter
        return {name: to_array(name, proto) for name, proto in message.inputs.items()}
    except DecodeError:
        return UNREADABLE.message
    except ServingError as error:
        return error.message
