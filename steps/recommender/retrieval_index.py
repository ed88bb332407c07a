"""Finding the vectors with the largest products among very many: all of them compared, or an index that looks at some.

The index is ScaNN: Guo and others, Accelerating Large-Scale Inference with Anisotropic Vector Quantization (ICML 2020).
Vectors lie in leaves, of which the nearest ones are searched with compressed vectors; the best found are compared again
with whole ones.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs

Vectors = npt.NDArray[np.float32]
Search = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Queries, [rows, size] -> the largest products and the places of their vectors, [rows, k]."""

SEARCHED: Final = 0.06
"""The share of leaves that is searched; chosen with `REORDERED` by `python -m bench.index`."""
HELD: Final = 3
"""How many times `k` vectors the searched leaves hold on average, at least."""
REORDERED: Final = 10
"""How many times `k` vectors are compared again."""
BATCH: Final = 32
"""Queries at a time, where more than one is measured."""
QUERIES: Final = 96
"""How many are measured."""
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Leaves:
    """How an index is built."""

    count: int
    searched: int
    reordered: int

    @classmethod
    def suited_to(cls, vectors: int, k: int) -> Self:
        """As many leaves as each has vectors; those searched hold several times as many as are looked for."""
        count = max(round(math.sqrt(vectors)), 1)
        searched = max(SEARCHED, HELD * k / vectors)
        return cls(count, min(math.ceil(searched * count), count), min(REORDERED * k, vectors))


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds that a query takes, the median of several."""

    single: float
    """Asked one by one."""
    batched: float
    """Asked `BATCH` at a time: the time for all of them, shared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """An index beside the comparison with all vectors, in one process, one after the other in turns."""

    vectors: int
    size: int
    k: int
    leaves: Leaves
    build_seconds: float
    recall: float
    """The share of the k truly best that the index finds, on average."""
    brute_force: Speed
    index: Speed

    @property
    def faster(self) -> tuple[float, float]:
        """How many times, one by one and in batches."""
        return self.brute_force.single / self.index.single, self.brute_force.batched / self.index.batched


def brute_force(vectors: Vectors, k: int) -> tfrs.layers.factorized_top_k.BruteForce:
    """The layer that compares all vectors, [vectors, size]."""
    return tfrs.layers.factorized_top_k.BruteForce(k=k).index(vectors)


def scann(vectors: Vectors, k: int, leaves: Leaves) -> tfrs.layers.factorized_top_k.ScaNN:
    """The index. Few vectors, of which there are not enough to learn compression from, are refused by the library."""
    layer = tfrs.layers.factorized_top_k.ScaNN(
        k=k,
        num_leaves=leaves.count,
        num_leaves_to_search=leaves.searched,
        num_reordering_candidates=leaves.reordered,
    )
    return layer.index(vectors)


def compare(vectors: Vectors, queries: Vectors, k: int, leaves: Leaves) -> tuple[Any, Comparison]:
    """Build an index, and measure it with `queries`, [queries, size]; with the index."""
    exact = brute_force(vectors, k)
    started = time.perf_counter()
    index = scann(vectors, k, leaves)
    built = time.perf_counter() - started
    searches = [tf.function(exact), tf.function(index)]
    chosen = queries[:QUERIES]
    truth, found = (_places(search, chosen) for search in searches)
    single = _times(searches, chosen, 1)
    batched = _times(searches, chosen, BATCH)
    recall = float(np.mean([len(best & got) / k for best, got in zip(truth, found, strict=True)]))
    speeds = [Speed(*times) for times in zip(single, batched, strict=True)]
    count, size = vectors.shape
    return index, Comparison(count, size, k, leaves, built, recall, *speeds)


def _places(search: Search, queries: Vectors) -> list[set[int]]:
    """What is found for each query; an index that finds fewer than k fills up with what has no product."""
    found = []
    for start in range(0, len(queries), BATCH):
        products, places = (tensor.numpy() for tensor in search(tf.constant(queries[start : start + BATCH])))
        found += [set(row[known].tolist()) for row, known in zip(places, np.isfinite(products), strict=True)]
    return found


def _times(searches: Sequence[Search], queries: Vectors, size: int) -> list[float]:
    """Milliseconds of each search for a query, when asked for `size` at a time. They take turns."""
    times: list[list[float]] = [[] for _ in searches]
    for search in searches:
        search(tf.constant(queries[:size]))  # the first call traces
    for _ in range(_ROUNDS):
        for search, taken in zip(searches, times, strict=True):
            for start in range(0, len(queries) - size + 1, size):
                started = time.perf_counter()
                search(tf.constant(queries[start : start + size]))[1].numpy()
                taken.append(1000 * (time.perf_counter() - started) / size)
    return [float(np.median(taken)) for taken in times]
