"""What a model takes and answers, free of TensorFlow's types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving.errors import InvalidArgument

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]
"""Values by the names of a signature. Text and bytes are arrays of `object` that hold `bytes`."""

DEFAULT_SIGNATURE: Final = "serving_default"
PREDICT: Final = "tensorflow/serving/predict"
CLASSIFY: Final = "tensorflow/serving/classify"
REGRESS: Final = "tensorflow/serving/regress"

NUMPY: Final[Mapping[str, Any]] = {
    "float": np.float32,
    "double": np.float64,
    "half": np.float16,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
    "complex64": np.complex64,
    "complex128": np.complex128,
    "string": object,
}
"""TensorFlow's name of a type -> the type of the array that holds its values."""

COLUMN: Final = (-1,)
"""The shape of nearly every input: a value for each row."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output."""

    name: str
    tensor: str
    """Its name in the graph."""
    dtype: str
    """TensorFlow's name of its type, a key of `NUMPY` where this server can hold it."""
    shape: tuple[int, ...] | None
    """-1 for a size that is free; `None` for a free rank."""
    held: np.dtype[Any] | None = field(init=False)
    """The type of the array that holds its values, where this server can hold them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", np.dtype(NUMPY[self.dtype]) if self.dtype in NUMPY else None)

    def check(self, array: Array, longest: int = 0) -> None:
        """Raise what is wrong with a value's type or shape. `longest`: so long may lists within a row be; 0: any."""
        if array.dtype != self.held:
            raise InvalidArgument(f"input `{self.name}` has type {array.dtype}, expected {self.dtype}")
        shape = (-1,) * array.ndim if self.shape is None else self.shape
        if len(array.shape) != len(shape) or any(
            wanted not in (-1, size) for wanted, size in zip(shape, array.shape, strict=True)
        ):
            raise InvalidArgument(
                f"input `{self.name}` has shape {list(array.shape)}, expected {list(shape)} (-1: any size)"
            )
        for wanted, size in zip(shape[1:], array.shape[1:], strict=True):
            if wanted == -1 and 0 < longest < size:
                raise InvalidArgument(
                    f"input `{self.name}` has lists of {size} values, at most {longest} are taken (--max_list_length)"
                )


@dataclass(frozen=True, slots=True)
class Signature:
    """One function of a model."""

    name: str
    method: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    longest_list: int = 0
    """So many values may a list within a row of a request have; 0: any number."""
    batchable: bool = field(init=False)
    """Whether rows of different requests may be put together: every input and output has a free first size."""

    def __post_init__(self) -> None:
        specs = (*self.inputs.values(), *self.outputs.values())
        batchable = bool(self.inputs) and all(spec.shape is not None and spec.shape[:1] == (-1,) for spec in specs)
        object.__setattr__(self, "batchable", batchable)

    def check(self, inputs: Tensors) -> int | None:
        """How many rows the inputs of a request have, or `None` if they do not agree on that.

        Raises:
            InvalidArgument: their names, types or shapes are not those of the signature.
        """
        if inputs.keys() != self.inputs.keys():
            extra = sorted(inputs.keys() - self.inputs.keys())
            missing = sorted(self.inputs.keys() - inputs.keys())
            raise InvalidArgument(
                f"input size does not match signature: {len(inputs)}!={len(self.inputs)} "
                f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(sorted(self.inputs))}}}). "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
            )
        for name, spec in self.inputs.items():
            array = inputs[name]
            if array.dtype is not spec.held or array.ndim != 1 or spec.shape != COLUMN:
                spec.check(array, self.longest_list)
        return rows_of(inputs)


def rows_of(inputs: Tensors) -> int | None:
    """How many rows a request has, or `None` if its inputs do not agree on that."""
    rows = None
    for array in inputs.values():
        if not array.ndim or rows not in (None, len(array)):
            return None
        rows = len(array)
    return rows
