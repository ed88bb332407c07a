"""Requests that a server answers before its clients' first: TensorFlow Serving's warm-up file of a SavedModel."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

FILE: Final = Path("assets.extra", "tf_serving_warmup_requests")


def write(folder: Path, signatures: Mapping[str, Mapping[str, str]], requests: Iterable[Mapping[str, Any]]) -> None:
    """Write every request for every signature into the SavedModel in `folder`.

    `signatures` has the types of each one's inputs, and a request a value for each of these. Servers compare engines
    by them, so requests should hold what clients may send: ids that nobody knows, empty text, text that is not ASCII.
    """
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as records:
        for request in requests:
            for name, inputs in signatures.items():
                predict = predict_pb2.PredictRequest()
                predict.model_spec.name = "model"
                predict.model_spec.signature_name = name
                for column, kind in inputs.items():
                    predict.inputs[column].CopyFrom(tf.make_tensor_proto(request[column], kind))
                log = prediction_log_pb2.PredictLog(request=predict)
                records.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
