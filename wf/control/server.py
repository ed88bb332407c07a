"""The HTTP server. A request carries its job's token as the first part of its path, where it is part of the address
that the job was given, or in the header `X-API-Key` or `Authorization: Bearer`: so any key of the user's may travel in
the headers where the path says who asks.
"""

import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from wf.control.http import Handler, Request, Response, error_response
from wf.errors import InvalidWorkflow, WfError

LONGEST_BODY: Final = 2 << 30
"""Bytes, in memory: clients send bigger files in parts."""
_SILENCE: Final = 60.0
"""Seconds after which a connection that says nothing is closed."""
_PATIENCE: Final = 5.0
"""Seconds for which a client that was refused may go on sending."""


class Server(ThreadingHTTPServer):
    """Answers who connects to a socket that listens already."""

    daemon_threads = True

    def __init__(
        self, listener: socket.socket, address: str, run: int, handlers: Sequence[Handler], tokens: Mapping[str, str]
    ) -> None:
        super().__init__(listener.getsockname(), _Exchange, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.address = address
        """As jobs know it."""
        self.run = run
        self._handlers = handlers
        self._tokens = tokens

    def start(self) -> None:
        """Answer from now on, in threads of its own."""
        threading.Thread(target=self.serve_forever, args=[0.05], name="control", daemon=True).start()

    def stop(self) -> None:
        """Accept nothing more."""
        self.shutdown()
        self.server_close()

    def job_of(self, token: str) -> str | None:
        """The job that has this token."""
        given = token.encode()
        found = [job for job, known in self._tokens.items() if compare_digest(known.encode(), given)]
        return found[0] if found else None

    def answer(self, request: Request) -> Response:
        """What the first handler says whose path it is."""
        try:
            answers = (handler(request) for handler in self._handlers)
            found = next((answer for answer in answers if answer is not None), None)
        except InvalidWorkflow as error:
            parts = (": ".join(filter(None, [each.message, each.hint])) for each in error.problems)
            return error_response(400, "; ".join(parts))
        except WfError as error:
            return error_response(400, " ".join(filter(None, [str(error), error.hint])))
        except Exception as bug:  # noqa: BLE001 -- one request, whatever it is, must not take the run with it
            return error_response(500, f"a bug in wf: {type(bug).__name__}: {bug}")
        return found or error_response(404, f"wf does not answer {request.method} {request.path}")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = _SILENCE
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: Server
    refused = False
    """Whether the client was answered before all that it sends was read."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class calls it so
        """Addresses hold tokens, so nothing is logged."""

    def _exchange(self) -> None:
        response = self._response()
        self.send_response(response.status)
        if "Content-Length" not in response.headers:
            self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Content-Type", response.content_type)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def _response(self) -> Response:
        parts = urlsplit(self.path)
        first, _, rest = parts.path.lstrip("/").partition("/")
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        ways = (
            (first, f"/{rest}"),
            (self.headers.get("X-API-Key", ""), parts.path),
            (bearer, parts.path),
        )
        known = ((job, token, path) for token, path in ways if (job := self.server.job_of(token)))
        job, token, path = next(known, ("", "", ""))
        if not job:
            self._refuse()  # nothing more is read from a stranger
            return error_response(401, "this run gave no such key")
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not length.isdecimal() or int(length) > LONGEST_BODY:
            self._refuse()  # what it sends cannot be told from its next request
            return error_response(413, f"wf takes requests of a known length up to {LONGEST_BODY >> 30} GiB")
        body = self.rfile.read(int(length))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        base = f"{self.server.address}/{token}"
        return self.server.answer(Request(self.command, unquote(path), query, body, job, self.server.run, base))

    def _refuse(self) -> None:
        self.refused = self.close_connection = True

    def finish(self) -> None:
        """Close. A client that is still sending would lose its answer if the connection were cut at once."""
        super().finish()
        if self.refused:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_PATIENCE)
            until = time.monotonic() + _PATIENCE
            while time.monotonic() < until and self.connection.recv(1 << 16):
                pass
