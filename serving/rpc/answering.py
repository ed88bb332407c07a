"""How a gRPC method ends that cannot answer."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

import grpc

from serving.errors import Code, ServingError

log = logging.getLogger(__name__)

STATUS: Final = {code.value[0]: code for code in grpc.StatusCode}

Method = Callable[[Any, Any, Any], Awaitable[Any]]
"""Of a service: takes itself, the request and the context."""


def answering(method: Method) -> Method:
    """The method, whose errors become the call's status. Unexpected ones are logged, and tell the client no more."""

    @wraps(method)
    async def answered(service: Any, request: Any, context: Any) -> Any:
        try:
            return await method(service, request, context)
        except ServingError as error:
            failure = error
        except Exception:
            log.exception("a request failed: this is a mistake of the server")
            failure = ServingError(Code.INTERNAL, "internal error; the server's log says more")
        return await context.abort(STATUS[failure.code.value], failure.message)

    return answered
