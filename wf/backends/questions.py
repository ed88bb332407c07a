"""Questions to an engine behind a socket of this machine, asked without the SDK.

To import that takes as long as to run a container, and each of its questions costs several times what it does here.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import Struct

UNIX = "unix://"
DEFAULT_HOST = "unix:///var/run/docker.sock"
NOT_FOUND, CONFLICT = 404, 409
_FRAME = 8
"""Bytes before each piece of output: which stream it is of, three zeros, and its length."""
_CHUNK = 1 << 16
_TOGETHER = 1 << 15
"""Bytes up to which pieces are handed on together, which are those of the engine's own larger pieces."""


class RefusalError(OSError):
    """The engine answered with an error."""

    def __init__(self, explanation: str, status: int = 0) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        """In the engine's words."""
        self.status = status
        """Of HTTP."""


def plain_host() -> str | None:
    """The socket that the environment and the Docker settings of the user mean, if it is one and they are simple."""
    if host := os.environ.get("DOCKER_HOST"):
        return host if host.startswith(UNIX) else None
    if os.environ.get("DOCKER_CONTEXT"):
        return None
    folder = os.environ.get("DOCKER_CONFIG")
    settings = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    try:
        context = json.loads(settings.read_bytes()).get("currentContext")
    except FileNotFoundError:
        context = None
    except (OSError, ValueError, AttributeError):
        return None
    return DEFAULT_HOST if context in {None, "", "default"} else None


def target(path: str, query: Mapping[str, str]) -> str:
    """A path and what is asked of it, as HTTP writes them."""
    return quote(path, safe="/") + (f"?{urlencode(query)}" if query else "")


class Answer(Struct, frozen=True):
    """What an engine answered."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    value: Any
    """The JSON of its body; nothing where that is empty."""


class Output(Struct, frozen=True):
    """What a container prints, standard output and error together."""

    chunks: Iterator[bytes]
    """Of any size, until the container closes both. Raises `OSError` if the engine breaks off."""
    close: Callable[[], None]


def ask(host: str, target: str, timeout: float | None, method: str = "GET", body: object = None) -> Answer:
    """What the engine at `unix://...` answers.

    Args:
        host: the engine.
        target: the path, quoted, and the query.
        timeout: seconds for which nothing may come; `None` for ever.
        method: of HTTP.
        body: what to send as JSON.

    Raises:
        OSError: nothing listens there, or it does not answer in time or in sense.
    """
    sent = b"" if body is None else json.dumps(body).encode()
    # Of HTTP/1.0: then an answer has no chunks, and ends with the connection.
    request = (
        f"{method} {target} HTTP/1.0\r\nHost: docker\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    with _connected(host, timeout) as connection:
        connection.sendall(request.encode() + sent)
        head, _, rest = _rest(connection).partition(b"\r\n\r\n")
    return _answer(head, rest)


def follow(host: str, target: str, timeout: float, method: str = "GET") -> Output:
    """What a container prints from now on, once the engine at `unix://...` has agreed to tell it.

    Raises `RefusalError` where it does not, and `OSError` like `ask`.
    """
    # An engine needs no upgrade for this, but whatever passes on what is sent to it may.
    upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if method == "POST" else ""
    connection = _connected(host, timeout)
    try:
        connection.sendall(f"{method} {target} HTTP/1.0\r\nHost: docker\r\n{upgrade}\r\n".encode())
        text = b""
        while b"\r\n\r\n" not in text and (chunk := connection.recv(_CHUNK)):
            text += chunk
        head, _, rest = text.partition(b"\r\n\r\n")
        if _status(head) not in {101, 200}:
            accepted(_answer(head, rest + _rest(connection)))
            raise ConnectionError("its answer makes no sense")
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return Output(_pieces(connection, rest), connection.close)


def accepted(answer: Answer) -> Answer:
    """The same answer; raises `RefusalError` if it is a refusal."""
    if answer.status >= 400:
        raise RefusalError((answer.value or {}).get("message", f"HTTP {answer.status}"), answer.status)
    return answer


def _connected(host: str, timeout: float | None) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(host.removeprefix(UNIX))
    except BaseException:
        connection.close()
        raise
    return connection


def _rest(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(_CHUNK), b""))


def _status(head: bytes) -> int:
    try:
        return int(head.split(None, 2)[1])
    except (IndexError, ValueError):
        raise ConnectionError("its answer makes no sense") from None


def _answer(head: bytes, rest: bytes) -> Answer:
    _, *lines = head.decode("latin-1").split("\r\n")
    named = (line.partition(":") for line in lines)
    headers = {name.lower(): text.strip() for name, _, text in named}
    value = None
    if "json" in headers.get("content-type", ""):
        try:
            value = json.loads(rest) if rest else None
        except ValueError:
            raise ConnectionError("its answer makes no sense") from None
    return Answer(_status(head), headers, value)


def _pieces(connection: socket.socket, arrived: bytes) -> Iterator[bytes]:
    """What follows the heads of frames: small ones that have arrived together are put together, up to a limit."""
    pieces: list[bytes] = []
    while True:
        size = start = 0
        while len(arrived) >= (begin := start + _FRAME):
            end = begin + int.from_bytes(arrived[start + 4 : begin])
            if len(arrived) < end:
                break
            if pieces and size + end - begin > _TOGETHER:
                yield b"".join(pieces)
                pieces, size = [], 0
            pieces.append(arrived[begin:end])
            size += end - begin
            start = end
        if pieces:
            yield b"".join(pieces)
            pieces = []
        chunk = connection.recv(_CHUNK)
        if not chunk:
            break
        arrived = arrived[start:] + chunk
    if arrived[start:]:
        raise ConnectionError("what a container printed broke off")
