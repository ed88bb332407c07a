"""Services for gRPC, and how their methods end that cannot answer."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial, wraps
from operator import methodcaller
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from serving.errors import Code, InvalidArgument, ServingError

log = logging.getLogger(__name__)

STATUS: Final = {code.value[0]: code for code in grpc.StatusCode}

Method = Callable[[Any, Any, Any], Awaitable[Any]]
"""Of a service: takes itself, the request and the context."""
BoundMethod = Callable[[Any, Any], Awaitable[Any]]
Stream = Callable[[Any, Any], AsyncIterator[Any]]
UNREADABLE: Final = InvalidArgument("the request is no message of this method")


def answering(method: Method) -> Method:
    """The method, whose errors become the call's status. Unexpected ones are logged, and tell the client no more."""

    @wraps(method)
    async def answered(service: Any, request: Any, context: Any) -> Any:
        try:
            if request is None:
                raise UNREADABLE
            return await method(service, request, context)
        except ServingError as error:
            failure = error
        except Exception:
            log.exception("a request failed: this is a mistake of the server")
            failure = ServingError(Code.INTERNAL, "internal error; the server's log says more")
        return await context.abort(STATUS[failure.code.value], failure.message)

    return answered


def service(
    name: str, methods: Mapping[str, tuple[BoundMethod, Any]], streams: Mapping[str, tuple[Stream, Any]] | None = None
) -> grpc.GenericRpcHandler:
    """A service of methods that are `answering`, each with the type of its request, and of those that go on answering.

    A method whose request has the type `None` takes bytes and answers with bytes. A stream is given `None` for a
    request that cannot be read. The generated services would let such a one end with the code UNKNOWN, and log a
    traceback.
    """
    handlers = {
        key: grpc.unary_unary_rpc_method_handler(method, *_converters(request))
        for key, (method, request) in methods.items()
    } | {
        key: grpc.unary_stream_rpc_method_handler(method, *_converters(request))
        for key, (method, request) in (streams or {}).items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _converters(request: Any) -> tuple[Any, Any]:
    """What makes a message of bytes, and bytes of a message."""
    return (partial(_read, request), methodcaller("SerializeToString")) if request else (None, None)


def _read(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError:
        return None
