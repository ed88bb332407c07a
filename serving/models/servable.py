"""One loaded version of a model."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from serving.batching import Batcher, BatchingParameters
from serving.engines.choice import ChosenEngine
from serving.errors import Code, ServingError
from serving.metrics import Metrics
from serving.signatures import DEFAULT_SIGNATURE, Signature, Tensors

Prepared = TypeVar("Prepared")


class Servable(AbstractContextManager["Servable"]):
    """Answers requests. Whoever else uses it enters it first, so that it is not closed meanwhile."""

    def __init__(
        self,
        name: str,
        version: int,
        signatures: Mapping[str, Signature],
        metadata: bytes,
        engine: ChosenEngine,
        executor: Executor,
        batching: BatchingParameters,
        metrics: Metrics,
    ) -> None:
        self.name = name
        self.version = version
        self.signatures = signatures
        self.metadata = metadata
        """A serialized `MetaGraphDef` that holds the signatures' protos."""
        self.engine = engine
        self._users = 0
        self._prepared: dict[tuple[Callable[..., Any], str], Any] = {}
        self._metrics = metrics
        self._batchers = {
            each.name: Batcher(partial(self.run, each), executor, batching, batchable=each.batchable)
            for each in signatures.values()
        }

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.release()

    def hold(self) -> None:
        """Keep it from being closed, until it is released as often."""
        self._users += 1

    def release(self) -> None:
        """See `hold`."""
        self._users -= 1

    def prepared(self, make: Callable[["Servable", Signature], Prepared], signature: Signature) -> Prepared:
        """What a function makes of a signature, made once and kept as long as this is served."""
        try:
            return self._prepared[make, signature.name]  # type: ignore[no-any-return]
        except KeyError:
            made = self._prepared[make, signature.name] = make(self, signature)
            return made

    def signature(self, name: str) -> Signature | None:
        """The signature of that name, or the default one for an empty name."""
        return self.signatures.get(name or DEFAULT_SIGNATURE)

    def run(self, signature: Signature, inputs: Tensors, rows: int | None = None) -> Tensors:
        """All outputs for inputs that `Signature.check` has passed, of so many rows, where that is known.

        Raises:
            ServingError: the model cannot answer them.
        """
        started = time.perf_counter()
        try:
            return self.engine.run(signature, inputs, rows)
        finally:
            self._metrics.runtime(self.name, self.engine.answering(signature), time.perf_counter() - started)

    def predict(self, signature: Signature, inputs: Tensors, rows: int | None) -> Tensors | asyncio.Future[Tensors]:
        """All outputs for inputs that `Signature.check` has passed: at once, or where that takes long, later.

        Raises:
            ServingError: the model cannot answer them.
        """
        if rows and self.engine.runs_inline(signature, rows):
            return self.run(signature, inputs, rows)
        return self._batchers[signature.name].submit(inputs, rows)

    def answers_together(self, signature: Signature, rows: int) -> bool:
        """Whether rows of different requests may be computed together, and so many so quickly that nothing waits."""
        return self._batchers[signature.name].batchable and self.engine.runs_inline(signature, rows)

    @property
    def busy(self) -> bool:
        """Whether requests are under way, or somebody holds on to it."""
        return bool(self._users) or any(batcher.busy for batcher in self._batchers.values())

    def close(self) -> None:
        """Free the model. Nobody uses it any more."""
        if self.busy:
            raise ServingError(Code.FAILED_PRECONDITION, f"{self.name} {self.version} is in use")
        self.engine.close()
