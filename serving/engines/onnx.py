"""ONNX Runtime: nearly as quick as TensorFlow Lite, for more kinds of models and any number of rows."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from serving.signatures import Array, Signature, Tensors


class OnnxEngine:
    """One file for each signature. Raises whatever the runtime raises: the caller has TensorFlow to fall back on."""

    name = "onnx"

    def __init__(self, files: Mapping[str, Path]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._sessions = {
            name: onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
            for name, path in files.items()
        }

    def run(self, signature: Signature, inputs: Tensors) -> Tensors:
        """See `Engine.run`."""
        feeds = {name: _decoded(array) for name, array in inputs.items()}
        names = list(signature.outputs)
        return dict(zip(names, map(_encoded, self._sessions[signature.name].run(names, feeds)), strict=True))

    def close(self) -> None:
        """See `Engine.close`."""
        self._sessions = {}


def _decoded(array: Array) -> Array:
    """Text as `str`: of bytes, the runtime would take what Python prints of them."""
    if array.dtype != object:
        return array
    decoded = np.empty(array.size, object)
    decoded[:] = [value.decode() for value in array.ravel().tolist()]
    return decoded.reshape(array.shape)


def _encoded(array: Array) -> Array:
    if array.dtype != object:
        return array
    encoded = np.empty(array.size, object)
    encoded[:] = [value.encode() for value in array.ravel().tolist()]
    return encoded.reshape(array.shape)
