"""Mutations of requests to the model server, and what must hold for each: a documented status; and the server goes on.

    python -m tests.fuzz.serving --seconds 3600

goes on for that long and ends with 1 at the first request that breaks something, which it prints.
"""

import argparse
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from steps.recommender import warmup
from tests.fuzz.documents import DOCUMENTS, KEYS, VALUES
from tests.serving.running import Client, process
from tests.serving.saved_models import echo, examples_model, half_plus

STATUSES = frozenset({200, 400, 404, 408, 429, 431, 501, 504})
CODES = frozenset({"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"})
PREDICTION = "/tensorflow.serving.PredictionService/"
MODEL = "/tensorflow.serving.ModelService/"
HEALTH = "/grpc.health.v1.Health/Check"
MODELS = ("half", "echo", "examples", "nobody")
SIGNATURES = ("", "pair", "text", "scalar", "classify", "regress", "other")
PATHS = tuple(
    f"/v1/models/{name}{place}:{verb}"
    for name in MODELS
    for place in ("", "/versions/1", "/versions/99999999999999999999", "/labels/x")
    for verb in ("predict", "classify", "regress")
)
HEADERS = (
    *("Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked"),
    *("Expect: 100-continue", "Connection: close", "Connection: Upgrade\r\nUpgrade: h2c", "Host", "X: " + "y" * 9000),
    *(": ", " folded", "Content-Encoding: gzip", "Content-Type: text/plain", "Connection: keep-alive"),
)


class Broken(AssertionError):
    """A request that got what nobody may get."""


class Fuzzer:
    """Sends changed requests to one server."""

    def __init__(self, rng: random.Random, client: Client) -> None:
        self._rng = rng
        self._client = client
        self._channel = grpc.insecure_channel(client.rpc_address)
        self.told: Counter[str] = Counter()
        """How often each status was seen."""

    def close(self) -> None:
        """End the connections."""
        self._channel.close()

    def step(self) -> None:
        """Send one request of some kind.

        Raises:
            Broken: the answer is not one of those that are documented.
        """
        self._rng.choice((self._json, self._json, self._raw, self._rpc))()

    def check(self) -> None:
        """See that the server still answers as it should."""
        found = self._client.post("/v1/models/half:predict", {"instances": [2.0]})
        if found != (200, {"predictions": [4.0]}):
            raise Broken(f"the server does not answer any more: {found}")

    def _json(self) -> None:
        body = json.dumps(self._changed(self._rng.choice(DOCUMENTS))).encode()
        if self._rng.random() < 0.3:
            body = self._scrambled(body)
        path = self._rng.choice(PATHS)
        status, answer = self._client.send("POST", path, body)
        self.told[f"REST {status}"] += 1
        try:
            known = status in STATUSES and isinstance(json.loads(answer), dict)
        except ValueError:
            known = False
        if not known:
            raise Broken(f"POST {path} with {body!r}: {status} {answer[:300]!r}")

    def _raw(self) -> None:
        body = json.dumps(self._changed(self._rng.choice(DOCUMENTS))).encode()
        lines = [f"POST {self._rng.choice(PATHS)} HTTP/1.{self._rng.choice('0112')}", "Host: x"]
        lines += [*self._rng.sample(HEADERS, self._rng.randrange(3)), f"Content-Length: {len(body)}"]
        sent = "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body
        sent = self._scrambled(sent) if self._rng.random() < 0.7 else sent
        host, port = self._client.address.split(":")
        answer = b""
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            try:
                cut = self._rng.randrange(len(sent) + 1)
                connection.sendall(sent[:cut])
                connection.sendall(sent[cut:])
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    answer += piece
            except TimeoutError:
                raise Broken(f"no end of the connection after {sent!r}") from None
            except OSError:
                pass  # it may refuse to read on
        status = answer[9:12].decode() or "closed"
        self.told[f"HTTP {status}"] += 1
        if answer and not (answer.startswith(b"HTTP/1.1 ") and int(status) in STATUSES | {100}):
            raise Broken(f"{sent!r}: {answer[:300]!r}")

    def _rpc(self) -> None:
        method, data = self._message()
        kind = self._rng.random()
        if kind < 0.6:
            data = self._scrambled(data)
        elif kind < 0.7:
            data = self._rng.randbytes(self._rng.randrange(60))
        if method == MODEL + "HandleReloadConfigRequest" and _is_configuration(data):
            return  # it would serve something else from then on
        try:
            self._channel.unary_unary(method)(data, timeout=60)
            code, details = "OK", ""
        except grpc.RpcError as error:
            code, details = error.code().name, error.details()
        self.told[f"gRPC {code}"] += 1
        if code not in CODES:
            raise Broken(f"{method} with {data!r}: {code} {details}")

    def _message(self) -> tuple[str, bytes]:
        """A method, and a request as it should be, or nearly."""
        name = self._rng.choice(("Predict", "Predict", "Predict", *_MESSAGES))
        message = _MESSAGES[name]()
        if name == "Predict":
            for key in self._rng.sample(("x", "a", "b", "text"), self._rng.randrange(1, 3)):
                value = self._rng.choice(([1.0], [1, 2], ["a", "b"], [[1.0, 2.0]], 1.5, [True]))
                message.inputs[key].CopyFrom(tf.make_tensor_proto(value))
                if self._rng.random() < 0.3:
                    message.inputs[key].tensor_shape.dim.add().size = self._rng.choice((-1, 0, 1, 2**31, 2**62))
        elif name in ("Classify", "Regress", "MultiInference"):
            example = message.input.example_list.examples.add()
            example.features.feature["x"].float_list.value.append(1.0)
        elif name == "GetModelMetadata":
            message.metadata_field.append("signature_def")
        if name == "MultiInference":
            specs = [message.tasks.add(method_name=f"tensorflow/serving/{each}").model_spec for each in _TASKS]
        else:
            specs = [message.model_spec] if hasattr(message, "model_spec") else []
        for spec in specs:
            spec.name, spec.signature_name = self._rng.choice(MODELS), self._rng.choice(SIGNATURES)
        service = MODEL if name in ("GetModelStatus", "HandleReloadConfigRequest") else PREDICTION
        return HEALTH if name == "Check" else service + name, message.SerializeToString()

    def _changed(self, document: Any) -> Any:
        """A document with some values or keys replaced."""
        rng = self._rng
        if rng.random() < 0.15:
            return rng.choice(VALUES)
        if isinstance(document, dict):
            pairs = {(rng.choice(KEYS) if rng.random() < 0.1 else key): value for key, value in document.items()}
            return {key: self._changed(value) for key, value in pairs.items()}
        if isinstance(document, list):
            return [self._changed(each) for each in document for _ in range(rng.choice((1, 1, 1, 1, 0, 2)))]
        return document

    def _scrambled(self, data: bytes) -> bytes:
        """Bytes of which some are changed, left out, put in or repeated."""
        made = bytearray(data)
        for _ in range(self._rng.randrange(1, 4)):
            place = self._rng.randrange(len(made) + 1)
            length = self._rng.choice((1, 1, 2, 8))
            kind = self._rng.randrange(3)
            if kind == 0:
                del made[place : place + length]
            elif kind == 1:
                made[place:place] = self._rng.randbytes(length)
            else:
                made[place:place] = made[place : place + 20 * length]
        return bytes(made)


_TASKS = ("classify", "regress")
_MESSAGES: dict[str, Any] = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
    "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
    "HandleReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
    "Check": health_pb2.HealthCheckRequest,
}
"""Every method that takes one request -> what it takes."""


def _is_configuration(data: bytes) -> bool:
    try:
        return bool(model_management_pb2.ReloadConfigRequest.FromString(data).config.WhichOneof("config"))
    except DecodeError:
        return False


def make_models(folder: Path) -> Path:
    """The models that are asked; the file that configures them."""
    half_plus(folder / "half" / "1", 3.0)
    warmup.write(folder / "half" / "1", {"serving_default": {"x": "float"}}, [{"x": [1.0, 2.0]}])
    echo(folder / "echo" / "1")
    examples_model(folder / "examples" / "1")
    configs = [
        f'config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" }}'
        for name in ("half", "echo", "examples")
    ]
    path = folder / "models.config"
    path.write_text(f"model_config_list {{ {' '.join(configs)} }}")
    return path


def main() -> int:
    """Fuzz a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        flags = [f"--model_config_file={make_models(folder)}", "--rest_api_timeout_in_ms=5000"]
        client, server = stack.enter_context(process(*flags))
        fuzzer = Fuzzer(random.Random(given.seed), client)
        stack.callback(fuzzer.close)
        end = time.monotonic() + given.seconds
        steps = 0
        try:
            while time.monotonic() < end:
                fuzzer.step()
                steps += 1
                if steps % 100 == 0:
                    fuzzer.check()
        except (Broken, OSError) as error:
            print(f"request {steps}: {error}; the server's exit code: {server.poll()}")
            return 1
    print(f"{steps:,} requests, none broke anything: {dict(sorted(fuzzer.told.items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
