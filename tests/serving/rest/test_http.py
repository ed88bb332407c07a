"""HTTP/1.1 as clients speak it, byte by byte."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.serving.running import Client, process, running

BODY = b'{"instances": [2]}'
PREDICTIONS = b'{"predictions":[4.0]}'


@contextmanager
def connected(client: Client) -> Iterator[tuple[socket.socket, BinaryIO]]:
    """A connection, and a reader of it."""
    host, port = client.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection, connection.makefile("rb") as reader:
        yield connection, reader


def predict(*headers: str, body: bytes = BODY, version: str = "1.1") -> bytes:
    """A request to predict, with its length."""
    lines = [f"POST /v1/models/half:predict HTTP/{version}", "Host: x", f"Content-Length: {len(body)}"]
    return "".join(f"{line}\r\n" for line in [*lines, *headers, ""]).encode() + body


def answer(reader: BinaryIO, *, with_body: bool = True) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer."""
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, reader.read(int(headers.get("content-length", 0))) if with_body else b""


def test_a_connection_takes_one_request_after_the_other(half: Client) -> None:
    """Nothing is said about it, since it is the rule in HTTP/1.1."""
    with connected(half) as (connection, reader):
        for _ in range(3):
            connection.sendall(predict())
            expected = {"content-type": "application/json", "content-length": str(len(PREDICTIONS))}
            assert answer(reader) == (200, expected, PREDICTIONS)


def test_pipelined_requests_are_answered_in_their_order(half: Client) -> None:
    """Those that wait for a model, and those that do not."""
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(half) as (connection, reader):
        connection.sendall((predict() + health) * 20 + predict(body=b"{"))
        for _ in range(20):
            assert answer(reader)[2] == PREDICTIONS
            assert answer(reader)[2] == b"ok\n"
        assert answer(reader)[0] == 400


def test_a_request_may_come_in_any_pieces(half: Client) -> None:
    """One byte at a time."""
    with connected(half) as (connection, reader):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in predict("X-Some: thing"):
            connection.sendall(bytes([byte]))
        assert answer(reader)[2] == PREDICTIONS


def test_a_head_that_was_sent_before_may_come_with_less_or_more(half: Client) -> None:
    """The body later, in pieces, with half of the next request, or another body of the same length."""
    request = predict("X-Known: yes")
    with connected(half) as (connection, reader):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pieces in ([request], [request], [request[:-3], request[-3:]], [request + request[:20], request[20:]]):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02)
            assert answer(reader)[2] == PREDICTIONS
        assert answer(reader)[2] == PREDICTIONS
        connection.sendall(request.replace(b"[2]", b"[4]"))
        assert answer(reader)[2] == b'{"predictions":[5.0]}'


def test_chunks_are_put_together(half: Client) -> None:
    """With an extension and a trailer, which nobody reads."""
    with connected(half) as (connection, reader):
        head = b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"4;a=b\r\n" + BODY[:4] + b"\r\n%x\r\n" % len(BODY[4:]) + BODY[4:])
        connection.sendall(b"\r\n0\r\nX-Trailer: 1\r\n\r\n")
        assert answer(reader)[2] == PREDICTIONS
        connection.sendall(predict())
        assert answer(reader)[2] == PREDICTIONS


def test_a_client_that_waits_to_be_told_is_told(half: Client) -> None:
    """`Expect: 100-continue`."""
    with connected(half) as (connection, reader):
        request = predict("Expect: 100-continue")
        connection.sendall(request[: -len(BODY)])
        assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert reader.readline() == b"\r\n"
        connection.sendall(BODY)
        assert answer(reader)[2] == PREDICTIONS


def test_a_head_request_gets_the_headers(half: Client) -> None:
    """And no body, so the next answer follows."""
    with connected(half) as (connection, reader):
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, _ = answer(reader, with_body=False)
        assert (status, headers["content-length"]) == (200, "3")
        connection.sendall(predict())
        assert answer(reader)[2] == PREDICTIONS


@pytest.mark.parametrize(
    ("headers", "version", "told"),
    [
        (["Connection: close"], "1.1", "close"),
        ([], "1.0", "close"),
        (["Connection: keep-alive"], "1.0", "keep-alive"),
    ],
)
def test_who_wants_the_connection_closed_gets_that(half: Client, headers: list[str], version: str, told: str) -> None:
    """In HTTP/1.0 everybody who does not ask for the opposite."""
    with connected(half) as (connection, reader):
        connection.sendall(predict(*headers, version=version))
        assert answer(reader)[1]["connection"] == told
        if told == "close":
            assert reader.read() == b""


def test_an_offer_of_another_protocol_is_not_taken_up(half: Client) -> None:
    """HTTP/1.1 goes on, also for what was sent along."""
    with connected(half) as (connection, reader):
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + predict()
        )
        assert answer(reader)[2] == b"ok\n"
        assert answer(reader)[2] == PREDICTIONS


def test_who_sends_no_more_is_still_answered(half: Client) -> None:
    """A connection that the client has closed for its part."""
    with connected(half) as (connection, reader):
        connection.sendall(predict())
        connection.shutdown(socket.SHUT_WR)
        assert answer(reader)[2] == PREDICTIONS
        assert reader.read() == b""


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, b"Malformed request: "),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, b"Malformed request: "),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, 431, b"the request's headers are larger than 65,536 bytes"),
        (b"GET /" + b"x" * 70_000, 431, b"the request's headers are larger than 65,536 bytes"),
    ],
)
def test_what_cannot_be_read_ends_the_connection(half: Client, sent: bytes, status: int, error: bytes) -> None:
    """With a last answer that says why."""
    with connected(half) as (connection, reader):
        connection.sendall(predict())
        assert answer(reader)[2] == PREDICTIONS
        connection.sendall(sent)
        found, headers, body = answer(reader)
        assert (found, headers["connection"]) == (status, "close")
        assert error in body
        assert reader.read() == b""


def test_a_query_in_the_address_is_ignored(half: Client) -> None:
    """Also in the form that proxies are asked in."""
    for target in (b"/healthz?a=b", b"http://x/healthz"):
        with connected(half) as (connection, reader):
            connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target)
            assert answer(reader)[2] == b"ok\n"


def test_pages_of_other_origins_may_ask_if_the_flag_says_so(models: Path, half: Client) -> None:
    """`--rest_api_enable_cors_support`: every answer has the headers, a preflight request nothing else."""
    preflight = b"OPTIONS /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nOrigin: http://page\r\n\r\n"
    flags = ["--model_name=half", f"--model_base_path={models / 'half'}", "--rest_api_enable_cors_support"]
    with running(*flags) as client, connected(client) as (connection, reader):
        for request, status in ((preflight, 200), (predict(), 200), (predict(body=b"{"), 400)):
            connection.sendall(request)
            found, headers, _ = answer(reader)
            assert (found, headers["access-control-allow-origin"]) == (status, "*")
    with connected(half) as (connection, reader):
        connection.sendall(preflight)
        status, headers, _ = answer(reader)
        assert (status, "access-control-allow-origin" in headers) == (400, False)


def test_sigterm_ends_idle_connections_and_the_process(models: Path) -> None:
    """A client that only waits does not hold it up."""
    with (
        process("--model_name=half", f"--model_base_path={models / 'half'}", "--engine=tf") as (client, server),
        connected(client) as (connection, reader),
    ):
        connection.sendall(predict())
        assert answer(reader)[2] == PREDICTIONS
        server.terminate()
        assert reader.read() == b""
        assert server.wait(30) == 0
