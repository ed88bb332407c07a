"""A compiled engine in TensorFlow's place, if it gives the same answers to known requests. TensorFlow on any doubt."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from serving.engines.base import Engine
from serving.engines.convert import convert
from serving.engines.onnx import OnnxEngine
from serving.engines.tflite import TfliteEngine
from serving.errors import Code, ServingError
from serving.signatures import Array, Signature, Tensors, rows_of

log = logging.getLogger(__name__)

Request = tuple[str, Tensors]
"""The name of a signature, and inputs for it."""

TOLERANCE: Final = 1e-4
"""How far numbers may differ, absolute for small ones and relative for large ones: sums in another order."""
_SIZES: Final = (1, 2, 7, 100)
"""Numbers of rows that each known request is repeated to."""
_INLINE_SECONDS: Final = 0.0005
"""A call that takes no longer runs at once in the event loop: handing it to a thread would cost as much."""
_COMPILED: Final[Mapping[str, Callable[[Mapping[str, Path]], Engine]]] = {"tflite": TfliteEngine, "onnx": OnnxEngine}
CANDIDATES: Final[Mapping[str, Sequence[str]]] = {
    "auto": ("tflite", "onnx"),
    "tflite": ("tflite",),
    "onnx": ("onnx",),
    "tf": (),
}


class ChosenEngine:
    """TensorFlow, and for what it has proven to do alike, a compiled engine."""

    def __init__(self, tensorflow: Engine, wanted: str) -> None:
        self._tensorflow = tensorflow
        self._compiled: Engine | None = None
        self.reason = "as asked" if wanted == "tf" else "no other engine has been compared yet"
        """Why the engine is the one that it is."""
        self.inline_rows = 0
        """Up to how many rows a call is so short that it may run in the event loop."""

    @property
    def name(self) -> str:
        """The engine that most requests go to."""
        return (self._compiled or self._tensorflow).name

    def run(self, signature: Signature, inputs: Tensors) -> Tensors:
        """See `Engine.run`."""
        compiled = self._compiled
        # Inputs of unequal length, and none at all, are nothing that was compared.
        if compiled is not None and signature.batchable and rows_of(inputs):
            try:
                return compiled.run(signature, inputs)
            except Exception:
                log.debug("%s does not answer, TensorFlow is asked", compiled.name, exc_info=True)
        return self._tensorflow.run(signature, inputs)

    def choose(self, wanted: str, folder: Path, signatures: Mapping[str, Signature], known: Sequence[Request]) -> None:
        """Try the engines that `wanted` allows, one after the other, until one answers the known requests alike."""
        reasons = []
        for kind in CANDIDATES[wanted]:
            try:
                compiled = self._prove(kind, folder, signatures, known)
            except Exception as error:  # noqa: BLE001
                # Whatever a converter or a runtime comes up with, TensorFlow still serves.
                reasons.append(f"{kind}: {error.message if isinstance(error, ServingError) else repr(error)[:300]}")
                continue
            self.inline_rows = _inline_rows(compiled, signatures, known)
            self._compiled = compiled
            self.reason = f"{compiled.name} gave TensorFlow's answers to {len(known)} known requests"
            return
        if reasons:
            self.reason = "; ".join(reasons)

    def _prove(self, kind: str, folder: Path, signatures: Mapping[str, Signature], known: Sequence[Request]) -> Engine:
        batchable = {name for name, signature in signatures.items() if signature.batchable}
        unknown = batchable - {name for name, _ in known}
        if unknown or not batchable:
            missing = ", ".join(sorted(unknown)) or "any signature that takes rows"
            raise ServingError(Code.FAILED_PRECONDITION, f"no known requests to compare answers for {missing}")
        with tempfile.TemporaryDirectory() as into:
            compiled = _COMPILED[kind](convert(kind, folder, Path(into), sorted(batchable)))
        for name, inputs in _varied(known):
            difference = _difference(
                self._tensorflow.run(signatures[name], inputs), compiled.run(signatures[name], inputs)
            )
            if difference:
                raise ServingError(Code.FAILED_PRECONDITION, f"answers of {name} differ: {difference}")
        return compiled

    def close(self) -> None:
        """See `Engine.close`."""
        if self._compiled:
            self._compiled.close()
        self._tensorflow.close()


def _varied(known: Iterable[Request]) -> Iterable[Request]:
    """The requests, as they are and repeated to other numbers of rows."""
    for name, inputs in known:
        rows = rows_of(inputs)
        if rows:
            yield name, inputs
            # Lists in the rows, where there are any, may be shorter too.
            yield name, {key: array[:, :1] if array.ndim > 1 else array for key, array in inputs.items()}
            for size in _SIZES:
                yield name, _resized(inputs, rows, size)


def _resized(inputs: Tensors, rows: int, size: int) -> Tensors:
    places = np.arange(size) % rows
    return {key: array[places] for key, array in inputs.items()}


def _difference(expected: Tensors, found: Tensors) -> str:
    """What differs, or nothing."""
    if expected.keys() != found.keys():
        return f"outputs {sorted(found)}, not {sorted(expected)}"
    for name, array in expected.items():
        if array.shape != found[name].shape or array.dtype != found[name].dtype:
            return f"`{name}` is {found[name].dtype} {found[name].shape}, not {array.dtype} {array.shape}"
        if not _close(array, found[name]):
            return f"`{name}` by more than {TOLERANCE}"
    return ""


def _close(expected: Array, found: Array) -> bool:
    if expected.dtype.kind == "f":
        return bool(np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
    return bool(np.array_equal(expected, found))


def _inline_rows(engine: Engine, signatures: Mapping[str, Signature], known: Iterable[Request]) -> int:
    """The most rows for which the slowest signature is still quick enough for the event loop."""
    requests = {name: inputs for name, inputs in known if rows_of(inputs)}
    most = 0
    for size in (1, 10, 100):
        for name, inputs in requests.items():
            resized = _resized(inputs, rows_of(inputs) or 1, size)
            times = []
            for _ in range(5):
                started = time.perf_counter()
                engine.run(signatures[name], resized)
                times.append(time.perf_counter() - started)
            if min(times) > _INLINE_SECONDS:
                return most
        most = size
    return most
