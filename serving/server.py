"""The process: it sets everything up, answers until it is asked to stop, and then lets running requests finish."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
import numpy as np
import uvloop

from serving.access_log import AccessLog
from serving.errors import ServingError
from serving.flags import Settings, parse
from serving.inference import Inference
from serving.metrics import Metrics
from serving.models import config_file
from serving.models.loader import Loader
from serving.models.manager import Manager
from serving.prediction_log import PredictionLog
from serving.rest.answer import CORS
from serving.rest.app import RestApp
from serving.rest.connection import RestLimits
from serving.rest.listener import Listener
from serving.rpc.health import Health
from serving.rpc.model import ModelService
from serving.rpc.prediction import PredictionService

log = logging.getLogger(__name__)

_RUNNING_THREADS: Final = 4
"""Each function of a model uses one, unless the batching parameters say more."""
_SWITCH_SECONDS: Final = 0.0005
"""So long may a thread keep Python's lock that loads a model, while requests wait for it: a tenth of the usual."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    settings = parse(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # What the imports have made is never garbage: looking through it would stop all requests for a tenth of a second.
    gc.freeze()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        uvloop.run(_until_signal(settings))
    except (OSError, ServingError) as error:
        log.error("%s", error)  # noqa: TRY400
        return 1
    return 0


async def _until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Everything, in the running event loop, until `stop` is set."""
    np.seterr(over="ignore")  # numbers too large for single precision are infinite, as in JSON's other readers
    threads = _RUNNING_THREADS * settings.batching.num_batch_threads
    with ThreadPoolExecutor(1, "load") as loading, ThreadPoolExecutor(threads, "run") as running:
        metrics = Metrics()
        loader = Loader(
            executor=running,
            metrics=metrics,
            batching=settings.batching,
            engine=settings.engine,
            warmup=settings.warmup,
            intra_op=settings.intra_op,
            inter_op=settings.inter_op,
            longest_list=settings.longest_list,
        )
        manager = Manager(
            loader,
            loading,
            attempts=settings.load_attempts,
            labels_for_unavailable=settings.labels_for_unavailable,
        )
        predictions = PredictionLog(settings.prediction_log) if settings.prediction_log else None
        inference = Inference(manager, metrics, AccessLog(settings.access_log_sampling), predictions)
        limits = RestLimits(settings.body_bytes, settings.timeout_seconds)
        app = RestApp(inference, settings.metrics_path, cors=settings.cors)
        rest = Listener(app.respond, limits, CORS if settings.cors else b"")
        rpc = _rpc_server(settings, inference)

        async def listen() -> None:
            await rest.start(settings.host, settings.rest_port)
            await rpc.start()

        following = asyncio.create_task(_follow(manager, settings, listen))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, following}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping: running requests have %g s to finish", settings.drain_seconds)
        for task in (following, stopping):
            task.cancel()
        await asyncio.gather(rest.stop(settings.drain_seconds), rpc.stop(settings.drain_seconds))
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await manager.close()
        if predictions:
            predictions.close()


async def _follow(manager: Manager, settings: Settings, listen: Callable[[], Awaitable[None]]) -> None:
    """Load what the settings say, then what appears; read the configuration again when it changes.

    Nobody is listened to before the first is done, as in TensorFlow Serving: probes take a port that answers for a
    model that does.
    """
    await manager.begin(settings.models)
    await listen()
    read = time.monotonic()
    while True:
        waits = [seconds for seconds in (settings.poll_seconds, settings.config_poll_seconds) if seconds > 0]
        await asyncio.sleep(min(waits, default=3600))
        try:
            if settings.config_file and 0 < settings.config_poll_seconds <= time.monotonic() - read:
                read = time.monotonic()
                await manager.configure(config_file.read(settings.config_file))
            elif settings.poll_seconds > 0:
                await manager.look()
        except (OSError, ServingError) as error:
            log.error("what is served stays as it is: %s", error)  # noqa: TRY400


def _rpc_server(settings: Settings, inference: Inference) -> grpc.aio.Server:
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", settings.message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
    )
    services = (PredictionService(inference), ModelService(inference.manager), Health(inference.manager))
    server.add_generic_rpc_handlers(tuple(service.handler() for service in services))
    if settings.port:
        server.add_insecure_port(f"{settings.host}:{settings.port}")
    return server
