"""A server in a thread of the tests' own process, and a client that shows whole answers."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from serving.flags import parse
from serving.server import serve
from tests.projects import REPOSITORY


class Client:
    """Speaks HTTP to one server."""

    def __init__(self, port: int, rpc_port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.rpc_address = f"127.0.0.1:{rpc_port}"

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of the answer."""
        request = urllib.request.Request(f"http://{self.address}{path}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        status, body = self.send("GET", path)
        return status, json.loads(body)

    def post(self, path: str, document: Any) -> tuple[int, Any]:
        """Send JSON, or bytes as they are; status and JSON of the answer."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        status, answer = self.send("POST", path, body)
        return status, json.loads(answer)


@contextmanager
def free_ports() -> Iterator[tuple[int, int]]:
    """Two ports that nobody is given meanwhile: one that is bound and not listened at is for who asks for it."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        yield one.getsockname()[1], other.getsockname()[1]


@contextmanager
def running(*flags: str, ready: bool = True) -> Iterator[Client]:
    """A server with these flags, until the block ends; `ready`: wait until it has loaded what it is to serve."""
    with free_ports() as (port, rpc_port), _running(port, rpc_port, flags, ready) as client:
        yield client


@contextmanager
def _running(port: int, rpc_port: int, flags: Sequence[str], ready: bool) -> Iterator[Client]:
    ports = [f"--rest_api_port={port}", f"--port={rpc_port}"]
    settings = parse(["--host=127.0.0.1", *ports, "--file_system_poll_wait_seconds=0.1", "--engine=tf", *flags])
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(settings, stop),))
    thread.start()
    client = Client(port, rpc_port)
    try:
        wait_until(lambda: _answers(client, "/readyz" if ready else "/healthz"))
        yield client
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()
        assert not thread.is_alive()


@contextmanager
def process(*flags: str) -> Iterator[tuple[Client, "subprocess.Popen[bytes]"]]:
    """`python -m serving` with these flags, once it has loaded what it is to serve; killed when the block ends."""
    with free_ports() as (port, rpc_port), _process(port, rpc_port, flags) as started:
        yield started


@contextmanager
def _process(port: int, rpc_port: int, flags: Sequence[str]) -> Iterator[tuple[Client, "subprocess.Popen[bytes]"]]:
    command = [sys.executable, "-m", "serving", "--host=127.0.0.1", f"--rest_api_port={port}", f"--port={rpc_port}"]
    server = subprocess.Popen([*command, *flags], cwd=REPOSITORY)
    client = Client(port, rpc_port)
    try:
        wait_until(lambda: _answers(client, "/readyz") or server.poll() is not None)
        assert server.poll() is None, "it ended"
        yield client, server
    finally:
        server.kill()
        server.wait()


def _answers(client: Client, path: str) -> bool:
    try:
        return client.send("GET", path)[0] == 200
    except OSError:
        return False


def wait_until(condition: Any, seconds: float = 60) -> None:
    """Return when the condition holds; fail after a time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)
