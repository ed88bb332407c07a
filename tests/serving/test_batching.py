"""Requests are put together as the batching parameters say."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.batching import Batcher, BatchingParameters
from serving.signatures import Tensors


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """A thread for the model."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def answers(
    executor: ThreadPoolExecutor, parameters: BatchingParameters, *requests: list[float]
) -> tuple[list[list[float]], list[list[float]]]:
    """What doubling answers to requests that come at once, and the batches that it was given."""
    batches: list[list[float]] = []

    def double(inputs: Tensors) -> Tensors:
        batches.append(inputs["x"].tolist())
        return {"y": inputs["x"] * 2}

    async def ask() -> list[Tensors]:
        batcher = Batcher(double, executor, parameters, batchable=True)
        return await asyncio.gather(*(batcher.submit({"x": np.array(rows)}, len(rows)) for rows in requests))

    return [outputs["y"].tolist() for outputs in asyncio.run(ask())], batches


def test_without_a_timeout_the_first_request_runs_at_once(executor: ThreadPoolExecutor) -> None:
    """What comes meanwhile runs together."""
    found = answers(executor, BatchingParameters(), [1.0], [2.0], [3.0])

    assert found == ([[2.0], [4.0], [6.0]], [[1.0], [2.0, 3.0]])


def test_with_a_timeout_the_first_request_waits_for_others(executor: ThreadPoolExecutor) -> None:
    """`batch_timeout_micros`: they run together."""
    found = answers(executor, BatchingParameters(batch_timeout_micros=50_000), [1.0], [2.0, 3.0])

    assert found == ([[2.0], [4.0, 6.0]], [[1.0, 2.0, 3.0]])


def test_a_full_batch_does_not_wait(executor: ThreadPoolExecutor) -> None:
    """Although the timeout is an hour."""
    parameters = BatchingParameters(batch_timeout_micros=3_600_000_000, max_batch_size=2)

    assert answers(executor, parameters, [1.0], [2.0]) == ([[2.0], [4.0]], [[1.0, 2.0]])


def test_batches_are_filled_up_to_an_allowed_size(executor: ThreadPoolExecutor) -> None:
    """`allowed_batch_sizes`: with copies of the first row, which nobody is answered."""
    parameters = BatchingParameters(batch_timeout_micros=50_000, allowed_batch_sizes=(4, 8))

    assert answers(executor, parameters, [1.0], [2.0, 3.0]) == ([[2.0], [4.0, 6.0]], [[1.0, 2.0, 3.0, 1.0]])
    assert answers(executor, parameters, [5.0] * 5) == ([[10.0] * 5], [[5.0] * 8])
