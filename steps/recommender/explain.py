"""Why a rating is what it is: parts that add up to it.

Sums are taken apart exactly. A network's answer is divided among what it reads by integrated gradients: Sundararajan,
Taly and Yan, Axiomatic Attribution for Deep Networks (ICML 2017). Of any other function of user and title the parts are
Shapley values of the two: Lundberg and Lee, A Unified Approach to Interpreting Model Predictions (NIPS 2017).
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import tensorflow as tf

from steps.recommender.features import Features

AVERAGE: Final = "average"
"""The part that is there before anything is known of the user or the title."""
RATED: Final = "rated"
"""The part that follows from what the user has rated, which `Explanation.reasons` divides among the ratings."""
STEPS: Final = 32
"""Points on the way from nothing known to the request at which gradients are taken."""


class Explanation(NamedTuple):
    """The parts of ratings of some titles, [rows, titles]."""

    terms: Mapping[str, tf.Tensor]
    """By name, in rating units; their sum is what the model answers before it is limited to the scale."""
    reasons: tf.Tensor | None = None
    """What each of the user's ratings adds to the term `RATED`, [rows, titles, ratings]; None: there is none."""

    def total(self) -> tf.Tensor:
        """The sum of the terms, [rows, titles]."""
        return tf.add_n(list(self.terms.values()))


def pairs(asked: Features, titles: tf.Tensor) -> Features:
    """A row for each user of `asked`, whose columns are [rows], and each title in the same row of [rows, titles]."""
    count = tf.shape(titles)[1]
    return {name: tf.repeat(column, count) for name, column in asked.items()} | {"title": tf.reshape(titles, [-1])}


def by_shapley_values(
    answer: Callable[[Features], tf.Tensor], asked: Features, titles: tf.Tensor, unknown: int
) -> Explanation:
    """The shares of user and title in what `answer` gives for rows, [rows]; row `unknown` of each stands for none."""
    both = pairs(asked, titles)
    nobody, nothing = tf.fill(tf.shape(both["user"]), unknown), tf.fill(tf.shape(both["title"]), unknown)
    nobody, nothing = tf.cast(nobody, both["user"].dtype), tf.cast(nothing, both["title"].dtype)
    average = answer({**both, "user": nobody, "title": nothing})
    user, title = answer({**both, "title": nothing}), answer({**both, "user": nobody})
    together = answer(both)
    terms = {
        AVERAGE: average,
        "user": ((user - average) + (together - title)) / 2,
        "title": ((title - average) + (together - user)) / 2,
    }
    return Explanation({name: tf.reshape(term, tf.shape(titles)) for name, term in terms.items()})


def by_integrated_gradients(
    answer: Callable[[tf.Tensor], tf.Tensor], known: Mapping[str, tf.Tensor], unknown: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """The terms, [rows], of what `answer` gives for numbers, [rows, numbers]: each name's share.

    `known` has the numbers under each name, [rows, some], and `unknown` those that are there when nothing is known. The
    terms' sum is off the answer by what the sum over `STEPS` midpoints is off the integral.
    """
    sizes = [numbers.shape[1] for numbers in known.values()]
    start = tf.concat([unknown[name] for name in known], axis=1)
    way = tf.concat(list(known.values()), axis=1) - start

    def gradient(total: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        point = start + share * way
        with tf.GradientTape() as tape:
            tape.watch(point)
            answered = answer(point)
        return total + tape.gradient(answered, point)

    shares = (tf.range(STEPS, dtype=tf.float32) + 0.5) / STEPS
    mean_gradient = tf.foldl(gradient, shares, initializer=tf.zeros_like(way)) / STEPS
    parts = tf.split(mean_gradient * way, sizes, axis=1)
    return {AVERAGE: answer(start)} | {
        name: tf.reduce_sum(part, axis=1) for name, part in zip(known, parts, strict=True)
    }
