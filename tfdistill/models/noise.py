"""Dropout whose draws belong to examples, not to batches.

The draws of an example depend on the seed, the step, the place in the model
and the example's index in the global batch. However a batch is split over
replicas and micro-batches, every example meets the same dropout, so results
do not depend on the split.
"""

import copy

import tensorflow as tf

_PHILOX = 1
# Philox makes four 32-bit numbers from one value of its counter; 16 bits are
# enough to tell a share to 1 / 65,536.
_NUMBERS_PER_COUNT = 4
_DRAWS_PER_COUNT = 2 * _NUMBERS_PER_COUNT
_DRAWS = tf.int16


class DropoutNoise:
    """The dropout of one forward pass over a slice of a global batch."""

    def __init__(
        self, seed: int, step: tf.Tensor, first_example: tf.Tensor
    ) -> None:
        """Bind the noise to a step and a slice.

        Args:
            seed: Seed of the run.
            step: int64 scalar, the training step.
            first_example: int64 scalar, index in the global batch of the
                slice's first example. The slice must be contiguous.
        """
        self._key = tf.reshape(
            tf.bitwise.bitwise_xor(
                tf.constant((seed * 0x9E3779B97F4A7C15) % 2**64, tf.uint64),
                tf.cast(step, tf.uint64),
            ),
            [1],
        )
        self._first = tf.cast(first_example, tf.uint64)
        self._place = 0

    def again(self) -> "DropoutNoise":
        """Returns noise that will draw what this one is about to draw.

        From there on each goes its own way, so what is computed with the one
        can be computed again with the other.
        """
        return copy.copy(self)

    def drop(self, x: tf.Tensor, rate: float, num_examples: int) -> tf.Tensor:
        """Zero a share `rate` of `x` and scale the rest by 1 / (1 - rate).

        Args:
            x: Any shape whose elements are laid out example by example;
                its static shape must be known.
            rate: In [0, 1), taken to the nearest 1 / 65,536.
            num_examples: Examples in `x`.
        """
        if rate == 0.0:
            return x
        per_example = x.shape.num_elements() // num_examples
        counts = -(-per_example // _DRAWS_PER_COUNT)
        place = self._place
        self._place += 1
        numbers = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=[num_examples, counts * _NUMBERS_PER_COUNT],
            key=self._key,
            counter=tf.stack(
                [self._first * counts, tf.constant(place, tf.uint64)]
            ),
            alg=_PHILOX,
            dtype=tf.int32,
        )
        draws = tf.reshape(tf.bitcast(numbers, _DRAWS), [num_examples, -1])
        values = _DRAWS.max - _DRAWS.min + 1
        dropped = min(round(rate * values), values - 1)
        first_kept = tf.constant(_DRAWS.min + dropped, _DRAWS)
        kept = tf.reshape(draws[:, :per_example] >= first_kept, x.shape)
        scale = values / (values - dropped)
        return tf.where(kept, x * scale, tf.zeros_like(x))
