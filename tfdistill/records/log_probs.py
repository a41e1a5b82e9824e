"""Log-probabilities in one or two bytes.

With top = 254 (or 65,534), code c stands for the natural logarithm
-24 (c / top)^2, and top + 1 for probability 0. The steps are finest where
probabilities are large: with x = -log p up to 24, what is read back differs
from log p by at most sqrt(24 x) / top + 6 / top^2, which is under 0.9 % (or
0.004 %) of probability whatever p is. Less than e^-24 = 4e-11 reads back as
that.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfdistill.records.codes import Count

# Stands for the logarithm of 0; finite, so that times 0 it is 0.
NO_MASS = -1e30
_LARGEST = 24.0


@functools.cache
def _levels(bits: int) -> np.ndarray:
    """Returns what each code stands for, float32 `[2**bits]`."""
    top = 2**bits - 2
    codes = np.arange(top + 1, dtype=np.float32)
    return np.append(codes * codes * _factor(bits), np.float32(NO_MASS))


def _factor(bits: int) -> np.float32:
    """Returns what the square of a code stands for, once."""
    return np.float32(-_LARGEST / (2**bits - 2) ** 2)


@dataclasses.dataclass(frozen=True)
class LogProbs:
    """The nearest of 255 or 65,535 log-probabilities, and none."""

    bits: int

    is_each_alone: ClassVar[bool] = True

    def size(self, count: Count) -> Count:
        """As `Code`."""
        return count * (self.bits // 8)

    def pack(self, values: np.ndarray) -> bytes:
        """As `Code`."""
        top = 2**self.bits - 2
        values = values.astype(np.float64)
        if np.isnan(values).any() or (values > 1e-3).any():
            raise ValueError(f"{values.max():g}, which is no log-probability")
        roots = np.sqrt(np.clip(-values / _LARGEST, 0, 1))
        codes = np.where(values <= NO_MASS / 2, top + 1, np.rint(roots * top))
        return codes.astype(f"<u{self.bits // 8}").tobytes()

    def unpack(self, raw: tf.Tensor, most: tf.Tensor | int) -> tf.Tensor:
        """As `Code`; behind the values stand zeros, probability 1."""
        kind = tf.uint8 if self.bits == 8 else tf.uint16
        codes = tf.io.decode_raw(
            raw, kind, fixed_length=most * (self.bits // 8)
        )
        codes = tf.cast(codes, tf.float32)
        # Looking them up in `_levels` takes eight times as long. The second
        # argument is what no logarithm reaches, and NO_MASS for top + 1.
        top = 2**self.bits - 2
        return tf.minimum(
            tf.square(codes) * _factor(self.bits),
            (top + 0.5 - codes) * (-2.0 * NO_MASS),
        )


def dithered(log_probs: tf.Tensor, uniforms: tf.Tensor, bits: int) -> tf.Tensor:
    """Round to what a code holds so that probabilities keep their mean.

    Each goes up or down to a neighbour, with the chances for which the mean
    of what is read back is the probability itself, however small.

    Args:
        log_probs: Any shape, natural logarithms.
        uniforms: The same shape, in [0, 1).
        bits: Of the code.

    Returns:
        float32 of the same shape; packing changes it no more.
    """
    top = 2**bits - 2
    levels = tf.constant(_levels(bits), tf.float64)
    exact = tf.cast(log_probs, tf.float64)
    roots = tf.sqrt(tf.clip_by_value(-exact / _LARGEST, 0, 1)) * top
    # The last level's neighbour is no mass at all.
    above = tf.cast(tf.floor(roots), tf.int32)
    higher = tf.exp(tf.gather(levels, above))
    lower = tf.exp(tf.gather(levels, above + 1))
    share = (tf.exp(exact) - lower) / (higher - lower)
    codes = tf.where(tf.cast(uniforms, tf.float64) < share, above, above + 1)
    return tf.gather(tf.constant(_levels(bits)), codes)
