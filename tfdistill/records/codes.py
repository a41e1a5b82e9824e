"""Codes: how the numbers of a feature become bytes, and batches of them back.

Packing is NumPy's, an example at a time; unpacking is TensorFlow's, a batch
at a time, and leaves zeros behind the numbers of shorter examples.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
import tensorflow as tf

Count: TypeAlias = "int | np.ndarray | tf.Tensor"


class Code(Protocol):
    """A way to write numbers.

    Attributes:
        is_each_alone: Whether a number's bytes do not depend on the others.
    """

    is_each_alone: ClassVar[bool]

    def size(self, count: Count) -> Count:
        """Returns the bytes that so many numbers take."""

    def pack(self, values: np.ndarray) -> bytes:
        """Write flat values.

        Raises:
            ValueError: One does not fit; the message ends a sentence.
        """

    def unpack(self, raw: tf.Tensor, most: tf.Tensor | int) -> tf.Tensor:
        """Read strings `[B]`: int32 or float32 `[B, most]`."""


def pack_rows(
    code: Code, values: np.ndarray, counts: np.ndarray
) -> Sequence[bytes | memoryview]:
    """Write the numbers of some examples.

    Args:
        code: How.
        values: Of all examples, one after another.
        counts: int `[B]`, how many each has.

    Returns:
        The bytes of each.

    Raises:
        ValueError: As `Code.pack`.
    """
    if not code.is_each_alone:
        return [code.pack(x) for x in np.split(values, np.cumsum(counts)[:-1])]
    packed = memoryview(code.pack(values))
    ends = np.cumsum(code.size(counts)).tolist()
    return [packed[a:b] for a, b in itertools.pairwise([0, *ends])]


@dataclasses.dataclass(frozen=True)
class Integers:
    """Unsigned little-endian integers of 1, 2, 3 or 4 bytes."""

    is_each_alone: ClassVar[bool] = True

    width: int

    def size(self, count: Count) -> Count:
        """As `Code`."""
        return count * self.width

    def pack(self, values: np.ndarray) -> bytes:
        """As `Code`."""
        wide = np.ascontiguousarray(values, "<u4").view(np.uint8)
        return wide.reshape(-1, 4)[:, : self.width].tobytes()

    def unpack(self, raw: tf.Tensor, most: tf.Tensor | int) -> tf.Tensor:
        """As `Code`."""
        # TensorFlow decodes no unsigned 32-bit integers, and none of 24.
        kind = {1: tf.uint8, 2: tf.uint16, 3: tf.uint8, 4: tf.int32}[self.width]
        values = tf.io.decode_raw(raw, kind, fixed_length=most * self.width)
        values = tf.cast(values, tf.int32)
        if self.width != 3:
            return values
        digits = tf.reshape(values, [tf.shape(raw)[0], most, 3])
        return tf.reduce_sum(digits * [1, 1 << 8, 1 << 16], axis=-1)


@dataclasses.dataclass(frozen=True)
class Floats:
    """Little-endian float32."""

    is_each_alone: ClassVar[bool] = True

    def size(self, count: Count) -> Count:
        """As `Code`."""
        return count * 4

    def pack(self, values: np.ndarray) -> bytes:
        """As `Code`."""
        return np.ascontiguousarray(values, "<f4").tobytes()

    def unpack(self, raw: tf.Tensor, most: tf.Tensor | int) -> tf.Tensor:
        """As `Code`."""
        return tf.io.decode_raw(raw, tf.float32, fixed_length=most * 4)


def integers_below(limit: int) -> Integers:
    """Returns the narrowest code of integers in [0, limit)."""
    return Integers(max(1, -(-(limit - 1).bit_length() // 8)))
