"""The K largest of many, in less time than sorting takes."""

import tensorflow as tf

_BLOCK = 64
# Below this many blocks for each that is kept, blocks save nothing.
_BLOCKS_PER_KEPT = 8


def top_k(rows: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Exactly `tf.math.top_k` (but for ties), several times as fast.

    The K largest of a row lie in the K blocks with the largest maxima, so
    one pass finds the blocks and only these are searched.

    Args:
        rows: `[R, V]` with V known.
        k: K, at most V.

    Returns:
        The largest in descending order, `[R, K]`, and their columns, int32.
    """
    width = rows.shape[-1]
    if not k:
        none = tf.zeros([tf.shape(rows)[0], 0])
        return none, tf.cast(none, tf.int32)
    num_blocks = width // _BLOCK
    if num_blocks < _BLOCKS_PER_KEPT * k:
        return tf.math.top_k(rows, k)
    whole = num_blocks * _BLOCK
    blocks = tf.reshape(rows[:, :whole], [-1, num_blocks, _BLOCK])
    _, best = tf.math.top_k(tf.reduce_max(blocks, axis=-1), k)
    inside = tf.gather(blocks, best, batch_dims=1)
    inside_ids = best[:, :, None] * _BLOCK + tf.range(_BLOCK)
    # The columns behind the last whole block are all searched.
    rest_ids = tf.tile(tf.range(whole, width)[None], [tf.shape(rows)[0], 1])
    values = tf.concat(
        [tf.reshape(inside, [-1, k * _BLOCK]), rows[:, whole:]], axis=1
    )
    ids = tf.concat(
        [tf.reshape(inside_ids, [-1, k * _BLOCK]), rest_ids], axis=1
    )
    kept, places = tf.math.top_k(values, k)
    return kept, tf.gather(ids, places, batch_dims=1)
