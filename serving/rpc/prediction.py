"""PredictionService."""

from typing import Any

import grpc
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    regression_pb2,
)

from serving.errors import Code, InvalidArgument, ServingError
from serving.inference import Call, Inference
from serving.models.servable import Servable
from serving.rpc.answering import answering, service
from serving.rpc.model_spec import describe, find
from serving.rpc.predict import Predictor
from serving.signatures import CLASSIFY, DEFAULT_SIGNATURE, REGRESS


class PredictionService:
    """Predict, Classify, Regress, MultiInference, GetModelMetadata."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._predictor = Predictor(inference)

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server takes."""
        return service(
            "tensorflow.serving.PredictionService",
            {
                "Predict": (self.Predict, None),
                "Classify": (self.Classify, classification_pb2.ClassificationRequest),
                "Regress": (self.Regress, regression_pb2.RegressionRequest),
                "MultiInference": (self.MultiInference, inference_pb2.MultiInferenceRequest),
                "GetModelMetadata": (self.GetModelMetadata, get_model_metadata_pb2.GetModelMetadataRequest),
            },
        )

    @answering
    async def Predict(self, request: bytes, context: Any) -> bytes:
        """See predict.proto."""
        return await self._predictor.predict(request)

    @answering
    async def Classify(
        self, request: classification_pb2.ClassificationRequest, context: Any
    ) -> classification_pb2.ClassificationResponse:
        """See classification.proto."""
        spec = request.model_spec
        call = Call("Classify", "GRPC", spec.name)
        with self._inference.counted(call):
            servable = find(self._inference.manager, spec)
            result = await self._inference.classify(servable, spec.signature_name, request.input, call)
            response = classification_pb2.ClassificationResponse(result=result)
            describe(response.model_spec, servable, spec.signature_name or DEFAULT_SIGNATURE)
            return response

    @answering
    async def Regress(
        self, request: regression_pb2.RegressionRequest, context: Any
    ) -> regression_pb2.RegressionResponse:
        """See regression.proto."""
        spec = request.model_spec
        call = Call("Regress", "GRPC", spec.name)
        with self._inference.counted(call):
            servable = find(self._inference.manager, spec)
            result = await self._inference.regress(servable, spec.signature_name, request.input, call)
            response = regression_pb2.RegressionResponse(result=result)
            describe(response.model_spec, servable, spec.signature_name or DEFAULT_SIGNATURE)
            return response

    @answering
    async def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest, context: Any
    ) -> inference_pb2.MultiInferenceResponse:
        """See inference.proto."""
        names = {task.model_spec.name for task in request.tasks}
        call = Call("MultiInference", "GRPC", min(names, default=""))
        response = inference_pb2.MultiInferenceResponse()
        with self._inference.counted(call):
            if len(names) != 1:
                raise InvalidArgument("Inference request must have tasks, all of one model")
            for task in request.tasks:
                await self._task(task, request.input, response.results.add(), call)
            return response

    async def _task(
        self, task: inference_pb2.InferenceTask, examples: Any, result: inference_pb2.InferenceResult, call: Call
    ) -> None:
        name = task.model_spec.signature_name
        servable = find(self._inference.manager, task.model_spec)
        if task.method_name == CLASSIFY:
            found = await self._inference.classify(servable, name, examples, call)
            result.classification_result.CopyFrom(found)
        elif task.method_name == REGRESS:
            result.regression_result.CopyFrom(await self._inference.regress(servable, name, examples, call))
        else:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        describe(result.model_spec, servable, name or DEFAULT_SIGNATURE)

    @answering
    async def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: Any
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """See get_model_metadata.proto."""
        if not request.HasField("model_spec"):
            raise InvalidArgument("Missing ModelSpec")
        if not request.metadata_field:
            raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise InvalidArgument(f"Metadata field {field} is not supported")
        return metadata(find(self._inference.manager, request.model_spec))


def metadata(servable: Servable) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a model, in the message that both interfaces answer with."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, proto in meta_graph_pb2.MetaGraphDef.FromString(servable.metadata).signature_def.items():
        signatures.signature_def[name].CopyFrom(proto)
    response.metadata["signature_def"].Pack(signatures)
    return response
