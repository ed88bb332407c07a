"""TensorFlow Lite: the quickest for small models and few rows."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from serving.signatures import Signature, Tensors

_MOST_IDLE: Final = 16
"""Interpreters kept for each signature: one for every set of input shapes, as far as there are no more."""


class TfliteEngine:
    """One file for each signature. Raises what the interpreter raises: callers have TensorFlow to fall back on."""

    name = "tflite"

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._signatures = {name: _Signature(path.read_bytes()) for name, path in files.items()}

    def run(self, signature: Signature, inputs: Tensors) -> Tensors:
        """See `Engine.run`."""
        return self._signatures[signature.name].run(inputs)

    def close(self) -> None:
        """See `Engine.close`."""
        self._signatures = {}


class _Signature:
    """The interpreters of one signature. One that runs belongs to its thread alone."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        # Whoever has asked for the indices cannot be resized any more, so this one is thrown away.
        runner = self._interpreter().get_signature_runner()
        self._inputs = {name: detail["index"] for name, detail in runner.get_input_details().items()}
        self._outputs = {name: detail["index"] for name, detail in runner.get_output_details().items()}
        self._idle: dict[tuple[tuple[int, ...], ...], Any] = {}

    def _interpreter(self) -> Any:
        import tensorflow as tf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tf.lite.Interpreter(model_content=self._content, num_threads=1)

    def run(self, inputs: Tensors) -> Tensors:
        shapes = tuple([inputs[name].shape for name in self._inputs])
        interpreter = self._idle.pop(shapes, None)
        if interpreter is None:
            interpreter = self._sized(shapes)
        for name, index in self._inputs.items():
            interpreter.set_tensor(index, inputs[name])
        interpreter.invoke()
        outputs = {name: interpreter.get_tensor(index) for name, index in self._outputs.items()}
        self._idle[shapes] = interpreter
        for name, array in outputs.items():
            if array.dtype.kind == "S":
                outputs[name] = array.astype(object)
        return outputs

    def _sized(self, shapes: tuple[tuple[int, ...], ...]) -> Any:
        """An interpreter for these shapes: the one longest unused, if there are enough."""
        interpreter = None
        if len(self._idle) >= _MOST_IDLE:
            try:
                interpreter = self._idle.pop(next(iter(self._idle)))
            except (KeyError, StopIteration, RuntimeError):
                interpreter = None  # other threads took them
        interpreter = interpreter or self._interpreter()
        for index, shape in zip(self._inputs.values(), shapes, strict=True):
            interpreter.resize_tensor_input(index, shape)
        interpreter.allocate_tensors()
        return interpreter
