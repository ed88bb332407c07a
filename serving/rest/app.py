"""TensorFlow Serving's REST interface over the models: from a request to its answer."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from serving import page
from serving.errors import Code, ServingError
from serving.gathering import Gathering
from serving.inference import Call, Inference, split
from serving.models.servable import Servable
from serving.rest import decode, encode, examples, paths
from serving.rest.answer import Answer, told
from serving.rest.connection import Reply
from serving.rest.parse import parse_object
from serving.rest.typed import TypedRows
from serving.rest.views import metadata_json, status_json
from serving.signatures import DEFAULT_SIGNATURE, Signature, Tensors

_PROMETHEUS: Final = b"text/plain; version=0.0.4; charset=utf-8"
_HTML: Final = b"text/html; charset=utf-8"
_TEXT: Final = b"text/plain; charset=utf-8"
_MANY_BYTES: Final = 2048
"""A body of so many may be of many rows. With few, requests are better gathered."""


class RestApp:
    """See https://www.tensorflow.org/tfx/serving/api_rest for what it answers."""

    def __init__(self, inference: Inference, metrics_path: str, *, cors: bool = False) -> None:
        self._inference = inference
        self._manager = inference.manager
        self._metrics_path = metrics_path
        self._cors = cors
        self._gathering = Gathering(inference, JsonRows())

    def respond(self, method: str, path: str, body: bytes) -> Reply:
        """The answer to a request, or a coroutine of it where a model must be waited for."""
        try:
            return self._respond(method, path, body)
        except Exception as error:  # noqa: BLE001
            return told(error)

    def _respond(self, method: str, path: str, body: bytes) -> Reply:
        if self._cors and method == "OPTIONS":
            return Answer(200, b"", _TEXT)
        if path[:4].lower() == "/v1/":
            target = paths.parse(method, path)
            if method == "GET":
                return Answer(200, self._look(target))
            if target.verb == "predict":
                return self._predict(target, body)
            return self._answer_examples(target, body)
        if method in ("GET", "HEAD"):
            return self._own(method, path)
        raise _no_handler(method, path)

    def _own(self, method: str, path: str) -> Answer:
        """What TensorFlow Serving does not have."""
        if path == "/":
            return Answer(200, page.HTML, _HTML)
        if path == "/overview.json":
            return Answer(200, page.overview(self._manager, self._inference.metrics))
        if path == "/healthz":
            return Answer(200, b"ok\n", _TEXT)
        if path == self._metrics_path:
            return Answer(200, self._inference.metrics.exposition(), _PROMETHEUS)
        if path == "/readyz":
            return Answer(200, b"ok\n", _TEXT) if self._manager.ready else Answer(503, b"not ready\n", _TEXT)
        raise _no_handler(method, path)

    def _predict(self, target: paths.Target, body: bytes) -> Reply:
        call = Call("Predict", "REST", target.model)
        try:
            typed = self._typed_rows(target, body) if len(body) >= _MANY_BYTES else None
            if typed:
                servable, signature, inputs = typed
                as_rows = True
            else:
                document = parse_object(body)
                servable = self._manager.find(target.model, target.version, target.label)
                name = decode.signature_name(document)
                signature = _signature(servable, name)
                instances: Any = document.get("instances")
                plain = isinstance(instances, list) and "inputs" not in document
                if plain and self._gathering.takes(len(instances), servable, signature):
                    return self._gathering.add(servable, signature, instances, call)
                inputs, as_rows = decode.decode(document, signature.inputs)
            outputs = self._inference.predict(servable, signature, inputs, call)
            if isinstance(outputs, asyncio.Future):
                return self._predicted(outputs, call, as_rows=as_rows)
            answer = _encoded(outputs, as_rows=as_rows)
        except BaseException as error:
            self._inference.done(call, error)
            raise
        self._inference.done(call)
        return answer

    def _typed_rows(self, target: paths.Target, body: bytes) -> tuple[Servable, Signature, Tensors] | None:
        """Who is asked for what, if the request is of plain rows for the default signature."""
        # What is wrong with a request's body is told before what is wrong with its address.
        with suppress(ServingError):
            servable = self._manager.find(target.model, target.version, target.label)
            signature = _signature(servable, DEFAULT_SIGNATURE)
            reader = servable.prepared(_reader, signature)
            inputs = reader.decode(body) if reader else None
            if inputs:
                return servable, signature, inputs
        return None

    async def _predicted(self, outputs: asyncio.Future[Tensors], call: Call, *, as_rows: bool) -> Answer:
        try:
            with self._inference.counted(call):
                return _encoded(await outputs, as_rows=as_rows)
        except Exception as error:  # noqa: BLE001
            return told(error)

    async def _answer_examples(self, target: paths.Target, body: bytes) -> Answer:
        call = Call(target.verb.capitalize(), "REST", target.model)
        try:
            with self._inference.counted(call):
                document = parse_object(body)
                servable = self._manager.find(target.model, target.version, target.label)
                name, asked = decode.signature_name(document), examples.decode(document)
                if target.verb == "classify":
                    classes = await self._inference.classify(servable, name, asked, call)
                    return Answer(200, examples.classifications(classes))
                return Answer(200, examples.regressions(await self._inference.regress(servable, name, asked, call)))
        except Exception as error:  # noqa: BLE001
            return told(error)

    def _look(self, target: paths.Target) -> bytes:
        if target.verb == "metadata":
            return metadata_json(self._manager.find(target.model, target.version, target.label))
        return status_json(self._manager.status(target.model, target.version, target.label))


class JsonRows:
    """What requests that are gathered need: see `Interface`."""

    def inputs(self, _servable: Servable, signature: Signature, rows: list[Any]) -> Tensors:
        """What elements of `instances` hold."""
        inputs = decode.rows(rows, signature.inputs)
        signature.check(inputs)
        return inputs

    def answers(
        self, _servable: Servable, _signature: Signature, outputs: Tensors, rows: int, sizes: Sequence[int]
    ) -> list[Answer]:
        """Each as rows."""
        return [Answer(200, encode.rows(each)) for each in split(outputs, rows, sizes)]

    def failure(self, error: Exception) -> Answer:
        """In words."""
        return told(error)


def _reader(_servable: Servable, signature: Signature) -> TypedRows | None:
    return TypedRows.of(signature.inputs)


def _signature(servable: Servable, name: str) -> Signature:
    signature = servable.signature(name)
    if signature is None:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f'Serving signature name: "{name or DEFAULT_SIGNATURE}" not found in signature def',
        )
    return signature


def _encoded(outputs: Tensors, *, as_rows: bool) -> Answer:
    return Answer(200, encode.rows(outputs) if as_rows else encode.columns(outputs))


def _no_handler(method: str, path: str) -> ServingError:
    return ServingError(Code.NOT_FOUND, f"No handler for: {method} {path}")
