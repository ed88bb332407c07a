"""HTTP/1.1 on one connection: requests in, answers out in their order, and what a client may not do.

httptools parses in C. A request that needs no waiting is answered while its bytes are being read, with no task of its
own. Clients send the same head again and again, so what was once parsed is remembered: see `KnownHeads`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, Final, Protocol

import httptools

from serving.errors import Code, InvalidArgument, ServingError
from serving.gathering import Pending
from serving.rest.answer import Answer, failure, refusal, written
from serving.rest.heads import Head, KnownHeads

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_MOST_HEAD_BYTES: Final = 64 * 2**10
_IDLE_SECONDS: Final = 75.0
"""How long a connection may be kept without a request: longer than proxies keep theirs."""
_LINGER_SECONDS: Final = 5.0
"""How long a refused client may go on sending: if the connection was closed at once, it might miss the refusal."""

Reply = Answer | Pending[Answer] | Coroutine[Any, Any, Answer]
Respond = Callable[[str, str, bytes], Reply]
"""Method, path without query, body -> the answer, or how it is to be had where something must be waited for."""


@dataclass(frozen=True, slots=True)
class RestLimits:
    """What a client may ask of the server."""

    body_bytes: int = 64 * 2**20
    seconds: float = 30.0
    """For a request's headers to arrive, again for its body, and again for its answer to be taken."""


class Host(Protocol):
    """What connections share."""

    respond: Respond
    limits: RestLimits
    headers: bytes
    """More headers of every answer, each with its end."""
    heads: KnownHeads
    draining: bool
    """Whether connections end with the answer that they are at."""
    connections: set["Connection"]


class _Phase(Enum):
    """Where the request is that is being read."""

    NEW = auto()
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    REFUSED = auto()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._transport: Any = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._phase = _Phase.NEW
        self._deadline = 0.0
        self._unused = 0
        """Bytes that have come since the parser last made something of them."""
        self._read = b""
        """What is being read, if it begins a request."""
        self._url = b""
        self._declared = 0
        self._expects_continue = False
        self._body: bytes | bytearray = b""
        self._waiting: deque[tuple[Head, bytes]] = deque()
        self._pending: Pending[Answer] | None = None
        self._task: asyncio.Task[Answer] | None = None
        self._full = False
        """Whether the client is slower to take answers than they come."""
        self._ended = False
        """Whether the client sends no more."""
        self._reading = True
        self._refusal: Answer | None = None
        """What is still to be said when the requests before are answered."""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport
        self._host.connections.add(self)
        self._enter(_Phase.NEW)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._host.connections.discard(self)
        self._waiting.clear()
        if self._task:
            self._task.cancel()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._full = True
        self._deadline = self._loop.time() + self._host.limits.seconds

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._full = False
        self._enter(self._phase)
        self._serve_waiting()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. Who sends no more may still wait for an answer."""
        self._ended = True
        return self._busy and self._phase is not _Phase.REFUSED

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._phase is _Phase.REFUSED:
            return
        self._read = b""
        if self._phase in (_Phase.IDLE, _Phase.NEW) and not self._busy:
            head, body = self._host.heads.split(data)
            if head and not self._transport.is_closing():
                self._enter(_Phase.IDLE)
                self._serve(head, body)
                return
            self._read = data
        self._unused += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # An offer of another protocol need not be taken up: HTTP/1.1 goes on.
            self._parser = httptools.HttpRequestParser(self)
            if upgrade.args[0] < len(data):
                self.data_received(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(failure(400, f"Malformed request: {error}"))
        else:
            if self._unused > _MOST_HEAD_BYTES:
                self._refuse(failure(431, f"the request's headers are larger than {_MOST_HEAD_BYTES:,} bytes"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._url, self._body, self._declared, self._expects_continue = b"", b"", 0, False
        self._enter(_Phase.HEAD)

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or trailer."""
        size = len(name)
        if size == 14 and name.lower() == b"content-length":
            self._declared = int(value)
        elif size == 6 and name.lower() == b"expect":
            self._expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """All headers."""
        self._unused = 0
        self._enter(_Phase.BODY)
        if self._declared > self._host.limits.body_bytes:
            self._refuse(_too_large(self._host.limits))
        elif self._expects_continue:
            self._transport.write(_CONTINUE)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._unused = 0
        if self._phase is _Phase.REFUSED:
            return
        if not self._body:
            self._body = piece
        elif len(self._body) + len(piece) <= self._host.limits.body_bytes:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        else:
            self._refuse(_too_large(self._host.limits))

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._unused = 0
        if self._phase is _Phase.REFUSED or self._transport.is_closing():
            return
        parser = self._parser
        if not parser.should_keep_alive():
            connection = b"close"
        else:
            connection = b"" if parser.get_http_version() == "1.1" else b"keep-alive"
        head, body = Head(parser.get_method().decode(), _path(self._url), connection), bytes(self._body)
        self._body = b""
        self._enter(_Phase.IDLE)
        if len(body) > self._host.limits.body_bytes:
            self._refuse(_too_large(self._host.limits))
            return
        if not connection:
            self._host.heads.learn(self._read, head, body)
        if self._busy:
            self._waiting.append((head, body))
            if self._reading:
                self._reading = False
                self._transport.pause_reading()
        else:
            self._serve(head, body)

    # Answers.

    @property
    def _busy(self) -> bool:
        return self._pending is not None or self._task is not None or self._full

    def _serve(self, head: Head, body: bytes) -> None:
        reply = self._host.respond(head.method, head.path, body)
        if isinstance(reply, Answer):
            self._write(reply, head)
        elif isinstance(reply, Pending):
            self._pending = reply
            reply.deliver = partial(self._delivered, head)
        else:
            self._task = task = self._loop.create_task(reply)
            task.add_done_callback(lambda done: self._answered(done, head))

    def _delivered(self, head: Head, answer: Answer) -> None:
        self._pending = None
        if not self._transport.is_closing():
            self._write(answer, head)
            if self._waiting or self._refusal:
                self._serve_waiting()

    def _answered(self, task: asyncio.Task[Answer], head: Head) -> None:
        self._task = None
        if not task.cancelled():
            self._enter(self._phase)
            self._write(task.result(), head)
            self._serve_waiting()

    def _write(self, answer: Answer, head: Head) -> None:
        connection = b"close" if self._host.draining or self._ended else head.connection
        self._transport.write(written(answer, connection, self._host.headers, with_body=head.method != "HEAD"))
        if connection == b"close":
            self._waiting.clear()
            self._transport.close()

    def _serve_waiting(self) -> None:
        """Answer what has come meanwhile, and read on when that is done."""
        while self._waiting and not self._busy and not self._transport.is_closing():
            self._serve(*self._waiting.popleft())
        if not self._waiting and not self._transport.is_closing():
            if self._refusal:
                self._write_refusal(self._refusal)
            elif not self._reading:
                self._reading = True
                self._transport.resume_reading()

    def _refuse(self, answer: Answer) -> None:
        """Answer what cannot be read on, and end the connection once the client has had time to see it."""
        if self._phase is _Phase.REFUSED or self._transport.is_closing():
            return
        self._phase = _Phase.REFUSED
        if self._busy:
            self._refusal = answer
        else:
            self._write_refusal(answer)

    def _write_refusal(self, answer: Answer) -> None:
        self._deadline = self._loop.time() + _LINGER_SECONDS
        self._transport.write(written(answer, b"close", self._host.headers, with_body=True))
        self._transport.write_eof()

    # Time.

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        seconds = _IDLE_SECONDS if phase is _Phase.IDLE else self._host.limits.seconds
        self._deadline = self._loop.time() + seconds

    def check(self, now: float) -> None:
        """End what has taken too long. To be called every now and then."""
        if now < self._deadline or self._task:
            return
        if self._full or self._phase in (_Phase.REFUSED, _Phase.IDLE):
            self._transport.abort()
            return
        seconds = self._host.limits.seconds
        if self._phase in (_Phase.NEW, _Phase.HEAD):
            self._refuse(failure(408, f"the request's headers did not arrive within {seconds:g} s"))
        else:
            error = ServingError(Code.DEADLINE_EXCEEDED, f"the request's body did not arrive within {seconds:g} s")
            self._refuse(refusal(error))

    def drain(self) -> None:
        """End the connection if no request is on its way; otherwise it ends with the answer."""
        if self._phase in (_Phase.NEW, _Phase.IDLE) and not self._busy:
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()


def _path(url: bytes) -> str:
    if not url.startswith((b"/", b"*")):
        url = httptools.parse_url(url).path or b"/"
    return url.partition(b"?")[0].decode("latin-1")


def _too_large(limits: RestLimits) -> Answer:
    return refusal(InvalidArgument(f"the request's body is larger than {limits.body_bytes:,} bytes"))
