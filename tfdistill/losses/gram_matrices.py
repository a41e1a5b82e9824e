"""Gram matrices of sets of vectors, and what follows from them.

No tensor of differences between vectors is built: `|x_j - x_i|^2` is
`G_ii + G_jj - 2 G_ij`, and the product of `x_j - x_i` with `x_k - x_i` is
`G_jk - (G_ij - G_ii / 2) - (G_ik - G_ii / 2)`. Vectors are centred first, as
rounding grows with what they have in common; for the same reason products
need all of float32, so no TensorFloat-32 on GPUs.

`M` is the number of vectors in a set.
"""

import numpy as np
import tensorflow as tf

# Vectors up to this length have no direction; squared distances are not less.
_LEAST = 1e-12


def centred(x: tf.Tensor, is_counted: tf.Tensor) -> tf.Tensor:
    """Vectors less the mean of those that count.

    Distances and angles stay as they are. As they do not depend on the mean,
    it is a constant to gradients.

    Args:
        x: `[..., M, D]`.
        is_counted: bool, broadcast to `[..., M]`.

    Returns:
        `[..., M, D]`; what does not count is moved like the rest.
    """
    is_counted = is_counted[..., None]
    total = tf.reduce_sum(tf.where(is_counted, x, 0.0), axis=-2, keepdims=True)
    count = tf.reduce_sum(tf.cast(is_counted, x.dtype), axis=-2, keepdims=True)
    return x - tf.stop_gradient(tf.math.divide_no_nan(total, count))


def unit(x: tf.Tensor) -> tf.Tensor:
    """Scale vectors to length 1; 0 with gradient 0 where |x| <= 1e-12.

    Args:
        x: `[..., D]`.

    Returns:
        `[..., D]`.
    """
    squares = tf.reduce_sum(tf.square(x), axis=-1, keepdims=True)
    return x * _inverse_roots(squares, squares > _LEAST**2)


def gram(x: tf.Tensor) -> tf.Tensor:
    """Products of all pairs of vectors, `[..., M, D]` to `[..., M, M]`."""
    return tf.matmul(x, x, transpose_b=True)


def squared_distances(products: tf.Tensor) -> tf.Tensor:
    """Squared Euclidean distances from a Gram matrix.

    Args:
        products: `[..., M, M]`.

    Returns:
        `[..., M, M]`, at least 1e-12, with gradient 0 there.
    """
    squares = tf.linalg.diag_part(products)
    found = squares[..., :, None] + squares[..., None, :] - 2 * products
    return tf.maximum(found, _LEAST)


def sides_of(
    products: tf.Tensor,
    squares: tf.Tensor,
    centre_squares: tf.Tensor,
    is_pair: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """What `angles` reads of the sides from a centre i to vectors j.

    Args:
        products: `[..., M]`, G_ij.
        squares: G_jj, broadcast to it.
        centre_squares: G_ii, broadcast to it.
        is_pair: bool, broadcast to it. It may hold at j = i, where there is
            no side whatever it says.

    Returns:
        `[..., M]` G_ij - G_ii / 2 and `[..., M]` 1 / |x_j - x_i|. The latter
        is 0 with gradient 0 where there is no pair, and where the length is
        not above the rounding of the products.
    """
    offsets = products - centre_squares / 2
    lengths = squares - 2 * offsets
    rounding = 4 * np.finfo(products.dtype.as_numpy_dtype).eps
    is_side = lengths > _LEAST**2 + rounding * (squares + centre_squares)
    return offsets, _inverse_roots(lengths, is_pair & is_side)


def angles(
    products: tf.Tensor, offsets: tf.Tensor, inverses: tf.Tensor
) -> tf.Tensor:
    """Cosines of the angles at a centre i between vectors j and k.

    Args:
        products: `[..., M, M]`, G_jk.
        offsets: `[..., M]`, G_ij - G_ii / 2.
        inverses: `[..., M]`, 1 / |x_j - x_i|, or 0.

    Returns:
        `[..., M, M]` in [-1, 1] up to rounding; 0 where an inverse is.
    """
    found = products - offsets[..., :, None] - offsets[..., None, :]
    return found * inverses[..., :, None] * inverses[..., None, :]


def _inverse_roots(x: tf.Tensor, is_used: tf.Tensor) -> tf.Tensor:
    """1 / sqrt(x) where used; 0 with gradient 0 elsewhere."""
    return tf.where(is_used, tf.math.rsqrt(tf.where(is_used, x, 1.0)), 0.0)
