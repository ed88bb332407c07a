"""Requests of many plain rows, read by a decoder made for their signature: a quarter less work than by way of dicts.

It takes what is nothing but `instances`, each an object with a plain value of the right type for every input. Anything
else is left to `decode`, which alone knows the rules for it, and tells what is wrong.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final, Self

import msgspec
import numpy as np

from serving.signatures import COLUMN, NUMPY, Array, TensorSpec

_INTEGERS: Final = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_TYPES: Final[Mapping[str, type]] = {
    "string": str,
    "bool": bool,
    "float": float,
    "double": float,
    **dict.fromkeys(_INTEGERS, int),
}


class TypedRows:
    """Reads requests for one signature. Made by `of`."""

    def __init__(self, decoder: msgspec.json.Decoder[Any], columns: Mapping[str, tuple[Any, np.dtype[Any]]]) -> None:
        self._decoder = decoder
        self._columns = columns

    @classmethod
    def of(cls, specs: Mapping[str, TensorSpec]) -> Self | None:
        """The reader for these inputs, if each takes one plain value of each row."""
        if not specs or any(spec.shape != COLUMN or spec.dtype not in _TYPES for spec in specs.values()):
            return None
        fields = {f"input_{place}": spec for place, spec in enumerate(specs.values())}
        try:
            row = msgspec.defstruct(
                "Row",
                [(field, _TYPES[spec.dtype]) for field, spec in fields.items()],
                rename={field: spec.name for field, spec in fields.items()},
                forbid_unknown_fields=True,
                gc=False,
            )
        except ValueError:
            return None  # the name of an input has a quote or a backslash
        rows = msgspec.defstruct("Rows", [("instances", list[row])], forbid_unknown_fields=True, gc=False)  # type: ignore[valid-type]
        held = {spec.name: (attrgetter(field), np.dtype(NUMPY[spec.dtype])) for field, spec in fields.items()}
        return cls(msgspec.json.Decoder(rows), held)

    def decode(self, body: bytes) -> dict[str, Array] | None:
        """The inputs that a request's body holds, if it is such a one."""
        try:
            rows = self._decoder.decode(body).instances
            columns = {}
            for name, (value_of, held) in self._columns.items():
                values = map(value_of, rows)
                columns[name] = np.fromiter(map(str.encode, values) if held.hasobject else values, held, len(rows))
        except (msgspec.DecodeError, UnicodeDecodeError, OverflowError):
            return None
        return columns if rows else None
