"""How distances and angles among the vectors of two models differ.

`M` is the number of vectors in a set: the tokens of a sequence, or the layers
of a token. `is_pair`, bool `[..., M, M]`, says which ordered pairs (i, j)
count; it is false at i = j. What does not count has a gradient of exactly 0.
"""

from collections.abc import Callable

import tensorflow as tf

from tfdistill.losses.gram_matrices import (
    angles,
    gram,
    sides_of,
    squared_distances,
    unit,
)

DISTANCES = ("cos", "l2")

# No logit is as small.
_NEVER = -1e30
# So many blocks of angles are worked on at a time.
_PARALLEL = 2


def _smooth_l1(x: tf.Tensor) -> tf.Tensor:
    size = tf.abs(x)
    return tf.where(size < 1, tf.square(x) / 2, size - 0.5)


PENALTIES: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "l1": tf.abs,
    "l2": tf.square,
    "smooth_l1": _smooth_l1,
}


def check_penalty(penalty: str) -> None:
    """Refuse an unknown penalty on differences.

    Raises:
        ValueError: It is not among `PENALTIES`.
    """
    if penalty not in PENALTIES:
        raise ValueError(
            f"Unknown penalty {penalty!r}. Known: {', '.join(PENALTIES)}."
        )


def check_distance(distance: str, penalty: str, normalise: bool) -> None:
    """Refuse a distance that is not known or cannot be compared so.

    Raises:
        ValueError: The distance is not known, or the penalty or the
            normalisation does not go with it.
    """
    if distance not in DISTANCES:
        raise ValueError(
            f"Unknown distance {distance!r}. Known: {', '.join(DISTANCES)}."
        )
    fitting = ("kl",) if distance == "cos" else tuple(PENALTIES)
    if penalty not in fitting:
        raise ValueError(
            f"distance={distance} does not go with penalty={penalty}. "
            f"Known: {', '.join(fitting)}."
        )
    if normalise and distance == "cos":
        raise ValueError("normalise=True is for distance=l2, not for cosines.")


def shares(logits: tf.Tensor, is_pair: tf.Tensor) -> tf.Tensor:
    """Softmax over the last axis, among pairs only.

    Args:
        logits: `[..., M, M]`.
        is_pair: bool, broadcast to it.

    Returns:
        `[..., M, M]`, rows that sum to 1; 0 where there is no pair, and in
        rows that have none.
    """
    found = tf.nn.softmax(tf.where(is_pair, logits, _NEVER))
    return tf.where(is_pair, found, 0.0)


def divergence(
    student: tf.Tensor, teacher: tf.Tensor, is_pair: tf.Tensor
) -> tf.Tensor:
    """Divergence of the student's softmax from the teacher's, among pairs.

    With p the teacher's distribution and d the difference of logits less its
    mean under p: `log(sum p exp(-d)) = log(1 + sum p (exp(-d) - 1 + d))`. No
    logarithms of nearly equal probabilities are subtracted, of which float32
    would leave little where cosines are all alike.

    Args:
        student: `[..., M, M]`, logits; they differ from the teacher's by
            less than 40.
        teacher: `[..., M, M]`.
        is_pair: bool, broadcast to them.

    Returns:
        `[..., M]`, in nats, at least 0; 0 for rows without pairs.
    """
    p = shares(teacher, is_pair)
    d = tf.where(is_pair, teacher - student, 0.0)
    d -= tf.reduce_sum(p * d, axis=-1, keepdims=True)
    return tf.math.log1p(tf.reduce_sum(p * (tf.math.expm1(-d) + d), axis=-1))


def compare_distances(
    student: tf.Tensor,
    teacher: tf.Tensor,
    is_pair: tf.Tensor,
    *,
    distance: str,
    penalty: str,
    normalise: bool,
) -> tf.Tensor:
    """How distances among the student's and the teacher's vectors differ.

    Args:
        student: `[..., M, Ds]`, finite.
        teacher: `[..., M, Dt]`, finite.
        is_pair: bool, broadcast to `[..., M, M]`.
        distance: `cos`: cosines, taken as logits of a distribution over the
            partners of each vector. `l2`: squared Euclidean distances.
        penalty: `kl` for `cos`: the divergence of the student's
            distribution from the teacher's. `l1`, `l2`, `smooth_l1` for
            `l2`: a function of the difference.
        normalise: Divide distances by their mean over pairs.

    Returns:
        `[...]`, sums over pairs, at least 0.

    Raises:
        ValueError: as `check_distance`.
    """
    check_distance(distance, penalty, normalise)
    if distance == "cos":
        found, wanted = gram(unit(student)), gram(unit(teacher))
        return tf.reduce_sum(divergence(found, wanted, is_pair), axis=-1)
    found = squared_distances(gram(student))
    wanted = squared_distances(gram(teacher))
    if normalise:
        found, wanted = _over_mean(found, is_pair), _over_mean(wanted, is_pair)
    values = PENALTIES[penalty](found - wanted)
    return tf.reduce_sum(tf.where(is_pair, values, 0.0), axis=[-2, -1])


def compare_angles(
    student: tf.Tensor, teacher: tf.Tensor, is_pair: tf.Tensor, *, penalty: str
) -> tf.Tensor:
    """How angles among the student's and the teacher's vectors differ.

    The angles at one centre after the other are compared, and computed again
    for the gradient, so that what is held at a time is of the size of the
    Gram matrices.

    Args:
        student: `[..., M, Ds]`, finite, centred.
        teacher: `[..., M, Dt]`, finite, centred.
        is_pair: bool, broadcast to `[..., M, M]`.
        penalty: `l1`, `l2` or `smooth_l1` of a difference of cosines.

    Returns:
        `[...]`, sums over triples (i, j, k) of which (i, j) and (i, k) are
        pairs; at least 0.

    Raises:
        ValueError: The penalty is not known.
    """
    check_penalty(penalty)
    products, wanted_products = gram(student), gram(teacher)

    @tf.recompute_grad
    def at_centre(
        products: tf.Tensor,
        offsets: tf.Tensor,
        inverses: tf.Tensor,
        wanted_offsets: tf.Tensor,
        wanted_inverses: tf.Tensor,
    ) -> tf.Tensor:
        found = angles(products, offsets, inverses)
        wanted = angles(wanted_products, wanted_offsets, wanted_inverses)
        return tf.reduce_sum(PENALTIES[penalty](found - wanted), axis=[-2, -1])

    sides = (
        *sides_of(*_rows(products), is_pair),
        *sides_of(*_rows(wanted_products), is_pair),
    )
    return tf.reduce_sum(
        map_slices(
            lambda at: at_centre(products, *at),
            tuple(tf.experimental.numpy.moveaxis(x, -2, 0) for x in sides),
            products.dtype,
        ),
        axis=0,
    )


def map_slices(
    function: Callable[[tuple[tf.Tensor, ...]], tf.Tensor],
    tensors: tuple[tf.Tensor, ...],
    dtype: tf.DType,
) -> tf.Tensor:
    """Apply a function to slices along the first axis, a few at a time.

    Args:
        function: From one slice of each tensor to a tensor.
        tensors: `[S, ...]` each.
        dtype: Of what the function returns.

    Returns:
        `[S, ...]`, what it returned, stacked.
    """
    return tf.map_fn(
        function,
        tensors,
        fn_output_signature=dtype,
        parallel_iterations=None if tf.executing_eagerly() else _PARALLEL,
    )


def _rows(products: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A Gram matrix as `sides_of` reads it, all centres at a time."""
    squares = tf.linalg.diag_part(products)
    return products, squares[..., None, :], squares[..., :, None]


def _over_mean(distances: tf.Tensor, is_pair: tf.Tensor) -> tf.Tensor:
    """Distances over their mean among pairs; 0 where there are no pairs."""
    axes = [-2, -1]
    total = tf.reduce_sum(
        tf.where(is_pair, distances, 0.0), axis=axes, keepdims=True
    )
    pairs = tf.reduce_sum(
        tf.cast(is_pair, distances.dtype), axis=axes, keepdims=True
    )
    return tf.math.divide_no_nan(distances * pairs, total)
