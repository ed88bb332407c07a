"""What a run has of the server: the address for its jobs. The server itself is made when the first of them asks.

Its import takes longer than all else that a run of one container imports, and most jobs never ask.
"""

import os
import select
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    import socket

    from wf.control.http import Handler
    from wf.control.server import Server

API: Final = "WF_API"
"""The variable that holds the address of the server, with the job's token in it."""
API_KEY: Final = "PAPERSPACE_API_KEY"
"""The variable of the `gradient` client's key. Jobs have one in any case, so no secret is needed to fill it."""
NOWHERE: Final = "http://wf-cannot-be-reached-from-this-docker-engine.invalid"
"""What jobs are given where they cannot reach this machine: whoever calls it reads the reason in the error."""


class Doorway(Struct, frozen=True):
    """How the tasks of a backend reach this machine."""

    bind: str
    """The address of this machine to listen at, which nobody but its tasks reaches."""
    host: str
    """The name or address by which the tasks know it."""


LOOPBACK: Final = Doorway("127.0.0.1", "127.0.0.1")
"""For tasks that are processes of this machine."""


class Control:
    """The server of one run, and the tokens of its jobs. May be used from any thread."""

    def __init__(
        self, run: int, jobs: Iterable[str], handlers: "Iterable[Handler]", find_doorway: Callable[[], Doorway | None]
    ) -> None:
        self.tokens: Mapping[str, str] = {job: os.urandom(20).hex() for job in jobs}
        """What each job proves itself with: secrets, which no log shows."""
        self._run = run
        self._handlers = tuple(handlers)
        self._find_doorway = find_doorway
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._server: Server | None = None
        self._address = ""
        self._closing: socket.socket | None = None
        """Where it is closed, whoever waits for somebody to ask is woken."""
        self._waiting: threading.Thread | None = None

    def environment(self, job: str, project: str) -> dict[str, str]:
        """The variables that a job finds the server by: ours, and those of the `gradient` client.

        Args:
            job: the id of a task; one without a token gets nothing.
            project: the id that the client shall have for this project.
        """
        token = self.tokens.get(job)
        if token is None:
            return {}
        base = f"{self._open()}/{token}"
        return {
            API: base,
            "PAPERSPACE_API_HOST": f"{base}/graphql",
            "PAPERSPACE_CONFIG_HOST": base,
            "PAPERSPACE_CONFIG_LOG_HOST": base,
            "PAPERSPACE_CONFIG_SERVICE_HOST": base,
            API_KEY: token,
            "PROJECT_ID": project,
        }

    def close(self) -> None:
        """Stop answering. Safe to call twice, and where nobody ever asked."""
        with self._lock:
            server, self._server = self._server, None
            listener, self._listener = self._listener, None
            closing, self._closing = self._closing, None
            self._address = NOWHERE
        if closing:
            closing.close()
        if server:
            server.stop()
        elif listener and self._waiting:
            self._waiting.join()  # a socket that is polled still listens, closed or not
            listener.close()

    def _open(self) -> str:
        with self._lock:
            if not self._address:
                self._address = self._listen() or NOWHERE
            return self._address

    def _listen(self) -> str:
        doorway = self._find_doorway()
        if doorway is None:
            return ""
        try:
            listener = listen(doorway)
        except OSError:
            return ""  # the engine's address is not one of this machine
        import socket

        self._listener = listener
        self._closing, closed = socket.socketpair()
        address = f"http://{doorway.host}:{listener.getsockname()[1]}"
        self._waiting = threading.Thread(
            target=self._serve, args=[listener, closed, address], name="control", daemon=True
        )
        self._waiting.start()
        return address

    def _serve(self, listener: "socket.socket", closed: "socket.socket", address: str) -> None:
        """Wait for the first who asks, and begin to answer."""
        with closed:
            waiting = select.poll()
            waiting.register(listener, select.POLLIN)
            waiting.register(closed, select.POLLIN)
            if closed.fileno() in dict(waiting.poll()):
                return
        from wf.control.server import Server

        with self._lock:
            if self._listener is not None:
                self._server = Server(listener, address, self._run, self._handlers, self.tokens)
                self._server.start()


def listen(doorway: Doorway) -> "socket.socket":
    """A socket that listens at a doorway, on a port that is free."""
    import socket

    return socket.create_server((doorway.bind, 0))
