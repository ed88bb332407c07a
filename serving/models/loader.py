"""From a version's folder to a servable that has been warmed up."""

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from serving.batching import BatchingParameters
from serving.engines.tensorflow import TensorFlowEngine, read_signatures
from serving.models.servable import Servable


@dataclass(frozen=True, slots=True)
class Loader:
    """How versions are loaded."""

    executor: Executor
    """Where models run."""
    batching: BatchingParameters
    intra_op: int
    inter_op: int

    def load(self, name: str, version: int, folder: Path) -> Servable:
        """Load a version.

        Raises:
            ServingError: it cannot be loaded.
        """
        signatures, metadata = read_signatures(folder)
        engine = TensorFlowEngine(folder, signatures, intra_op=self.intra_op, inter_op=self.inter_op)
        return Servable(name, version, signatures, metadata, engine, self.executor, self.batching)
