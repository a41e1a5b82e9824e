"""What batches are padded to: lengths of which few graphs are made."""

from collections.abc import Sequence

import tensorflow as tf

_COARSE = (*range(16, 128, 16), *range(128, 256, 32), *range(256, 513, 64))
_FINE = (
    *range(8, 33, 8),
    *range(48, 65, 16),
    *range(96, 129, 32),
    *range(192, 513, 64),
)
_SLOTS = (1, 2, 4, 6, 8, 12, 16, 20)


def padded_length(counts: tf.Tensor, grid: tf.Tensor) -> tf.Tensor:
    """Returns the least length of a grid that the largest count fits in."""
    return grid[tf.searchsorted(grid, [tf.reduce_max(counts)])[0]]


def coarse_grid(most: int) -> list[int]:
    """Returns what batches of any examples are padded to, up to `most`."""
    return _up_to(most, [*_COARSE, *range(640, most, 128)])


def close_grid(most: int) -> list[int]:
    """As `coarse_grid`, for examples of like length, most of them short."""
    return sorted({*_up_to(most, range(8, 64, 8)), *coarse_grid(most)})


def fine_grid(most: int) -> list[int]:
    """Returns what is padded to where little shall be wasted, up to `most`.

    That is targets, and all where batches are made by their tokens.
    """
    return _up_to(most, [*_FINE, *range(576, most, 128)])


def slot_grid(most: int) -> list[int]:
    """Returns what masked positions are padded to, up to `most`.

    The product with the vocabulary makes one as dear as a token.
    """
    return _up_to(most, [*_SLOTS, *range(24, most, 8)])


def _up_to(most: int, lengths: Sequence[int]) -> list[int]:
    return [n for n in lengths if n < most] + [most]
