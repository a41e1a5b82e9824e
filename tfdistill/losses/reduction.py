"""What losses on states return: sums of each example, divided later.

A loss that compares states of a teacher and a student returns `Parts`. The
division happens once, after both sums were taken over the whole global
batch, so that it does not matter how a batch is split.

Such losses have two reductions. `mean` counts tokens alone: what stands at
padded positions never matters, be it NaN. `original` counts what the
published code counts, padding included. In both, an example without any
token is there to fill a batch up, and does not count.

Half types are computed in float32; float64 stays.
"""

from typing import NamedTuple

import tensorflow as tf

REDUCTIONS = ("mean", "original")


class Parts(NamedTuple):
    """A loss as what is summed and what it is divided by.

    The loss is `sum(values) / sum(weights)`, both sums over the examples of
    all replicas and micro-batches; 0 where all weights are 0.

    Attributes:
        values: `[B]` float32, or float64 where the student's side is.
        weights: `[B]` of the same type, at least 0. They depend on masks
            and shapes alone.
    """

    values: tf.Tensor
    weights: tf.Tensor


def loss_of(parts: Parts) -> tf.Tensor:
    """Returns the loss of a batch that is whole: a scalar."""
    return tf.math.divide_no_nan(
        tf.reduce_sum(parts.values), tf.reduce_sum(parts.weights)
    )


def widened(x: tf.Tensor) -> tf.Tensor:
    """Returns half types as float32, and others as they are."""
    x = tf.convert_to_tensor(x)
    return tf.cast(x, tf.float32) if x.dtype.size < 4 else x


def check_reduction(reduction: str) -> None:
    """Refuse a reduction that is not known.

    Raises:
        ValueError: It is not.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"Unknown reduction {reduction!r}. Known: {', '.join(REDUCTIONS)}."
        )


def counted(mask: tf.Tensor, reduction: str) -> tf.Tensor:
    """Which positions a reduction reads and counts.

    Args:
        mask: `[B, L]`, 1 where a token stands.
        reduction: `mean`: tokens. `original`: all positions of examples
            that have a token.

    Returns:
        bool `[B, L]`.

    Raises:
        ValueError: The reduction is not known.
    """
    check_reduction(reduction)
    is_token = tf.cast(mask, tf.bool)
    if reduction == "mean":
        return is_token
    has_token = tf.reduce_any(is_token, axis=1, keepdims=True)
    return tf.broadcast_to(has_token, tf.shape(is_token))


def kept(x: tf.Tensor, is_counted: tf.Tensor) -> tf.Tensor:
    """Returns `x`, and 0 where it does not count.

    Args:
        x: `[B, ..., D]`.
        is_counted: bool, of the shape's first axes.
    """
    missing = x.shape.rank - is_counted.shape.rank
    shape = tf.concat([tf.shape(is_counted), [1] * missing], axis=0)
    return tf.where(tf.reshape(is_counted, shape), x, tf.zeros_like(x))


def summed(values: tf.Tensor, is_counted: tf.Tensor) -> Parts:
    """Sum the values of every example that count, and how many these are.

    Args:
        values: `[B, ...]`, finite.
        is_counted: bool of the same shape.
    """
    axes = list(range(1, values.shape.rank))
    return Parts(
        tf.reduce_sum(kept(values, is_counted), axis=axes),
        tf.reduce_sum(tf.cast(is_counted, values.dtype), axis=axes),
    )
