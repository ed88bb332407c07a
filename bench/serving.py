"""The model server's numbers, beside plain Starlette and grpc.aio handlers around the TensorFlow function, in one run.

    python -m bench.serving [--seconds 10] [--model FOLDER]

Needs `wrk` and `h2load` (Debian: wrk, nghttp2-client) and Starlette. Clients and servers share this machine, so compare
rows of one run, not of two: "times plain" is the rate beside the plain handler's of the same run, "aim" what was aimed
at on the machine where the aims were set. Without --model a ranking model of the article's size is made: 1,000 users,
1,700 titles.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

CLIENTS = 16
BATCH = 100
KINDS = {"user_id": "string", "movie_title": "string", "timestamp": "int64"}
PREDICT = "/tensorflow.serving.PredictionService/Predict"
REST_ROW, REST_ROWS, RPC_ROW, SWAP = "REST, 1 row", f"REST, {BATCH} rows", "gRPC, 1 row", "REST, 1 row, swap"
AIMS = {
    REST_ROW: "7.3x (13,000/s), p99 3 ms",
    REST_ROWS: "4.9x (5,500/s)",
    RPC_ROW: "3.1x (4,500/s)",
    SWAP: "p99 within 2 times",
}
"""Rates as ratios to the plain handlers of the machine where they were set: 1,780, 1,130 and 1,460 a second."""
FOOTPRINT_AIM = "600 MiB, 6 s"
REFERENCE = """
import sys
import tensorflow as tf, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
model = tf.saved_model.load(sys.argv[1])
call = model.signatures["serving_default"]
kinds = {"user_id": tf.string, "movie_title": tf.string, "timestamp": tf.int64}
async def predict(request):
    rows = (await request.json())["instances"]
    outputs = call(**{name: tf.constant([row[name] for row in rows], kind) for name, kind in kinds.items()})
    return JSONResponse({"predictions": outputs["rating"].numpy().tolist()})
async def ready(request):
    return JSONResponse({})
routes = [Route("/v1/models/model:predict", predict, methods=["POST"]), Route("/readyz", ready)]
uvicorn.run(Starlette(routes=routes), port=int(sys.argv[2]), log_level="error", access_log=False)
"""

RPC_REFERENCE = """
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
call = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
async def predict(request, context):
    outputs = call(**{name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()})
    response = predict_pb2.PredictResponse()
    for name, value in outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return response
types = predict_pb2.PredictRequest.FromString, predict_pb2.PredictResponse.SerializeToString
asyncio.run(main(predict, *types))
"""

RPC_FLOOR = """
import uvloop
async def predict(request, context):
    return b""
uvloop.run(main(predict))
"""
"""A handler that neither reads nor writes a message: what grpc.aio takes by itself, set up as the model server does."""

RPC_QUICK = """
import os
os.environ["GRPC_EXPERIMENTS"] = "-event_engine_listener"
"""

RPC_SERVER = """
import asyncio, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import grpc
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
async def main(predict, *types):
    methods = {"Predict": grpc.unary_unary_rpc_method_handler(predict, *types)}
    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", methods)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port("127.0.0.1:" + sys.argv[3])
    await server.start()
    ready = HTTPServer(("127.0.0.1", int(sys.argv[2])), Ready)
    threading.Thread(target=ready.serve_forever, daemon=True).start()
    await server.wait_for_termination()
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a load generator."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int

    def __str__(self) -> str:
        return f"{self.per_second:9,.0f} {self.p50_ms:8.2f} {self.p99_ms:8.2f} {self.failed:7}"


def make_model(folder: Path) -> None:
    """Two embeddings of 32 and a ranking tower 64-256-64-1, with lookups, as the article has it."""
    import numpy as np
    import tensorflow as tf

    from steps.recommender import warmup

    random = np.random.default_rng(0)
    users, titles = [str(number) for number in range(1000)], [f"Movie {number} (1990)" for number in range(1700)]

    class Ranking(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            shapes = [(1001, 32), (1701, 32), (64, 256), (256, 64), (64, 1)]
            self.weights = [tf.Variable(random.normal(size=shape, scale=0.1).astype(np.float32)) for shape in shapes]
            self.tables = [
                tf.lookup.StaticHashTable(
                    tf.lookup.KeyValueTensorInitializer(keys, tf.range(1, len(keys) + 1, dtype=tf.int64)), 0
                )
                for keys in (users, titles)
            ]

        def rate(self, user_id: tf.Tensor, movie_title: tf.Tensor, timestamp: tf.Tensor) -> dict[str, tf.Tensor]:
            del timestamp
            rows = [table.lookup(keys) for table, keys in zip(self.tables, (user_id, movie_title), strict=True)]
            one = tf.concat([tf.gather(self.weights[place], row) for place, row in enumerate(rows)], 1)
            one = tf.nn.relu(tf.nn.relu(one @ self.weights[2]) @ self.weights[3]) @ self.weights[4]
            return {"rating": tf.squeeze(one, 1)}

    ranking = Ranking()
    specs = {name: tf.TensorSpec([None], kind, name) for name, kind in KINDS.items()}
    tf.saved_model.save(ranking, str(folder), signatures=tf.function(ranking.rate).get_concrete_function(**specs))
    known = {"user_id": ["1", "nobody", ""], "movie_title": [titles[3], "nothing", "\u4e16"], "timestamp": [1, 2, 3]}
    warmup.write(folder, {"serving_default": KINDS}, [known])


def instances(count: int) -> list[dict[str, object]]:
    """Rows to ask for."""
    return [
        {"user_id": str(row * 7 % 1000), "movie_title": f"Movie {row * 13 % 1700} (1990)", "timestamp": 892_870_992}
        for row in range(count)
    ]


def rest(address: str, rows: int, seconds: float, scratch: Path) -> Measured:
    """Load on REST by wrk."""
    script = scratch / f"{rows}.lua"
    body = json.dumps({"instances": instances(rows)})
    script.write_text(f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\n')
    url = f"http://{address}/v1/models/model:predict"
    command = ["wrk", f"-c{CLIENTS}", "-t1", f"-d{seconds:.0f}s", "--latency", "-s", str(script), url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    failed += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    return Measured(float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0]), _ms(text, "50%"), _ms(text, "99%"), failed)


def _ms(text: str, label: str) -> float:
    ((number, unit),) = re.findall(rf"{label}\s+([\d.]+)(us|ms|s)\b", text)
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


_FRAME = 5
"""Bytes that stand before each message of gRPC: whether it is compressed, and how long it is."""


def rpc_request(rows: int) -> bytes:
    """The message that asks for these rows."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "model"
    asked = instances(rows)
    for name, kind in KINDS.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto([row[name] for row in asked], kind))
    return bytes(request.SerializeToString())


def check_rpc(address: str, message: bytes, rows: int) -> int:
    """See that a server answers, in how many bytes: the status that h2load sees is 200 for refusals, too."""
    import grpc
    from tensorflow_serving.apis import predict_pb2

    with grpc.insecure_channel(address) as channel:
        read = predict_pb2.PredictResponse.FromString
        try:
            answer = channel.unary_unary(PREDICT, response_deserializer=read)(message, timeout=60)
        except grpc.RpcError as error:
            raise SystemExit(f"error: {address} refuses: {error.details()}") from error
    if len(answer.outputs["rating"].float_val) != rows:
        raise SystemExit(f"error: {address} does not answer {rows} rows but {answer}")
    return int(answer.ByteSize())


def rpc(address: str, message: bytes, size: int, seconds: float, scratch: Path) -> Measured:
    """Load on gRPC by h2load, with one framed request, for answers of that size: refusals have no bytes.

    Latencies are from its log of every request.
    """
    frame, log = scratch / "frame", scratch / "requests.log"
    frame.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    log.unlink(missing_ok=True)
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    options = [f"-c{CLIENTS}", "-t1", "-m1", f"-D{seconds:.0f}", "-d", str(frame), f"--log-file={log}"]
    url = f"http://{address}{PREDICT}"
    text = subprocess.run(["h2load", *options, *headers, url], capture_output=True, text=True, check=True).stdout
    done = [line.split("\t") for line in log.read_text().splitlines()]
    micros = sorted(int(micro) for _, status, micro in done if status == "200")
    answered = int(re.findall(r"\((\d+)\) data", text)[0]) // (_FRAME + size)
    failed = max(0, len(done) - min(answered, len(micros)))
    rate = float(re.findall(r"finished in [\d.]+\w+, ([\d.]+) req/s", text)[0])
    return Measured(rate, micros[len(micros) // 2] / 1000, micros[len(micros) * 99 // 100] / 1000, failed)


@contextmanager
def process(command: Sequence[str], port: int) -> Iterator[tuple[int, float]]:
    """A server, once it is ready: its number, and the seconds that it took."""
    started = time.monotonic()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                    break
            except OSError:
                if server.poll() is not None or time.monotonic() > started + 120:
                    raise SystemExit(f"error: {' '.join(command[:3])} does not start") from None
                time.sleep(0.02)
        yield server.pid, time.monotonic() - started
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def compiled(port: int) -> str:
    """The engine, once the server has chosen it."""
    for _ in range(600):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/overview.json") as answer:
            (model,) = json.load(answer)["models"]
        served = next(version for version in model["versions"] if version["state"] == "AVAILABLE")
        if "compared yet" not in served["why"]:
            return str(served["engine"])
        time.sleep(0.1)
    return "unknown"


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used, which other load on the machine disturbs less than rates."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """What a process holds of the memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--model", type=Path, help="a SavedModel with the article's signature")
    given = parser.parse_args()
    missing = [tool for tool in ("wrk", "h2load") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"error: {' and '.join(missing)} is missing: apt-get install wrk nghttp2-client")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        versions = scratch / "model"
        versions.mkdir()
        if given.model:
            shutil.copytree(given.model, versions / "1")
        else:
            make_model(versions / "1")
        measure(scratch, versions, given.seconds)


def measure(scratch: Path, versions: Path, seconds: float) -> None:
    """All rows of the table."""
    titles = f"{'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'failed':>7} {'CPU us':>9} {'times plain':>12}  aim"
    print(f"{'':44}{titles}", flush=True)
    plain: dict[str, float] = {}

    def show(what: str, measured: object) -> None:
        print(f"{what:44}{measured}", flush=True)

    def run(server: str, what: str, pid: int, load: Callable[[], Measured]) -> None:
        before, started = cpu_seconds(pid), time.monotonic()
        measured = load()
        requests = measured.per_second * (time.monotonic() - started)
        micros = (cpu_seconds(pid) - before) / max(requests, 1) * 1e6
        times = measured.per_second / plain.setdefault(what.removesuffix(", swap"), measured.per_second)
        aim = AIMS[what] if server.startswith("serving") else ""
        show(f"{server}, {what}", f"{measured} {micros:9.0f} {times:11.1f}x  {aim}".rstrip())

    port = free_port()
    with process([sys.executable, "-c", REFERENCE, str(versions / "1"), str(port)], port) as (pid, took):
        for what, rows in ((REST_ROW, 1), (REST_ROWS, BATCH)):
            rest(f"127.0.0.1:{port}", rows, 1, scratch)
            load = partial(rest, f"127.0.0.1:{port}", rows, seconds, scratch)
            run("Starlette and TensorFlow", what, pid, load)
        show("  memory, start to ready", f"{memory_mib(pid):.0f} MiB, {took:.1f} s")
    message = rpc_request(1)
    plain_rpc, floor = RPC_SERVER + RPC_REFERENCE, RPC_QUICK + RPC_SERVER + RPC_FLOOR
    for name, program in (("grpc.aio and TensorFlow", plain_rpc), ("grpc.aio and nothing", floor)):
        port, rpc_port = free_port(), free_port()
        arguments = [str(versions / "1"), str(port), str(rpc_port)]
        with process([sys.executable, "-c", program, *arguments], port) as (pid, _):
            size = check_rpc(f"127.0.0.1:{rpc_port}", message, 1) if program == plain_rpc else 0
            run(name, RPC_ROW, pid, partial(rpc, f"127.0.0.1:{rpc_port}", message, size, seconds, scratch))
    for engine in ("tf", "auto"):
        port, rpc_port = free_port(), free_port()
        flags = [f"--model_base_path={versions}", f"--rest_api_port={port}", f"--port={rpc_port}", f"--engine={engine}"]
        threads = ["--tensorflow_intra_op_parallelism=1", "--tensorflow_inter_op_parallelism=1"]
        command = [sys.executable, "-m", "serving", "--host=127.0.0.1", "--access_log_sampling=0", *flags, *threads]
        with process(command, port) as (pid, took):
            name = f"serving, {compiled(port) if engine == 'auto' else 'tensorflow'}"
            for what, rows in ((REST_ROW, 1), (REST_ROWS, BATCH)):
                rest(f"127.0.0.1:{port}", rows, 1, scratch)
                run(name, what, pid, partial(rest, f"127.0.0.1:{port}", rows, seconds, scratch))
            size = check_rpc(f"127.0.0.1:{rpc_port}", message, 1)
            run(name, RPC_ROW, pid, partial(rpc, f"127.0.0.1:{rpc_port}", message, size, seconds, scratch))
            newest = max(int(path.name) for path in versions.iterdir())
            swap = threading.Timer(1, lambda newest=newest: publish(versions, newest))
            swap.start()
            load = partial(rest, f"127.0.0.1:{port}", 1, max(seconds, 15), scratch)
            run(name, SWAP, pid, load)
            swap.join()
            show("  memory, start to ready", f"{memory_mib(pid):.0f} MiB, {took:.1f} s (aim: {FOOTPRINT_AIM})")


def publish(versions: Path, newest: int) -> None:
    """Put a copy of a version there as the next one, whole at once."""
    shutil.copytree(versions / str(newest), versions / "next.unfinished")
    (versions / "next.unfinished").rename(versions / str(newest + 1))


if __name__ == "__main__":
    main()
