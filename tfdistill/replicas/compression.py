"""Sums of gradients that travel in half the bytes."""

from collections.abc import Sequence

import tensorflow as tf

from tfdistill.replicas.replicas import Replicas

# By the value of --gradient_compression: the type that travels.
COMPRESSIONS = {"none": None, "fp16": tf.float16, "bf16": tf.bfloat16}
# The largest power of two that a sum in float16 may reach.
_LARGEST = 2.0**15


def sum_compressed(
    replicas: Replicas, tensors: Sequence[tf.Tensor], compression: str
) -> list[tf.Tensor]:
    """Sum tensors over all replicas, inside a step.

    Args:
        replicas: Who adds.
        tensors: float32, of any shapes.
        compression: One of `COMPRESSIONS`. `bf16` rounds to 8 significant
            bits, `fp16` to 11; for the latter the tensors are scaled by a
            power of two, such that no sum can be too large.

    Returns:
        The sums, float32. A single replica sends nothing, so nothing of its
        own is rounded.
    """
    dtype = COMPRESSIONS[compression]
    if dtype is None or replicas.num_replicas == 1:
        return replicas.sum(list(tensors))
    scale = tf.constant(1.0)
    if dtype == tf.float16:
        mine = tf.reduce_max([tf.reduce_max(tf.abs(x)) for x in tensors])
        # No sum is larger than the sum of the replicas' largest values.
        bound = tf.maximum(replicas.sum(mine), 1e-30)
        scale = 2.0 ** tf.floor(
            tf.math.log(_LARGEST / bound) / tf.math.log(2.0)
        )
    summed = replicas.sum([tf.cast(x * scale, dtype) for x in tensors])
    return [tf.cast(x, tf.float32) / scale for x in summed]
