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
"""A call that takes no more processor time runs at once in the event loop: it costs less than the way to a thread and
back, for which both contend for Python's lock."""
_INLINE_SIZES: Final = (1, 16, 100, 400)
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
        self._compiled: dict[str, Engine] = {}
        """Signature -> what answers it in TensorFlow's place."""
        self.reason = "as asked" if wanted == "tf" else "no other engine has been compared yet"
        """Why the engine is the one that it is."""
        self._inline_rows: dict[str, int] = {}

    @property
    def name(self) -> str:
        """The engines that requests go to."""
        names = {engine.name for engine in self._compiled.values()}
        return "+".join(sorted(names)) or self._tensorflow.name

    def runs_inline(self, signature: Signature, rows: int) -> bool:
        """Whether a call is so short that it may run in the event loop."""
        return rows <= self._inline_rows.get(signature.name, 0)

    def answering(self, signature: Signature) -> str:
        """The engine that requests for a signature go to."""
        return self._compiled.get(signature.name, self._tensorflow).name

    def run(self, signature: Signature, inputs: Tensors, rows: int | None = None) -> Tensors:
        """See `Engine.run`. `rows`: as many as there are, where that is known."""
        compiled = self._compiled.get(signature.name)
        # Inputs of unequal length, and none at all, are nothing that was compared.
        if compiled is not None and signature.batchable and (rows or rows_of(inputs)):
            try:
                return compiled.run(signature, inputs)
            except Exception:
                log.debug("%s does not answer, TensorFlow is asked", compiled.name, exc_info=True)
        return self._tensorflow.run(signature, inputs)

    def choose(self, wanted: str, folder: Path, signatures: Mapping[str, Signature], known: Sequence[Request]) -> None:
        """Try the engines that `wanted` allows, for each signature until one answers the known requests alike."""
        compared: dict[str, list[Tensors]] = {name: [] for name in sorted(signatures) if signatures[name].batchable}
        for name, inputs in known:
            if name in compared and rows_of(inputs):
                compared[name].append(inputs)
        reasons = {
            name: ["no known requests to compare answers"] for name, requests in compared.items() if not requests
        }
        left = {name: requests for name, requests in compared.items() if requests}
        for kind in CANDIDATES[wanted]:
            for name, failure in self._try(kind, folder, signatures, left).items():
                reasons.setdefault(name, []).append(f"{kind}: {failure}")
            left = {name: requests for name, requests in left.items() if name not in self._compiled}
        if wanted != "tf":
            self.reason = self._explain(compared, reasons)

    def _explain(self, compared: Iterable[str], reasons: Mapping[str, Sequence[str]]) -> str:
        told = [
            f"{name} by {self._compiled[name].name}, which gave TensorFlow's answers"
            if name in self._compiled
            else f"{name} by TensorFlow ({'; '.join(reasons[name])})"
            for name in compared
        ]
        return ", ".join(told) or "no signature takes rows"

    def _try(
        self, kind: str, folder: Path, signatures: Mapping[str, Signature], left: Mapping[str, Sequence[Tensors]]
    ) -> dict[str, str]:
        """Put signatures on an engine; why not, for those that it cannot have."""
        if not left:
            return {}
        try:
            with tempfile.TemporaryDirectory() as into:
                files, failed = convert(kind, folder, Path(into), left)
                engine = _COMPILED[kind](files) if files else None
        except Exception as error:  # noqa: BLE001
            # Whatever a converter or a runtime comes up with, TensorFlow still serves.
            return dict.fromkeys(left, _told(error))
        for name in files:
            assert engine
            try:
                self._prove(engine, signatures[name], left[name])
            except Exception as error:  # noqa: BLE001
                failed[name] = _told(error)
        return failed

    def _prove(self, engine: Engine, signature: Signature, known: Sequence[Tensors]) -> None:
        """Let an engine have a signature if it answers all known requests, and variations of them, as TensorFlow."""
        for inputs in _varied(known):
            difference = _difference(self._tensorflow.run(signature, inputs), engine.run(signature, inputs))
            if difference:
                raise ServingError(Code.FAILED_PRECONDITION, f"answers differ: {difference}")
        self._inline_rows[signature.name] = _inline_rows(engine, signature, known[0])
        self._compiled[signature.name] = engine

    def close(self) -> None:
        """See `Engine.close`."""
        for engine in self._compiled.values():
            engine.close()
        self._tensorflow.close()


def _told(error: Exception) -> str:
    return error.message if isinstance(error, ServingError) else repr(error)[:160]


def _varied(known: Iterable[Tensors]) -> Iterable[Tensors]:
    """The requests, as they are and repeated to other numbers of rows."""
    for inputs in known:
        yield inputs
        # Lists in the rows, where there are any, may be shorter too.
        yield {key: array[:, :1] if array.ndim > 1 else array for key, array in inputs.items()}
        for size in _SIZES:
            yield _resized(inputs, size)


def _resized(inputs: Tensors, size: int) -> Tensors:
    places = np.arange(size) % (rows_of(inputs) or 1)
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


def _inline_rows(engine: Engine, signature: Signature, known: Tensors) -> int:
    """The most rows for which a call is quick enough for the event loop."""
    most = 0
    for size in _INLINE_SIZES:
        inputs = _resized(known, size)
        times = []
        for _ in range(20):
            started = time.thread_time()
            engine.run(signature, inputs)
            times.append(time.thread_time() - started)
        if min(times) > _INLINE_SECONDS:
            break
        most = size
    return most
