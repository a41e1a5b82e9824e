"""The K largest logits and the mass of the rest, in few passes over V."""

import math

import tensorflow as tf

from tfdistill.records.log_probs import NO_MASS
from tfdistill.top_k import top_k

# Logits that are gone over at a time: of more, the copies that passes make
# would be several times the model's own memory.
_MOST_AT_ONCE = 1 << 22


def split_top_k(
    logits: tf.Tensor, k: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Split distributions in their K most probable pieces and the rest.

    Args:
        logits: `[..., V]` with V known.
        k: K, at most V; 0: all is the rest.

    Returns:
        Log-probabilities float32 `[..., K]` in descending order, their
        pieces int32 `[..., K]`, and the logarithm of the rest's probability
        `[...]`. The rest is summed over what was dropped: 1 minus the kept
        mass would be rounding noise, or negative, for a confident teacher.
    """
    outer = tf.shape(logits)[:-1]
    rows = tf.reshape(logits, [-1, logits.shape[-1]])
    kept, rest = tf.concat([outer, [k]], 0), outer
    size = _rows_at_once(logits.shape)
    if size is None:
        log_probs, ids, log_rest = _split(rows, k)
    else:
        log_probs, ids, log_rest = tf.map_fn(
            lambda start: _split(rows[start : start + size], k),
            tf.range(0, math.prod(logits.shape[:-1]), size),
            fn_output_signature=(tf.float32, tf.int32, tf.float32),
            parallel_iterations=1,
        )
    return (
        tf.reshape(log_probs, kept),
        tf.reshape(ids, kept),
        tf.reshape(log_rest, rest),
    )


def _rows_at_once(shape: tf.TensorShape) -> int | None:
    """Returns a part of all rows, or None where they are few or unknown."""
    if not shape.is_fully_defined():
        return None
    count, most = math.prod(shape[:-1]), _MOST_AT_ONCE // shape[-1]
    if count <= most:
        return None
    return max(n for n in range(1, max(most, 1) + 1) if count % n == 0)


def _split(rows: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """As `split_top_k`, of `[R, V]`."""
    rows = tf.cast(rows, tf.float32)
    kept, ids = top_k(rows, k)
    largest = kept[:, :1] if k else tf.reduce_max(rows, 1, keepdims=True)
    masses = tf.exp(rows - largest)
    number = tf.shape(rows)[0]
    places = tf.stack(
        [tf.repeat(tf.range(number), k), tf.reshape(ids, [-1])], axis=1
    )
    rest = tf.reduce_sum(
        tf.tensor_scatter_nd_update(masses, places, tf.zeros([number * k])),
        axis=-1,
    )
    all_mass = tf.reduce_sum(tf.exp(kept - largest), axis=-1) + rest
    log_rest = tf.where(
        rest > 0, tf.math.log(rest) - tf.math.log(all_mass), NO_MASS
    )
    log_probs = kept - largest - tf.math.log(all_mass)[:, None]
    return tf.minimum(log_probs, 0.0), ids, log_rest
