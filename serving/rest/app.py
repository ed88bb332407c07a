"""The ASGI application: TensorFlow Serving's REST interface over the models."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from serving import page
from serving.errors import Code, ServingError
from serving.inference import Call, Inference
from serving.rest import decode, encode, examples, paths
from serving.rest.parse import parse_object
from serving.rest.views import metadata_json, status_json
from serving.signatures import DEFAULT_SIGNATURE

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

log = logging.getLogger(__name__)

JSON: Final = b"application/json"
_PROMETHEUS: Final = b"text/plain; version=0.0.4; charset=utf-8"
_HTML: Final = b"text/html; charset=utf-8"
_TEXT: Final = b"text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    body: bytes
    content_type: bytes = JSON


@dataclass(frozen=True, slots=True)
class RestLimits:
    """What a client may ask of the server."""

    body_bytes: int = 64 * 2**20
    seconds: float = 30.0
    """For a request's body to arrive, and again for its answer to be computed."""


class RestApp:
    """See https://www.tensorflow.org/tfx/serving/api_rest for what it answers."""

    def __init__(self, inference: Inference, limits: RestLimits, metrics_path: str) -> None:
        self._inference = inference
        self._manager = inference.manager
        self._limits = limits
        self._metrics_path = metrics_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope["method"], scope["raw_path"].decode("latin-1"), scope, receive)
        except ServingError as error:
            answer = Answer(error.code.http_status, orjson.dumps({"error": error.message}))
        except ConnectionError:
            return  # the client has gone
        except Exception:
            log.exception("a request failed: this is a mistake of the server")
            answer = Answer(500, b'{"error":"internal error; the server\'s log says more"}')
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", answer.content_type),
                    (b"content-length", str(len(answer.body)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, method: str, path: str, scope: Scope, receive: Receive) -> Answer:
        if path[:4].lower() == "/v1/":
            target = paths.parse(method, path)
            if method == "GET":
                return Answer(200, self._look(target))
            return Answer(200, await self._call(target, await self._body(scope, receive)))
        if method in ("GET", "HEAD"):
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
        raise ServingError(Code.NOT_FOUND, f"No handler for: {method} {path}")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body of a request, if it is not too large and comes in time."""
        limit = self._limits.body_bytes
        message = await receive()
        if not message.get("more_body") and message["type"] == "http.request":
            body: bytes = message["body"]
            if len(body) > limit:
                raise _too_large(limit)
            return body
        declared = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
        if declared > limit:
            raise _too_large(limit)
        parts = bytearray()
        try:
            async with asyncio.timeout(self._limits.seconds):
                while True:
                    if message["type"] == "http.disconnect":
                        raise ConnectionAbortedError
                    parts += message["body"]
                    if len(parts) > limit:
                        raise _too_large(limit)
                    if not message.get("more_body"):
                        return bytes(parts)
                    message = await receive()
        except TimeoutError:
            raise ServingError(
                Code.DEADLINE_EXCEEDED, f"the request's body did not arrive within {self._limits.seconds:g} s"
            ) from None

    async def _call(self, target: paths.Target, body: bytes) -> bytes:
        call = Call(target.verb.capitalize(), "REST", target.model)
        with self._inference.counted(call):
            document = parse_object(body)
            with self._manager.find(target.model, target.version, target.label) as servable:
                name = decode.signature_name(document)
                if target.verb == "classify":
                    found = await self._inference.classify(servable, name, examples.decode(document), call)
                    return examples.classifications(found)
                if target.verb == "regress":
                    return examples.regressions(
                        await self._inference.regress(servable, name, examples.decode(document), call)
                    )
                signature = servable.signature(name)
                if signature is None:
                    raise ServingError(
                        Code.INVALID_ARGUMENT,
                        f'Serving signature name: "{name or DEFAULT_SIGNATURE}" not found in signature def',
                    )
                inputs, as_rows = decode.decode(document, signature.inputs)
                outputs = await self._inference.predict(servable, signature, inputs, call)
                return encode.rows(outputs) if as_rows else encode.columns(outputs)

    def _look(self, target: paths.Target) -> bytes:
        if target.verb == "metadata":
            return metadata_json(self._manager.find(target.model, target.version, target.label))
        return status_json(self._manager.status(target.model, target.version, target.label))


def _too_large(limit: int) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, f"the request's body is larger than {limit:,} bytes")
