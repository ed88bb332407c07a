"""Requests that an export left with the model, to be answered before clients come: `assets.extra` of the SavedModel."""

from pathlib import Path
from typing import Final

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.errors import Code, ServingError
from serving.signatures import DEFAULT_SIGNATURE, Tensors
from serving.tensor_protos import to_array

FILE: Final = Path("assets.extra", "tf_serving_warmup_requests")
_MOST: Final = 1000
"""TensorFlow Serving reads no more either."""


def requests(folder: Path) -> list[tuple[str, Tensors]]:
    """The predict requests in a version's folder, each with the name of its signature; none if it has no such file.

    Raises:
        ServingError: the file is broken, or longer than TensorFlow Serving allows.
    """
    path = folder / FILE
    if not path.exists():
        return []
    found: list[tuple[str, Tensors]] = []
    try:
        for place, record in enumerate(tf.compat.v1.io.tf_record_iterator(str(path))):
            if place == _MOST:
                raise ServingError(Code.INVALID_ARGUMENT, f"{path} has more than {_MOST} requests")
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.HasField("predict_log"):
                request = log.predict_log.request
                inputs = {name: to_array(name, proto) for name, proto in request.inputs.items()}
                found.append((request.model_spec.signature_name or DEFAULT_SIGNATURE, inputs))
    except (tf.errors.OpError, ValueError) as error:
        raise ServingError(Code.DATA_LOSS, f"{path} cannot be read: {error}") from error
    return found
