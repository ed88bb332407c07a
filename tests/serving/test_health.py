"""`grpc.health.v1`, as load balancers ask it."""

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.serving.running import Client, running, wait_until
from tests.serving.saved_models import half_plus

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"])
def test_a_server_with_its_models_serves(half: Client, service: str) -> None:
    """The whole of it, and each of its services."""
    with grpc.insecure_channel(half.rpc_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status == SERVING


def test_a_service_that_nobody_knows_is_not_found(half: Client) -> None:
    """To who checks; who watches is told that it is unknown."""
    asked = health_pb2.HealthCheckRequest(service="other")
    with grpc.insecure_channel(half.rpc_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(asked, timeout=30)
        assert (caught.value.code().name, caught.value.details()) == ("NOT_FOUND", "there is no service `other`")
        watching = stub.Watch(asked, timeout=30)
        assert next(watching).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watching.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_what_is_no_message_is_an_invalid_argument(half: Client, method: str) -> None:
    """Not an unknown error, as the generated service would have it."""
    with grpc.insecure_channel(half.rpc_address) as channel:
        call = channel.unary_stream(f"/grpc.health.v1.Health/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            next(call(b"\xd7R\xd7R", timeout=30))
    assert (caught.value.code().name, caught.value.details()) == (
        "INVALID_ARGUMENT",
        "the request is no message of this method",
    )


def test_who_watches_is_told_when_a_model_arrives(tmp_path: Path) -> None:
    """Not serving at first, as `/readyz` says too."""
    with running("--model_name=half", f"--model_base_path={tmp_path}", ready=False) as client:
        wait_until(lambda: client.get("/overview.json")[1]["models"])
        with grpc.insecure_channel(client.rpc_address) as channel:
            watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
            assert next(watching).status == NOT_SERVING
            half_plus(tmp_path / "unfinished", 2.0)
            (tmp_path / "unfinished").rename(tmp_path / "1")
            assert next(watching).status == SERVING
            watching.cancel()
