"""Draws that belong to an example and a position, not to a batch."""

import tensorflow as tf

_BLOCK = 64
# Of splitmix64: Steele et al., "Fast Splittable Pseudorandom Number
# Generators", 2014.
_STEP = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def uniforms(seed: int, keys: tf.Tensor, count: int) -> tf.Tensor:
    """Draw numbers that depend on the seed and each row's key alone.

    Args:
        seed: Any integer.
        keys: int64 `[B]`, at least 0.
        count: Numbers of a row.

    Returns:
        float64 `[B, count]` in [0, 1).
    """
    first = _mixed(tf.constant((seed + 1) * _STEP % 2**64, tf.uint64))
    rows = _mixed(tf.bitwise.bitwise_xor(tf.cast(keys, tf.uint64), first))
    step = tf.constant(_STEP, tf.uint64)
    numbers = tf.cast(tf.range(1, count + 1), tf.uint64)
    bits = _mixed(rows[:, None] + numbers * step)
    # As many as float64 holds.
    kept = tf.bitwise.right_shift(bits, tf.constant(11, tf.uint64))
    return tf.cast(tf.cast(kept, tf.int64), tf.float64) * 2.0**-53


def _mixed(bits: tf.Tensor) -> tf.Tensor:
    for shift, factor in _MIX:
        bits = _shifted(bits, shift) * tf.constant(factor, tf.uint64)
    return _shifted(bits, 31)


def _shifted(bits: tf.Tensor, shift: int) -> tf.Tensor:
    lower = tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint64))
    return tf.bitwise.bitwise_xor(bits, lower)


def systematic_draws(
    masses: tf.Tensor, offsets: tf.Tensor, count: int
) -> tf.Tensor:
    """Draw pieces with chances in proportion to their masses.

    With m the share of a piece in its row, it is drawn m * count times,
    rounded down or up, and that is the mean: of all ways to draw so many,
    this one varies least.

    Args:
        masses: float32 `[R, V]`, at least 0; V is known.
        offsets: float64 `[R]` in [0, 1), the only randomness.
        count: Draws of a row, S.

    Returns:
        int32 `[R, S]`, ascending; any pieces where a row has no mass.

    Reference: systematic sampling, Madow, "On the Theory of Systematic
        Sampling, II", 1949.
    """
    depth = masses.shape[-1]
    padded = tf.pad(masses, [[0, 0], [0, -depth % _BLOCK]])
    num_blocks = padded.shape[-1] // _BLOCK
    # Two levels, as running sums over all of V would be wide and slow.
    blocks = tf.reshape(padded, [-1, num_blocks, _BLOCK])
    sums = tf.cast(tf.reduce_sum(blocks, axis=-1), tf.float64)
    ends = tf.cumsum(sums, axis=-1)
    steps = tf.range(count, dtype=tf.float64)
    points = (offsets[:, None] + steps) / count * ends[:, -1:]
    found = tf.searchsorted(ends, points, side="right")
    found = tf.minimum(found, num_blocks - 1)
    rest = points - tf.gather(ends - sums, found, batch_dims=1)
    own = tf.gather(sums, found, batch_dims=1)
    inside = tf.cumsum(
        tf.cast(tf.gather(blocks, found, batch_dims=1), tf.float64), axis=-1
    )
    # The sums of both levels differ in their last bits.
    rest *= tf.math.divide_no_nan(inside[:, :, -1], own)
    place = tf.reduce_sum(
        tf.cast(inside <= rest[:, :, None], tf.int32), axis=-1
    )
    place = tf.minimum(place, _BLOCK - 1)
    return tf.minimum(found * _BLOCK + place, depth - 1)
