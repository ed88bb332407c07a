"""The process: it sets everything up, answers until it is asked to stop, and then lets running requests finish."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import uvicorn
import uvloop

from serving.flags import Settings, parse
from serving.models.loader import Loader
from serving.models.manager import Manager
from serving.rest.app import RestApp, RestLimits

log = logging.getLogger(__name__)

_RUNNING_THREADS: Final = 4
"""Each function of a model uses one, unless the batching parameters say more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    settings = parse(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    uvloop.run(_until_signal(settings))
    return 0


async def _until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Everything, in the running event loop, until `stop` is set."""
    with ThreadPoolExecutor(1, "load") as loading, ThreadPoolExecutor(_RUNNING_THREADS, "run") as running:
        loader = Loader(running, settings.batching, settings.intra_op, settings.inter_op)
        manager = Manager(loader.load, loading)
        rest = _rest_server(settings, RestApp(manager, RestLimits(settings.body_bytes, settings.timeout_seconds)))
        answering = asyncio.create_task(rest.serve())
        serving = asyncio.create_task(_follow(manager, settings))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, answering, serving}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping: running requests have %g s to finish", settings.drain_seconds)
        for task in (serving, stopping):
            task.cancel()
        rest.should_exit = True
        await answering
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await manager.close()


async def _follow(manager: Manager, settings: Settings) -> None:
    """Load what the settings say, and then what appears."""
    await manager.configure(settings.models)
    while True:
        # Without polling, versions stay what they were at the start.
        await asyncio.sleep(settings.poll_seconds or 3600)
        if settings.poll_seconds:
            try:
                await manager.look()
            except OSError:
                log.exception("looking for versions failed")


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: this process has one for all that it runs."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _rest_server(settings: Settings, app: RestApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.rest_port,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=int(settings.drain_seconds),
    )
    return _Server(config)
