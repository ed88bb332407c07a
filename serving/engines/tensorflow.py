"""TensorFlow itself: it runs every SavedModel, as TensorFlow Serving would."""

import ctypes
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from serving.errors import Code, ServingError
from serving.signatures import PREDICT, Array, Signature, Tensors, TensorSpec

logging.getLogger("tensorflow").setLevel(logging.ERROR)

with suppress(ImportError):
    # Its operations become known by importing it; models with approximate search need them.
    import scann.scann_ops.py.scann_ops  # noqa: F401

TAG: Final = "serve"
_C_LIBRARY: Final = ctypes.CDLL(None)


class TensorFlowEngine:
    """A SavedModel in a session of its own."""

    name = "tensorflow"

    def __init__(self, folder: Path, signatures: Mapping[str, Signature], *, intra_op: int, inter_op: int) -> None:
        """Load the model. `intra_op` and `inter_op` are numbers of threads, 0 for TensorFlow's choice.

        Raises:
            ServingError: TensorFlow cannot load it.
        """
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=intra_op, inter_op_parallelism_threads=inter_op, use_per_session_threads=True
        )
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with reporting(), self._session.graph.as_default():
                tf.compat.v1.saved_model.load(self._session, [TAG], str(folder))
            self._calls = {name: self._callable(signature) for name, signature in signatures.items()}
        except BaseException:
            self._session.close()
            raise

    def _callable(self, signature: Signature) -> Callable[..., list[Any]]:
        fetches = [spec.tensor for spec in signature.outputs.values()]
        feeds = [spec.tensor for spec in signature.inputs.values()]
        call: Callable[..., list[Any]] = self._session.make_callable(fetches, feed_list=feeds)
        return call

    def run(self, signature: Signature, inputs: Tensors) -> Tensors:
        """See `Engine.run`."""
        with reporting():
            values = self._calls[signature.name](*(inputs[name] for name in signature.inputs))
        return {name: _array(value) for name, value in zip(signature.outputs, values, strict=True)}

    def close(self) -> None:
        """See `Engine.close`."""
        self._calls = {}
        self._session.close()
        # The C library keeps what was freed, and each version that comes and goes would leave some megabytes.
        if hasattr(_C_LIBRARY, "malloc_trim"):
            _C_LIBRARY.malloc_trim(0)


class reporting:  # noqa: N801  (used as a statement, like contextlib's)
    """Turns TensorFlow's errors into `ServingError` with the same code. A class, since it is on every request's way."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, tf.errors.OpError):
            raise ServingError(_code(error.error_code), _first_lines(error.message)) from error
        if isinstance(error, (TypeError, ValueError, KeyError)):
            raise ServingError(Code.INVALID_ARGUMENT, _first_lines(str(error))) from error
        if isinstance(error, OSError):
            raise ServingError(Code.NOT_FOUND, _first_lines(str(error))) from error


def _code(number: int) -> Code:
    return Code(number) if number in Code.__members__.values() else Code.UNKNOWN


def _first_lines(text: str) -> str:
    """A message without the graph's stack that TensorFlow appends."""
    return text.partition("\n\nOriginal stack trace")[0].partition("\n\t [[")[0].strip()


def _array(value: Any) -> Array:
    # A session returns scalars bare, text among them as `bytes`, whose arrays are to stay `object`.
    return value if isinstance(value, np.ndarray) else np.array(value, object if isinstance(value, bytes) else None)


def read_signatures(folder: Path) -> tuple[dict[str, Signature], bytes]:
    """The signatures of a SavedModel, and their protos within an otherwise empty serialized `MetaGraphDef`.

    Raises:
        ServingError: there is no SavedModel that can be read and is meant for serving.
    """
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except OSError as error:
        raise ServingError(
            Code.NOT_FOUND,
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {folder}",
        ) from error
    except Exception as error:
        raise ServingError(Code.DATA_LOSS, f"Can't parse {path} as a SavedModel: {error}") from error
    graph = next((graph for graph in model.meta_graphs if set(graph.meta_info_def.tags) == {TAG}), None)
    if graph is None:
        raise ServingError(
            Code.NOT_FOUND, f"Could not find meta graph def matching supplied tags: {{ {TAG} }} in {folder}"
        )
    kept = meta_graph_pb2.MetaGraphDef()
    for name, proto in graph.signature_def.items():
        kept.signature_def[name].CopyFrom(proto)
    signatures = {name: _signature(name, proto) for name, proto in graph.signature_def.items()}
    # What sets the model up when it is loaded is no function to call.
    signatures = {name: each for name, each in signatures.items() if each.outputs and not name.startswith("__saved_")}
    return signatures, kept.SerializeToString()


def _signature(name: str, proto: Any) -> Signature:
    return Signature(
        name=name,
        method=proto.method_name or PREDICT,
        inputs={key: _spec(key, proto.inputs[key]) for key in sorted(proto.inputs)},
        outputs={key: _spec(key, proto.outputs[key]) for key in sorted(proto.outputs) if proto.outputs[key].name},
    )


def _spec(name: str, info: Any) -> TensorSpec:
    dtype = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
    shape = None if info.tensor_shape.unknown_rank else tuple(int(dim.size) for dim in info.tensor_shape.dim)
    return TensorSpec(name=name, tensor=info.name, dtype=dtype, shape=shape)
