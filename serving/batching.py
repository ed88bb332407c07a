"""Requests for one function of a model, put together while it is busy with those before."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from serving.errors import Code, ServingError
from serving.signatures import Tensors

Run = Callable[[Tensors], Tensors]


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """TensorFlow Serving's batching parameters, under its names."""

    enabled: bool = True
    """Whether requests are put together at all."""
    max_batch_size: int = 1024
    """In rows. A request with more runs on its own."""
    batch_timeout_micros: int = 0
    """How long a batch that is not full waits for more, although a thread is free."""
    max_enqueued_batches: int = 64
    """How many full batches may wait. What comes then is refused."""
    num_batch_threads: int = 1
    """How many batches run at once."""
    allowed_batch_sizes: tuple[int, ...] = ()
    """Batches are filled up to the next of these sizes with copies of their first row."""


@dataclass(slots=True)
class _Waiting:
    inputs: Tensors
    rows: int
    key: object
    """Equal for requests that can be put together."""
    answer: asyncio.Future[Tensors]
    since: float


class Batcher:
    """Greedy: a request runs at once if a thread is free; what comes meanwhile runs together next.

    Used from the event loop alone; only the model itself runs in the executor.
    """

    def __init__(self, run: Run, executor: Executor, parameters: BatchingParameters, *, batchable: bool) -> None:
        self._run = run
        self._executor = executor
        self._parameters = parameters
        self.batchable = batchable and parameters.enabled
        """Whether requests may be put together at all."""
        self._queue: deque[_Waiting] = deque()
        self._queued_rows = 0
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether requests wait or run."""
        return bool(self._queue) or self._running > 0

    def submit(self, inputs: Tensors, rows: int | None) -> asyncio.Future[Tensors]:
        """The outputs for one request's inputs, which have so many rows, or do not agree on that.

        Raises:
            ServingError: too many requests wait, or what the model says about these inputs.
        """
        parameters = self._parameters
        if self._queued_rows >= parameters.max_enqueued_batches * parameters.max_batch_size:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, "The batch scheduling queue to which this task was submitted is full"
            )
        rows = rows if self.batchable else None
        # Rows of other shapes, or of no number, stay alone: an object equals only itself.
        key: object = tuple(array.shape[1:] for array in inputs.values()) if rows else object()
        loop = asyncio.get_running_loop()
        waiting = _Waiting(inputs, rows or 1, key, loop.create_future(), loop.time())
        self._queue.append(waiting)
        self._queued_rows += waiting.rows
        self._start(loop)
        return waiting.answer

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run as many batches as there are threads free."""
        while self._queue and self._running < self._parameters.num_batch_threads and not self._may_wait(loop):
            batch = self._take()
            if batch:
                self._running += 1
                future = loop.run_in_executor(self._executor, self._answers, batch)
                future.add_done_callback(partial(self._deliver, loop, batch))

    def _may_wait(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the next batch waits for more, with a timer set to look again."""
        wait = self._parameters.batch_timeout_micros / 1e6
        if not wait or self._queued_rows >= self._parameters.max_batch_size:
            return False
        left = self._queue[0].since + wait - loop.time()
        if left <= 0:
            return False
        if self._timer is None:
            self._timer = loop.call_later(left, self._look_again, loop)
        return True

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._start(loop)

    def _take(self) -> list[_Waiting]:
        """The oldest request and those behind it that fit into a batch with it, without those given up."""
        batch: list[_Waiting] = []
        rows = 0
        while self._queue:
            first = self._queue[0]
            if batch and (first.key != batch[0].key or rows + first.rows > self._parameters.max_batch_size):
                break
            self._queue.popleft()
            self._queued_rows -= first.rows
            if not first.answer.cancelled():
                batch.append(first)
                rows += first.rows
        return batch

    def _answers(self, batch: Sequence[_Waiting]) -> Sequence[Tensors | ServingError]:
        """The outputs of each request; if they fail together, each on its own. Runs in the executor."""
        alone = type(batch[0].key) is object
        if alone or (len(batch) == 1 and not self._parameters.allowed_batch_sizes):
            return [self._answer(batch[0].inputs)]
        try:
            return self._together(batch)
        except ServingError:
            return [self._answer(waiting.inputs) for waiting in batch]

    def _answer(self, inputs: Tensors) -> Tensors | ServingError:
        try:
            return self._run(inputs)
        except ServingError as error:
            return error

    def _together(self, batch: Sequence[_Waiting]) -> Sequence[Tensors]:
        sizes = [waiting.rows for waiting in batch]
        rows = sum(sizes)
        filled = next((size for size in self._parameters.allowed_batch_sizes if size >= rows), rows)
        inputs = {}
        for name in batch[0].inputs:
            parts = [waiting.inputs[name] for waiting in batch]
            inputs[name] = np.concatenate([*parts, np.repeat(parts[0][:1], filled - rows, axis=0)])
        outputs = self._run(inputs)
        if any(not array.ndim or array.shape[0] != filled for array in outputs.values()):
            raise ServingError(Code.INTERNAL, "the model does not answer one row for each")
        ends = np.cumsum(sizes)[:-1]
        parts_of = {name: np.split(array[:rows], ends) for name, array in outputs.items()}
        return [{name: parts[place] for name, parts in parts_of.items()} for place in range(len(batch))]

    def _deliver(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Waiting], done: asyncio.Future[Any]) -> None:
        self._running -= 1
        failure = done.exception()
        answers = [failure] * len(batch) if failure else done.result()
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.cancelled():
                continue
            if isinstance(answer, BaseException):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        self._start(loop)
