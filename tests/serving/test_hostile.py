"""Whatever is sent, the server answers with a documented status, and goes on."""

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.serving.running import Client, running

DOCUMENTED = {200, 400, 404, 429}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just({"b64": "AA=="}),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "a", "b", "b64"]), inner),
    max_leaves=8,
)
BODIES = st.binary(max_size=60) | st.fixed_dictionaries(
    {},
    optional={
        "instances": VALUES,
        "inputs": VALUES,
        "examples": VALUES,
        "context": VALUES,
        "signature_name": VALUES | st.sampled_from(["pair", "scalar", "text", "long_table", "uneven"]),
    },
).map(lambda document: json.dumps(document).encode())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES, st.sampled_from(["predict", "classify", "regress"]))
def test_any_body_gets_a_documented_answer(echoing: Client, body: bytes, verb: str) -> None:
    """No crash, no status 500; errors are JSON."""
    status, answer = echoing.send("POST", f"/v1/models/echo:{verb}", body)

    assert status in DOCUMENTED
    assert isinstance(json.loads(answer), dict)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30), st.sampled_from(["GET", "POST"]))
def test_any_path_gets_a_documented_answer(echoing: Client, path: str, method: str) -> None:
    """Malformed requests have status 400, what lies outside /v1/ has none to handle it."""
    connection = http.client.HTTPConnection(echoing.address, timeout=30)
    connection.request(method, f"/v1/models/{path}", b"{}" if method == "POST" else None)

    assert connection.getresponse().status in DOCUMENTED
    connection.close()


@pytest.fixture(scope="module")
def strict(models: Any) -> Any:
    """Takes no more than a thousand bytes, within half a second."""
    flags = ["--model_name=half", f"--model_base_path={models / 'half'}"]
    with running(*flags, "--max_body_bytes=1000", "--rest_api_timeout_in_ms=500") as client:
        yield client


def test_large_and_slow_bodies_are_refused(strict: Client) -> None:
    """By their declared length, by what comes without one, and by the time that they take."""
    too_large = (400, {"error": "the request's body is larger than 1,000 bytes"})
    assert strict.post("/v1/models/half:predict", b" " * 1001) == too_large
    assert strict.post("/v1/models/half:predict", b" " * 300_000) == too_large

    host, port = strict.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n{")
        started = time.monotonic()
        answer = b""
        while not answer.endswith(b"}"):
            answer += slow.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"did not arrive within 0.5 s" in answer
    assert time.monotonic() - started < 10
    assert strict.post("/v1/models/half:predict", {"instances": [2]})[0] == 200


@pytest.mark.parametrize("sent", [b"", b"POST /v1/models/half:predict HTTP/1.1\r\nHost"])
def test_slow_headers_end_the_connection(strict: Client, sent: bytes) -> None:
    """Whether none came or some; later requests on a connection have the same time."""
    host, port = strict.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(sent)
        assert slow.makefile("rb").readline() == b"HTTP/1.1 408 Request Timeout\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(10_000).startswith(b"HTTP/1.1 200 ")
        slow.sendall(sent or b"G")
        assert b"HTTP/1.1 408 " in slow.makefile("rb").read()


def test_metrics_have_tensorflow_servings_names(half: Client) -> None:
    """And no label that a client made up."""
    half.post("/v1/models/half:predict", {"instances": [1.0, 2.0]})
    half.post("/v1/models/nobody:predict", {"instances": [1.0]})

    text = half.send("GET", "/monitoring/prometheus/metrics")[1].decode()

    assert ':tensorflow:serving:request_count{model_name="half",status="OK"} ' in text
    assert (
        ':tensorflow:serving:request_latency_bucket{model_name="half",API="Predict",entrypoint="REST",le="10"} ' in text
    )
    assert ':tensorflow:serving:runtime_latency_count{model_name="half",API="Predict",runtime="tensorflow"} ' in text
    assert "nobody" not in text


def test_long_lists_within_rows_are_refused(models: Path) -> None:
    """A model's work may grow with the cube of their length; the number of rows is not meant."""
    flags = ["--model_name=echo", f"--model_base_path={models / 'echo'}", "--max_list_length=3"]
    why = "input `long` has lists of 4 values, at most 3 are taken (--max_list_length)"
    rows = [[1, 2, 3]] * 5
    with running(*flags) as client:
        asked = {"signature_name": "long_table", "instances": rows}
        assert client.post("/v1/models/echo:predict", asked) == (200, {"predictions": rows})
        asked = {"signature_name": "long_table", "instances": [[1, 2, 3, 4]]}
        assert client.post("/v1/models/echo:predict", asked) == (400, {"error": why})

        message = predict_pb2.PredictRequest()
        message.model_spec.name, message.model_spec.signature_name = "echo", "long_table"
        message.inputs["long"].CopyFrom(tf.make_tensor_proto([[1, 2, 3, 4]], tf.int64))
        with grpc.insecure_channel(client.rpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(message, timeout=30)
        assert (caught.value.code().name, caught.value.details()) == ("INVALID_ARGUMENT", why)
