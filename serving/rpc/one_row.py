"""Predict requests for one row, and answers of one row, in the bytes that nearly all clients write and read.

What stands around the values is the same again and again, but for the length of a value. All that can stand before the
value of an input is made by protobuf itself, once for each signature; a request is taken apart by looking it up, and
protobuf then reads the numbers of several requests at once. Whatever else a request is, it is left to protobuf alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from serving.errors import InvalidArgument
from serving.signatures import COLUMN, Array, Tensors, TensorSpec
from serving.tensor_protos import FIELDS, NUMBERS, fill, values_of

Row = list[bytes]
"""For each input of a signature its text, or the field of the tensor that holds its number, as in the request."""

_BEFORE_VALUE: Final = 2
"""How many bytes of a field stand before its value: which field it is, and how long."""
_NAME_LENGTH: Final = 3
"""Where an input tells how long its name is."""
_TEXTS: Final = tuple(b"x" * length for length in range(128))
_NUMBERS: Final = (0, *(2 ** (7 * more) for more in range(1, 9)), -1)
"""A number for each length that protobuf writes integers with."""
_TEXT: Final = np.dtype(object)


class RowReader:
    """Takes requests apart. Made by `of`."""

    def __init__(self, specs: Sequence[TensorSpec], known: Mapping[bytes, tuple[int, int, int]], unnamed: int) -> None:
        self._columns = [(spec.name, _texts if spec.held == _TEXT else _numbers_of(spec)) for spec in specs]
        self._known = known
        """The beginning of an input -> its place in a row, and where what is kept of it begins and ends."""
        self._unnamed = unnamed
        """How long the beginning of an input is, without its name."""

    @classmethod
    def of(cls, inputs: Mapping[str, TensorSpec]) -> Self | None:
        """The reader for a signature, if each of its inputs takes one value for each row."""
        specs = tuple(inputs.values())
        known = {}
        unnamed = set()
        for place, spec in enumerate(specs):
            kept = 0 if spec.held == _TEXT else _BEFORE_VALUE
            for head, length in _heads(spec):
                known[head] = place, len(head) - kept, len(head) + length
                unnamed.add(len(head) - head[_NAME_LENGTH])
        complete = {place for place, _, _ in known.values()} == set(range(len(specs)))
        return cls(specs, known, unnamed.pop()) if complete and len(unnamed) == 1 else None

    def read(self, data: bytes, start: int) -> Row | None:
        """The row that a request holds from `start` on, after its model's name, if it is such a request."""
        row: list[Any] = [None] * len(self._columns)
        known, unnamed, end = self._known, self._unnamed, len(data)
        while start + _NAME_LENGTH < end:
            found = known.get(data[start : start + unnamed + data[start + _NAME_LENGTH]])
            if found is None:
                return None
            place, first, last = found
            if row[place] is not None:
                return None
            row[place] = data[start + first : start + last]
            start += last
        return row if start == end and None not in row else None

    def inputs(self, rows: Iterable[Row]) -> Tensors:
        """The inputs that rows hold, each of which was read by `read`.

        Raises:
            InvalidArgument: what is there for a value is none, or several.
        """
        columns = zip(*rows, strict=True)
        return {name: read(values) for (name, read), values in zip(self._columns, columns, strict=True)}


def _heads(spec: TensorSpec) -> Iterable[tuple[bytes, int]]:
    """All that a request can have before a value of an input, each with the value's length, as far as that is short."""
    if spec.shape != COLUMN or spec.held not in NUMBERS:
        return
    number = NUMBERS[spec.held]
    for value in _TEXTS if spec.held == _TEXT else _NUMBERS:
        alone = tensor_pb2.TensorProto()
        try:
            getattr(alone, FIELDS[number]).append(value)
        except (TypeError, ValueError, OverflowError):
            continue  # larger than its type
        request = predict_pb2.PredictRequest()
        tensor = request.inputs[spec.name]
        tensor.dtype = number
        tensor.tensor_shape.dim.add().size = 1
        tensor.MergeFrom(alone)
        length = alone.ByteSize() - _BEFORE_VALUE
        data = request.SerializeToString()
        head = data[: len(data) - length]
        # Lengths and kinds of two bytes would stand elsewhere.
        if head[-1] == length and head[_NAME_LENGTH] == len(spec.name.encode()):
            yield head, length


def _texts(values: Sequence[bytes]) -> Array:
    return np.fromiter(values, _TEXT, len(values))


def _numbers_of(spec: TensorSpec) -> Callable[[Sequence[bytes]], Array]:
    """What reads the numbers of an input from the fields that hold one each."""
    number = NUMBERS[spec.held]

    def numbers(fields: Sequence[bytes]) -> Array:
        try:
            # Messages that are written one after the other are merged when read.
            values = values_of(tensor_pb2.TensorProto.FromString(b"".join(fields)), number)
        except DecodeError:
            raise InvalidArgument("the request is no message of this method") from None
        if len(values) != len(fields):
            raise InvalidArgument(
                f"Tensor proto parsing error: `{spec.name}` has {len(values)} values for {[len(fields)]}"
            )
        return values

    return numbers


class RowWriter:
    """Writes answers. Made by `of`."""

    def __init__(self, heads: Mapping[str, tuple[bytes, np.dtype[Any]]], end: bytes) -> None:
        self._heads = heads
        self._end = end

    @classmethod
    def of(cls, outputs: Mapping[str, TensorSpec], end: bytes) -> Self | None:
        """The writer for a signature, if each of its outputs is a float for each row. `end`: what all answers share."""
        heads = {}
        for name, spec in outputs.items():
            if spec.shape != COLUMN or spec.held is None or spec.dtype not in ("float", "double"):
                return None
            response = predict_pb2.PredictResponse()
            fill(response.outputs[name], np.zeros(1, spec.held))
            heads[name] = response.SerializeToString()[: -spec.held.itemsize], spec.held
        return cls(heads, end)

    def write(self, outputs: Tensors, rows: int) -> list[bytes] | None:
        """An answer for each row, if the outputs have so many."""
        columns = []
        for name, (head, held) in self._heads.items():
            array = outputs[name]
            if array.shape != (rows,) or array.dtype != held:
                return None
            values, size = array.tobytes(), held.itemsize
            columns.append([head + values[start : start + size] for start in range(0, rows * size, size)])
        return [b"".join((*pieces, self._end)) for pieces in zip(*columns, strict=True)]
