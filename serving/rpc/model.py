"""ModelService."""

from typing import Any

import grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from serving.errors import InvalidArgument
from serving.models.config_file import from_proto
from serving.models.manager import Manager
from serving.rpc.answering import answering, service


class ModelService:
    """GetModelStatus, HandleReloadConfigRequest."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server takes."""
        return service(
            "tensorflow.serving.ModelService",
            {
                "GetModelStatus": (self.GetModelStatus, get_model_status_pb2.GetModelStatusRequest),
                "HandleReloadConfigRequest": (
                    self.HandleReloadConfigRequest,
                    model_management_pb2.ReloadConfigRequest,
                ),
            },
        )

    @answering
    async def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: Any
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """See get_model_status.proto."""
        spec = request.model_spec
        response = get_model_status_pb2.GetModelStatusResponse()
        if not request.HasField("model_spec"):
            raise InvalidArgument("Missing ModelSpec")
        version = spec.version.value if spec.HasField("version") else None
        for found in self._manager.status(spec.name, version, spec.version_label or None):
            told = response.model_version_status.add(version=found.number, state=found.state.value)
            if found.error:
                told.status.error_code = found.error.code.value
                told.status.error_message = found.error.message
            else:
                told.status.error_code = 0
        return response

    @answering
    async def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: Any
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serve what this configuration says, and nothing else."""
        await self._manager.configure(from_proto(request.config))
        return model_management_pb2.ReloadConfigResponse()
