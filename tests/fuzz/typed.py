"""Requests of many plain rows: the short way to read them gives what the general one gives, or leaves them to it."""

from typing import Any

import numpy as np

from serving.errors import ServingError
from serving.rest import decode
from serving.rest.parse import parse_object
from serving.rest.typed import TypedRows
from serving.signatures import Tensors, TensorSpec


def specs(**dtypes: str) -> dict[str, TensorSpec]:
    """Inputs that take one value of each row."""
    return {name: TensorSpec(name, name, dtype, (-1,)) for name, dtype in dtypes.items()}


SPECS = specs(
    text="string",
    flag="bool",
    tiny="int8",
    long="int64",
    natural="uint64",
    single="float",
    double="double",
    other="float",
)
ROW = {
    "text": "a\u00e9",
    "flag": True,
    "tiny": -1,
    "long": 5,
    "natural": 2**64 - 1,
    "single": 0.1,
    "double": 0.1,
    "other": 1,
}
READER = TypedRows.of(SPECS)


def general(body: bytes) -> Tensors | str:
    """What the general way makes of a body, or how it refuses it."""
    try:
        document = parse_object(body)
        if decode.signature_name(document):
            return "another signature"
        inputs, as_rows = decode.decode(document, SPECS)
    except ServingError as error:
        return str(error)
    return inputs if as_rows else "columns"


def content(inputs: Tensors) -> dict[str, tuple[np.dtype[Any], object]]:
    """Tensors as what can be compared, signs of zeros and all."""
    return {
        name: (array.dtype, array.tolist() if array.dtype == object else array.tobytes())
        for name, array in inputs.items()
    }


@np.errstate(over="ignore")  # as the server has it
def check(body: bytes) -> str:
    """Read a body; "left" to the general way, or "read".

    Raises:
        AssertionError: the general way reads something else.
    """
    assert READER
    found = READER.decode(body)
    if found is None:
        return "left"
    expected = general(body)
    assert not isinstance(expected, str), expected
    assert content(found) == content(expected), body
    return "read"
