"""Real numbers in 8 or 16 bits each, scales included.

Numbers are cut into blocks of 64, a last one of up to 127. A number is an
integer times the block's scale, which is 2 ** ((s - 160) / 8) with s in
[0, 256): the least that the block's largest number fits with. The bits of s,
the lowest first, are the lowest bits of the block's first eight integers, so
that scales take no room; an example of less than eight numbers is filled up with
others, which read back as at most a scale.

What is read back differs by at most half a scale, by a whole one for the
eight: with m the block's largest size, 0.44 % and 0.87 % of m with 8 bits,
0.0017 % and 0.0034 % with 16, or 2^-20 where m is tiny.
"""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfdistill.records.codes import Count

_BLOCK = 64
_SCALE_BITS = 8
_SCALES = 2.0 ** ((np.arange(2**_SCALE_BITS) - 160) / 8)


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Integers of `bits` bits, with a scale for each block."""

    bits: int

    is_each_alone: ClassVar[bool] = False

    def size(self, count: Count) -> Count:
        """As `Code`."""
        if tf.is_tensor(count):
            return tf.maximum(count, _SCALE_BITS) * (self.bits // 8)
        return max(count, _SCALE_BITS) * (self.bits // 8)

    def pack(self, values: np.ndarray) -> bytes:
        """As `Code`."""
        if not np.isfinite(values).all():
            raise ValueError("a value that is not finite")
        missing = max(0, _SCALE_BITS - len(values))
        values = np.pad(values.astype(np.float64), (0, missing))
        starts = _BLOCK * np.arange(max(1, len(values) // _BLOCK))
        lengths = np.diff([*starts, len(values)])
        # The lowest bit of the first integers may go against rounding.
        most = 2 ** (self.bits - 1) - 2
        largest = np.maximum.reduceat(np.abs(values), starts)
        scales = np.searchsorted(_SCALES * most, largest)
        if (scales == len(_SCALES)).any():
            raise ValueError(
                f"{largest.max():g}, which does not fit in {self.bits} bits"
            )
        ratios = values / np.repeat(_SCALES[scales], lengths)
        codes = np.rint(ratios)
        for bit in range(_SCALE_BITS):
            own = (scales >> bit) & 1
            first = starts + bit
            codes[first] = 2 * np.rint((ratios[first] - own) / 2) + own
        return codes.astype(f"<i{self.bits // 8}").tobytes()

    def unpack(self, raw: tf.Tensor, most: tf.Tensor | int) -> tf.Tensor:
        """As `Code`."""
        width = self.bits // 8
        kind = tf.int8 if self.bits == 8 else tf.int16
        # Whole blocks, of which the last one may be filled in part.
        blocks = tf.maximum(most - 1, 0) // _BLOCK + 1
        codes = tf.io.decode_raw(
            raw, kind, fixed_length=blocks * _BLOCK * width
        )
        codes = tf.reshape(
            tf.cast(codes, tf.int32), [tf.shape(raw)[0], blocks, _BLOCK]
        )
        first = tf.bitwise.bitwise_and(codes[:, :, :_SCALE_BITS], 1)
        scales = tf.reduce_sum(first * 2 ** tf.range(_SCALE_BITS), axis=-1)
        counts = tf.maximum(tf.strings.length(raw) // width // _BLOCK, 1)
        # What is behind the last whole block has that one's scale.
        own = tf.minimum(tf.range(blocks)[None], counts[:, None] - 1)
        scales = tf.gather(
            tf.constant(_SCALES, tf.float32),
            tf.gather(scales, own, batch_dims=1),
        )
        values = tf.cast(codes, tf.float32) * scales[:, :, None]
        return tf.reshape(values, [tf.shape(raw)[0], -1])[:, :most]
