"""From a version's folder to a servable that has been warmed up, and then to a quicker one."""

import logging
import time
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from serving.batching import BatchingParameters
from serving.engines.choice import ChosenEngine, Request
from serving.engines.tensorflow import TensorFlowEngine, read_signatures
from serving.errors import Code, ServingError
from serving.metrics import Metrics
from serving.models import warmup
from serving.models.servable import Servable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loader:
    """How versions are loaded."""

    executor: Executor
    """Where models run."""
    metrics: Metrics
    batching: BatchingParameters
    engine: str
    """`auto`, `tf`, `onnx` or `tflite`."""
    warmup: bool
    intra_op: int
    inter_op: int
    longest_list: int = 0
    """So many values may a list within a row of a request have; 0: any number."""

    def load(self, name: str, version: int, folder: Path, *, urgent: bool) -> Servable:
        """Load a version. `urgent`: nothing else answers meanwhile, so a quicker engine is left to `improve`.

        Raises:
            ServingError: it cannot be loaded, or does not answer its warm-up requests.
        """
        started = time.monotonic()
        signatures, metadata = read_signatures(folder)
        tensorflow = TensorFlowEngine(folder, signatures, intra_op=self.intra_op, inter_op=self.inter_op)
        engine = ChosenEngine(tensorflow, self.engine)
        limited = {key: replace(each, longest_list=self.longest_list) for key, each in signatures.items()}
        servable = Servable(name, version, limited, metadata, engine, self.executor, self.batching, self.metrics)
        try:
            self._warm_up(servable, warmup.requests(folder) if self.warmup else [])
        except BaseException:
            servable.close()
            raise
        log.info("loaded version %d of model %s in %.1f s", version, name, time.monotonic() - started)
        if not urgent:
            self.improve(servable, folder)
        return servable

    def improve(self, servable: Servable, folder: Path) -> None:
        """Let a compiled engine take over, if it does what TensorFlow does. Cannot fail."""
        try:
            known: list[Request] = warmup.requests(folder)
        except ServingError:
            known = []
        servable.engine.choose(self.engine, folder, servable.signatures, known)
        log.info(
            "version %d of model %s runs in %s: %s",
            servable.version,
            servable.name,
            servable.engine.name,
            servable.engine.reason,
        )

    def _warm_up(self, servable: Servable, known: list[Request]) -> None:
        for name, inputs in known:
            signature = servable.signature(name)
            if signature is None:
                raise ServingError(Code.FAILED_PRECONDITION, f'warm-up: serving signature key "{name}" not found.')
            signature.check(inputs)
            servable.engine.run(signature, inputs)
