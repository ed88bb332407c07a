"""TensorFlow Lite: the quickest for small models and few rows."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from serving.engines.cpus import available_cpus
from serving.signatures import Signature, Tensors

_MANY_ROWS: Final = 64
"""From so many on, a second thread saves a third of a call's time; of few rows there is nothing to share out."""
_THREADS: Final = 2
"""For many rows. More threads than processors would wait for one another: a call then takes ten times as long."""
_MOST_IDLE: Final = 16
"""Interpreters kept for each signature: one for every set of input shapes, as far as there are no more."""


class TfliteEngine:
    """One file for each signature. Raises what the interpreter raises: callers have TensorFlow to fall back on."""

    name = "tflite"

    def __init__(self, files: Mapping[str, Path]) -> None:
        contents = {name: path.read_bytes() for name, path in files.items()}
        self._of_few = {name: _Signature(content, 1) for name, content in contents.items()}
        self._of_many = self._of_few
        if available_cpus() >= _THREADS:
            self._of_many = {name: _Signature(content, _THREADS) for name, content in contents.items()}

    def run(self, signature: Signature, inputs: Tensors) -> Tensors:
        """See `Engine.run`."""
        has_many = len(next(iter(inputs.values()))) >= _MANY_ROWS
        return (self._of_many if has_many else self._of_few)[signature.name].run(inputs)

    def close(self) -> None:
        """See `Engine.close`."""
        self._of_few = self._of_many = {}


class _Signature:
    """The interpreters of one signature, each with as many threads. One that runs belongs to its caller alone."""

    def __init__(self, content: bytes, threads: int) -> None:
        self._content = content
        self._threads = threads
        # Whoever has asked for the indices cannot be resized any more, so this one is thrown away.
        runner = self._interpreter().get_signature_runner()
        self._inputs = {name: detail["index"] for name, detail in runner.get_input_details().items()}
        self._outputs = {name: detail["index"] for name, detail in runner.get_output_details().items()}
        self._idle: dict[tuple[tuple[int, ...], ...], Any] = {}

    def _interpreter(self) -> Any:
        import tensorflow as tf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tf.lite.Interpreter(model_content=self._content, num_threads=self._threads)

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
