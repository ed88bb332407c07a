"""The REST port: its connections, their time limits, and how they end."""

import asyncio
from typing import Final

from serving.rest.connection import Connection, Respond, RestLimits
from serving.rest.heads import KnownHeads

_BACKLOG: Final = 2048
_CHECKS: Final = 4
"""How often a connection is looked at within the time that it has."""


class Listener:
    """Answers HTTP. Its attributes are those of `Host`."""

    def __init__(self, respond: Respond, limits: RestLimits, headers: bytes = b"") -> None:
        self.respond = respond
        self.limits = limits
        self.headers = headers
        self.heads = KnownHeads()
        self.draining = False
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._checking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self, loop), host, port, backlog=_BACKLOG)
        self._checking = loop.create_task(self._check())

    async def _check(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self.limits.seconds / _CHECKS))
            now = loop.time()
            for connection in tuple(self.connections):
                connection.check(now)

    async def stop(self, seconds: float) -> None:
        """Take no more connections, and give requests that are on their way this time to be answered."""
        if not self._server or not self._checking:
            return
        loop = asyncio.get_running_loop()
        self._server.close()
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()
        end = loop.time() + seconds
        while self.connections and loop.time() < end:
            await asyncio.sleep(0.02)
        self._checking.cancel()
        for connection in tuple(self.connections):
            connection.abort()
