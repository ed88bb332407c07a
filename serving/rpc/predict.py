"""PredictionService's method Predict."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2

from serving.errors import Code, InvalidArgument, ServingError
from serving.gathering import Gathering, Pending
from serving.inference import Call, Inference, split
from serving.models.servable import Servable
from serving.rpc.answering import UNREADABLE
from serving.rpc.model_spec import describe, find, version_of
from serving.rpc.one_row import Row, RowReader, RowWriter
from serving.signatures import DEFAULT_SIGNATURE, Signature, Tensors
from serving.tensor_protos import fill, to_array

_MOST_SPECS: Final = 1024
_PATIENCE: Final = 4
"""grpc.aio takes a request through several turns of the event loop, and hands the next one on meanwhile."""

Reply = bytes | Exception


class _Spec(NamedTuple):
    """A `ModelSpec`."""

    model: str
    version: int | None
    label: str | None
    signature: str


class _Format(NamedTuple):
    """How rows of a signature are read and written in one piece, where that is possible."""

    reader: RowReader | None
    writer: RowWriter | None


class Predictor:
    """Answers requests as bytes: what they say is told from those before, as far as possible."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._gathering = Gathering(inference, self, _PATIENCE)
        self._specs: dict[bytes, _Spec] = {}
        """The beginning of a request -> what it says."""

    async def predict(self, data: bytes) -> bytes:
        """See predict.proto.

        Raises:
            ServingError: the request is wrong, or cannot be answered.
        """
        pending = self._gathered(data)
        if pending is None:
            return await self._general(data)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        pending.deliver = partial(_deliver, future)
        return await future

    async def _general(self, data: bytes) -> bytes:
        try:
            request = predict_pb2.PredictRequest.FromString(data)
        except DecodeError:
            raise UNREADABLE from None
        spec = request.model_spec
        call = Call("Predict", "GRPC", spec.name)
        with self._inference.counted(call):
            servable = find(self._inference.manager, spec)
            name = spec.signature_name or DEFAULT_SIGNATURE
            signature = servable.signature(name)
            if signature is None:
                raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
            _check_filter(request.output_filter, signature.outputs)
            self._learn(data, spec)
            inputs = {key: to_array(key, proto) for key, proto in request.inputs.items()}
            outputs = self._inference.predict(servable, signature, inputs, call)
            if isinstance(outputs, asyncio.Future):
                outputs = await outputs
            return _response(servable, signature, {key: outputs[key] for key in request.output_filter or outputs})

    def _gathered(self, data: bytes) -> Pending[Reply] | None:
        """The reply to a request for one row, if its bytes are as expected and its model takes several at once."""
        start = _spec_end(data)
        asked = self._specs.get(data[:start])
        if asked is None:
            return None
        call = Call("Predict", "GRPC", asked.model)
        try:
            servable = self._inference.manager.find(asked.model, asked.version, asked.label)
        except ServingError:
            return None
        signature = servable.signature(asked.signature)
        if signature is None or not self._gathering.takes(1, servable, signature):
            return None
        reader = servable.prepared(_format, signature).reader
        row = reader.read(data, start) if reader else None
        return self._gathering.add(servable, signature, [row], call) if row else None

    def _learn(self, data: bytes, spec: Any) -> None:
        """Remember what a request begins with."""
        start = data[: _spec_end(data)]
        if start not in self._specs and predict_pb2.PredictRequest(model_spec=spec).SerializeToString() == start:
            if len(self._specs) >= _MOST_SPECS:
                self._specs.clear()
            self._specs[start] = _Spec(spec.name, version_of(spec), spec.version_label or None, spec.signature_name)

    # What requests that are gathered need.

    def inputs(self, servable: Servable, signature: Signature, rows: list[Row]) -> Tensors:
        """See `Interface`."""
        reader = servable.prepared(_format, signature).reader
        assert reader
        return reader.inputs(rows)

    def answers(
        self, servable: Servable, signature: Signature, outputs: Tensors, rows: int, sizes: Sequence[int]
    ) -> Sequence[Reply]:
        """See `Interface`."""
        writer = servable.prepared(_format, signature).writer
        written = writer.write(outputs, rows) if writer else None
        if written is not None:
            return written[: len(sizes)]
        return [_response(servable, signature, each) for each in split(outputs, rows, sizes)]

    def failure(self, error: Exception) -> Reply:
        """See `Interface`."""
        return error


def _format(servable: Servable, signature: Signature) -> _Format:
    return _Format(
        RowReader.of(signature.inputs),
        RowWriter.of(signature.outputs, _response(servable, signature, {})),
    )


def _deliver(future: asyncio.Future[bytes], reply: Reply) -> None:
    if future.done():
        return  # the client has given up
    if isinstance(reply, bytes):
        future.set_result(reply)
    else:
        future.set_exception(reply)


def _spec_end(data: bytes) -> int:
    """Where the `ModelSpec` ends, if that is what a request begins with, and short."""
    return 2 + data[1] if len(data) > 1 else 0


def _response(servable: Servable, signature: Signature, outputs: Tensors) -> bytes:
    response = predict_pb2.PredictResponse()
    describe(response.model_spec, servable, signature.name)
    for name, array in outputs.items():
        fill(response.outputs[name], array)
    return bytes(response.SerializeToString())


def _check_filter(wanted: Any, outputs: Any) -> None:
    seen: set[str] = set()
    for name in wanted:
        if name not in outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(outputs))}}}."
            )
        if name in seen:
            raise InvalidArgument(f"duplicate output tensor alias: {name}")
        seen.add(name)
