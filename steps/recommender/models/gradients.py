"""A lookup and a product whose gradients are those that a CPU computes quickest. What they answer is what they say."""

from typing import Any, Final

import tensorflow as tf

SCALE: Final = 1024.0
"""What gradients are multiplied by in 16 bits, where the small ones of a mean over many rows would become 0."""


@tf.custom_gradient  # type: ignore[untyped-decorator]
def lookup(table: tf.Tensor, rows: tf.Tensor, order: tf.Tensor) -> Any:
    """`table[rows]`, [rows, size], where `order` sorts `rows`. The gradient sums what belongs together side by side."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None, None]:
        sums = tf.sparse.segment_sum(upstream, order, tf.gather(rows, order), num_segments=tf.shape(table)[0])
        return sums, None, None

    return tf.gather(table, rows), gradient


@tf.custom_gradient  # type: ignore[untyped-decorator]
def lookup_sorted(table: tf.Tensor, rows: tf.Tensor) -> Any:
    """`table[rows]`, [rows, size], for `rows` that never fall, whose gradient is quicker still."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
        sums = tf.math.segment_sum(upstream, rows)
        return tf.pad(sums, [[0, tf.shape(table)[0] - tf.shape(sums)[0]], [0, 0]]), None

    return tf.gather(table, rows), gradient


@tf.custom_gradient  # type: ignore[untyped-decorator]
def product(inputs: tf.Tensor, kernel: tf.Tensor) -> Any:
    """`inputs @ kernel` for many inputs. The kernel's gradient is computed as its transpose, the wider of the two."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_kernel = tf.transpose(tf.matmul(upstream, inputs, transpose_a=True))
        return tf.matmul(upstream, kernel, transpose_b=True), of_kernel

    return tf.matmul(inputs, kernel), gradient


def lowered(values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The values in a type of 16 bits. Gradients leave it: they are divided by `SCALE`."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def cast(values: tf.Tensor) -> Any:
        return tf.cast(values, dtype), lambda upstream: tf.cast(upstream, tf.float32) / SCALE

    return cast(values)


def raised(values: tf.Tensor) -> tf.Tensor:
    """The values in float32. Gradients enter their type: they are multiplied by `SCALE`."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def cast(values: tf.Tensor) -> Any:
        return tf.cast(values, tf.float32), lambda upstream: tf.cast(upstream * SCALE, values.dtype)

    return cast(values)
