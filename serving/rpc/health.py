"""`grpc.health.v1`: what load balancers and `grpc_health_probe` ask."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from serving.errors import Code, ServingError
from serving.models.manager import Manager
from serving.rpc.answering import STATUS, UNREADABLE, answering, service

_POLL_SECONDS: Final = 0.5
_SERVICES: Final = frozenset(
    {"", "grpc.health.v1.Health", "tensorflow.serving.ModelService", "tensorflow.serving.PredictionService"}
)
"""All are in the same state as the whole server, whose name is empty."""


class Health:
    """Check, Watch: SERVING when every model has a version that answers, as `/readyz` says it."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server takes."""
        asked = health_pb2.HealthCheckRequest
        return service("grpc.health.v1.Health", {"Check": (self.Check, asked)}, {"Watch": (self.Watch, asked)})

    @answering
    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        """See health.proto."""
        if request.service not in _SERVICES:
            raise ServingError(Code.NOT_FOUND, f"there is no service `{request.service}`")
        return self._now(request.service)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest | None, context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """See health.proto."""
        if request is None:
            await context.abort(STATUS[UNREADABLE.code.value], UNREADABLE.message)
            return
        told = None
        while True:
            now = self._now(request.service)
            if now != told:
                yield now
                told = now
            await asyncio.sleep(_POLL_SECONDS)

    def _now(self, service: str) -> health_pb2.HealthCheckResponse:
        if service not in _SERVICES:
            status = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        elif self._manager.ready:
            status = health_pb2.HealthCheckResponse.SERVING
        else:
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        return health_pb2.HealthCheckResponse(status=status)
