"""Which of the best titles make a list: the best ones alone, or ones that differ, within limits for each genre.

One dial goes from the best scores to the most variety: maximal marginal relevance. Carbonell and Goldstein, The Use of
MMR (SIGIR 1998). All of it is TensorFlow, so that a served model does what was judged.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

POOL: Final = 1000
"""Of how many of a user's best titles lists are made, at most."""


class Wish(NamedTuple):
    """What one user's list is to be like; each a scalar."""

    count: tf.Tensor
    """How many titles at most, int32, not more than the pool."""
    diversity: tf.Tensor
    """From 0, the highest scores, to 1, titles as unlike those before them as there are; float32."""
    per_genre: tf.Tensor
    """How many titles of each genre at most, int32; 0: any number. A title counts for each genre that it has."""


class Titles(tf.Module):  # type: ignore[misc]
    """What lists need to know of titles, row 0 being the unknown one."""

    def __init__(self, vectors: tf.Tensor, genres: npt.NDArray[np.float32]) -> None:
        super().__init__()
        # What all titles share does not tell them apart.
        self.unit = tf.math.l2_normalize(vectors - tf.reduce_mean(vectors, axis=0), axis=1)
        """Vectors of length 1 whose products say how alike titles are, float32 [titles, size]."""
        self.genres = tf.constant(genres, tf.float32)
        """0 or 1, [titles, genres]."""


def rerank(rows: tf.Tensor, scores: tf.Tensor, titles: Titles, wish: Wish) -> tf.Tensor:
    """One user's list, int32 [at most `wish.count`], best first: places in `rows`, some titles' rows, and their scores.

    Titles with a score of minus infinity are never in it.
    """
    size = tf.minimum(tf.shape(scores)[0], POOL)
    values, pool = tf.math.top_k(scores, size)
    allowed = values > tf.float32.min
    count = tf.minimum(wish.count, tf.reduce_sum(tf.cast(allowed, tf.int32)))
    as_scored = (wish.diversity <= 0) & (wish.per_genre <= 0)
    places = tf.cond(
        as_scored,
        lambda: tf.range(count),
        lambda: _greedy(_relevance(values, allowed), allowed, tf.gather(rows, pool), titles, wish, count),
    )
    return tf.gather(pool, places)


def _relevance(values: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    """Scores from 0, the worst allowed one, to 1, the best."""
    worst = tf.reduce_min(tf.where(allowed, values, tf.float32.max))
    span = tf.maximum(tf.reduce_max(tf.where(allowed, values, tf.float32.min)) - worst, 1e-9)
    return tf.where(allowed, (values - worst) / span, 0.0)


def _greedy(
    relevance: tf.Tensor,
    allowed: tf.Tensor,
    rows: tf.Tensor,
    titles: Titles,
    wish: Wish,
    count: tf.Tensor,
) -> tf.Tensor:
    """Places in the pool, each the best one given those before it."""
    unit, genres = tf.gather(titles.unit, rows), tf.gather(titles.genres, rows)
    limit = tf.where(wish.per_genre > 0, tf.cast(wish.per_genre, tf.float32), tf.float32.max)

    def choose(
        chosen: tf.Tensor, left: tf.Tensor, closest: tf.Tensor, taken: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        worth = (1 - wish.diversity) * relevance - wish.diversity * closest
        best = tf.argmax(tf.where(left, worth, tf.float32.min), output_type=tf.int32)
        alike = tf.linalg.matvec(unit, unit[best])
        closest = tf.where(tf.size(chosen) > 0, tf.maximum(closest, alike), alike)
        taken += genres[best]
        full = tf.reduce_any((genres > 0) & (taken >= limit), axis=1)
        others = tf.range(tf.size(left)) != best
        return tf.concat([chosen, [best]], axis=0), left & others & ~full, closest, taken

    chosen, *_ = tf.while_loop(
        lambda chosen, left, *_: (tf.size(chosen) < count) & tf.reduce_any(left),
        choose,
        (tf.zeros([0], tf.int32), allowed, tf.zeros_like(relevance), tf.zeros_like(genres[0])),
        shape_invariants=(
            tf.TensorShape([None]),
            allowed.shape,
            relevance.shape,
            tf.TensorShape(titles.genres.shape[1:]),
        ),
    )
    return chosen
