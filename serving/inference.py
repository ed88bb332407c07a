"""Answering a request, the same for REST and gRPC: find the model, run it, count and log it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.access_log import AccessLog
from serving.errors import Code, InvalidArgument, ServingError
from serving.metrics import Metrics
from serving.models.manager import Manager
from serving.models.servable import Servable
from serving.prediction_log import Place, PredictionLog
from serving.signatures import CLASSIFY, DEFAULT_SIGNATURE, REGRESS, Array, Signature, Tensors


@dataclass(slots=True)
class Call:
    """One request, as metrics and logs see it."""

    api: str
    entrypoint: str
    model: str
    version: int = 0
    signature: str = ""
    rows: int = 0
    started: float = field(default_factory=time.perf_counter)


class Inference:
    """All that can be asked of the models."""

    def __init__(self, manager: Manager, metrics: Metrics, access: AccessLog, log: PredictionLog | None = None) -> None:
        self.manager = manager
        self.metrics = metrics
        self._access = access
        self._log = log

    @contextmanager
    def counted(self, call: Call) -> Iterator[None]:
        """Count and log what happens inside."""
        try:
            yield
        except BaseException as error:
            self.done(call, error)
            raise
        self.done(call)

    def done(self, call: Call, error: BaseException | None = None) -> None:
        """A request was answered, or failed."""
        if error is None:
            code = Code.OK
        elif isinstance(error, ServingError):
            code = error.code
        else:
            code = Code.INTERNAL if isinstance(error, Exception) else Code.CANCELLED
        seconds = time.perf_counter() - call.started
        # Names that clients make up are no labels: they would fill the memory.
        model = call.model if self.manager.knows(call.model) else ""
        # TensorFlow Serving counts the examples that were computed, too, and not those that were refused.
        answered = call.rows if error is None else 0
        self.metrics.request(model, call.api, call.entrypoint, code, seconds, answered)
        self._access.request(call.entrypoint, call.api, model, call.version, call.signature, code, seconds, call.rows)

    def predict(
        self, servable: Servable, signature: Signature, inputs: Tensors, call: Call
    ) -> Tensors | asyncio.Future[Tensors]:
        """All outputs for one request, or a future of them where it takes long or others are before it.

        Raises:
            ServingError: the inputs do not fit the signature, or the model cannot answer them.
        """
        call.version, call.signature = servable.version, signature.name
        rows = signature.check(inputs)
        call.rows = rows or 1
        outputs = servable.predict(signature, inputs, rows)
        if self._log:
            place = (servable.name, servable.version, signature.name)
            if isinstance(outputs, asyncio.Future):
                outputs.add_done_callback(partial(self._log_later, place, inputs, call))
            else:
                self._log.add(place, inputs, outputs, call.rows, time.perf_counter() - call.started)
        return outputs

    def predict_together(
        self, servable: Servable, signature: Signature, inputs: Tensors, rows: int, calls: Sequence[Call]
    ) -> Tensors:
        """All outputs for several requests, whose rows (`Call.rows`) follow one another in inputs that were checked.

        Raises:
            ServingError: the model cannot answer them.
        """
        for call in calls:
            call.version, call.signature = servable.version, signature.name
        outputs = servable.run(signature, inputs, rows)
        if self._log:
            place = (servable.name, servable.version, signature.name)
            sizes = [call.rows for call in calls]
            parts = zip(calls, split(inputs, rows, sizes), split(outputs, rows, sizes), strict=True)
            for call, asked, answered in parts:
                self._log.add(place, asked, answered, call.rows, time.perf_counter() - call.started)
        return outputs

    def _log_later(self, place: Place, inputs: Tensors, call: Call, outputs: asyncio.Future[Tensors]) -> None:
        if self._log and not outputs.cancelled() and not outputs.exception():
            self._log.add(place, inputs, outputs.result(), call.rows, time.perf_counter() - call.started)

    async def classify(
        self, servable: Servable, name: str, examples: input_pb2.Input, call: Call
    ) -> classification_pb2.ClassificationResult:
        """Classes and scores for each example."""
        signature = _method_signature(servable, name, CLASSIFY, "classification")
        outputs, rows = await self._run_examples(servable, signature, examples, call)
        classes, scores = outputs.get("classes"), outputs.get("scores")
        if classes is None and scores is None:
            raise InvalidArgument(
                'Expected classification signature outputs to contain at least one of "classes" or "scores".'
            )
        for array in (classes, scores):
            if array is not None and (array.ndim != 2 or array.shape[0] != rows):
                raise InvalidArgument(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
        if classes is not None and scores is not None and classes.shape != scores.shape:
            raise InvalidArgument(
                f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
            )
        result = classification_pb2.ClassificationResult()
        for row in range(rows):
            found = result.classifications.add()
            columns = (classes if classes is not None else scores).shape[1]  # type: ignore[union-attr]
            for column in range(columns):
                found.classes.add(
                    label="" if classes is None else classes[row, column].decode(errors="replace"),
                    score=0.0 if scores is None else float(scores[row, column]),
                )
        return result

    async def regress(
        self, servable: Servable, name: str, examples: input_pb2.Input, call: Call
    ) -> regression_pb2.RegressionResult:
        """One value for each example."""
        signature = _method_signature(servable, name, REGRESS, "regression")
        outputs, rows = await self._run_examples(servable, signature, examples, call)
        values = outputs.get("outputs")
        if values is None:
            raise InvalidArgument(f"No regression outputs found in SignatureDef: {signature.name}")
        if values.shape not in ((rows,), (rows, 1)):
            raise InvalidArgument(
                f"Expected output Tensor shape to be either [{rows}] or [{rows} 1] but got {_shape(values)}"
            )
        result = regression_pb2.RegressionResult()
        for value in values.reshape(-1):
            result.regressions.add(value=float(value))
        return result

    async def _run_examples(
        self, servable: Servable, signature: Signature, examples: input_pb2.Input, call: Call
    ) -> tuple[Tensors, int]:
        serialized = _serialized(examples)
        if signature.inputs.keys() != {"inputs"}:
            raise InvalidArgument("Expected one input Tensor.")
        outputs = self.predict(servable, signature, {"inputs": serialized}, call)
        return await outputs if isinstance(outputs, asyncio.Future) else outputs, len(serialized)


def split(tensors: Tensors, rows: int, sizes: Sequence[int]) -> list[Tensors]:
    """The tensors of each of several requests. There may be more rows than the requests have.

    Raises:
        ServingError: there is not one value for each row, and it matters.
    """
    if len(sizes) == 1:
        return [tensors]
    if any(not array.ndim or len(array) != rows for array in tensors.values()):
        raise ServingError(Code.INTERNAL, "the model does not answer one row for each")
    found: list[Tensors] = []
    start = 0
    for size in sizes:
        end = start + size
        found.append({name: array[start:end] for name, array in tensors.items()})
        start = end
    return found


def _shape(array: Array) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _method_signature(servable: Servable, name: str, method: str, kind: str) -> Signature:
    signature = servable.signature(name)
    if signature is None:
        raise InvalidArgument(f"No signature was found with the name: {name or DEFAULT_SIGNATURE}")
    if signature.method != method:
        raise InvalidArgument(f"Expected {kind} signature method_name to be {method}. Was: {signature.method}")
    return signature


def _serialized(examples: input_pb2.Input) -> Array:
    """Each example as bytes, with what they share merged in, as TensorFlow's parser expects them."""
    kind: Any = examples.WhichOneof("kind")
    if kind == "example_list_with_context":
        listed = examples.example_list_with_context
        shared = listed.context.SerializeToString()
        # Messages that are written one after the other are merged when read; a feature of the example itself wins.
        found = [shared + example.SerializeToString() for example in listed.examples]
    else:
        found = [example.SerializeToString() for example in examples.example_list.examples]
    if not found:
        raise InvalidArgument("Input is empty.")
    array = np.empty(len(found), object)
    array[:] = found
    return array
