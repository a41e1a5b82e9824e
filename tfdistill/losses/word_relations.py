"""Relations of the tokens of a sequence to each other, in matched layers.

Contextual knowledge distillation (CKD) wants the student's tokens to lie to
each other as the teacher's do. Distances and angles are compared instead of
the states, so the models' widths may differ.

Weights count pairs or triples of tokens, as published, so a longer example
weighs more.

Reference: Park et al., "Distilling Linguistic Context for Language Model
Compression", 2021, and its code.
"""

import tensorflow as tf

from tfdistill.losses.geometry import (
    PENALTIES,
    check_penalty,
    compare_angles,
    compare_distances,
    map_slices,
)
from tfdistill.losses.gram_matrices import angles, centred, gram, sides_of
from tfdistill.losses.matched_states import matched_states
from tfdistill.losses.reduction import Parts, counted


def word_distance(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    distance: str = "cos",
    penalty: str = "kl",
    normalise: bool = False,
) -> Parts:
    """How the distances between tokens differ.

    Args:
        student: `[B, N, L, Ds]`, N matched layers.
        teacher: `[B, N, L, Dt]`.
        mask: `[B, L]`, 1 where a token stands.
        distance: `cos`: the cosines of a token with all others, taken as
            logits of a distribution over these. `l2`: squared distances.
        penalty: For `cos`, `kl`: the divergence of the student's
            distribution from the teacher's, in nats. For `l2`, a function
            of the difference: `l1`, `l2` or `smooth_l1`.
        normalise: Divide the squared distances in a layer by their mean
            over pairs of two tokens.

    Returns:
        Parts whose weights are N n^2 for n tokens. At least 0, which a
        student equal to its teacher reaches. One token alone gives 0, as do
        two for `cos`.

    Raises:
        ValueError: Shapes do not fit, or a choice is not known or does not
            go with the others.
    """
    is_token = counted(mask, "mean")
    student, teacher = matched_states(student, teacher, is_token)
    if distance == "l2":
        student, teacher = _centred(student, teacher, is_token)
    values = compare_distances(
        student,
        teacher,
        _pairs(is_token),
        distance=distance,
        penalty=penalty,
        normalise=normalise,
    )
    return _parts(values, _num_tokens(is_token, values.dtype) ** 2, student)


def word_angle(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    penalty: str = "l2",
) -> Parts:
    """How the angles at every token, between all tokens, differ.

    It takes N L^3 steps for an example and holds N L^2 numbers at a time.

    Args:
        student: `[B, N, L, Ds]`, N matched layers.
        teacher: `[B, N, L, Dt]`.
        mask: `[B, L]`, 1 where a token stands.
        penalty: Of a difference of cosines: `l1`, `l2` or `smooth_l1`.

    Returns:
        Parts whose weights are N n^3 for n tokens: triples that name a
        token twice count, with a difference of 0. At least 0, which a
        student equal to its teacher reaches.

    Raises:
        ValueError: Shapes do not fit, or a choice is not known.
    """
    is_token = counted(mask, "mean")
    student, teacher = matched_states(student, teacher, is_token)
    student, teacher = _centred(student, teacher, is_token)
    values = compare_angles(student, teacher, _pairs(is_token), penalty=penalty)
    return _parts(values, _num_tokens(is_token, values.dtype) ** 3, student)


def word_angle_window(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    window: int = 21,
    penalty: str = "l2",
    reduction: str = "mean",
) -> Parts:
    """How the angles at every token, between tokens near it, differ.

    It takes N L window^2 steps for an example, and holds as many numbers at
    a time for some examples only.

    Args:
        student: `[B, N, L, Ds]`, N matched layers.
        teacher: `[B, N, L, Dt]`.
        mask: `[B, L]`, 1 where a token stands.
        window: Odd number of positions, the token's own in the middle.
        penalty: Of a difference of cosines: `l1`, `l2` or `smooth_l1`.
        reduction: `mean`: over triples of tokens whose second and third lie
            in the window of the first; a window that holds all tokens makes
            it `word_angle`. `original`: over window^2 triples for every
            token. Padding counts among its neighbours, and the first and
            the last position stand in for those beyond them.

    Returns:
        Parts whose weights are N times the number of triples. At least 0,
        which a student equal to its teacher reaches.

    Raises:
        ValueError: Shapes do not fit, the window is even, or a choice is
            not known.
    """
    check_penalty(penalty)
    is_token, is_read = counted(mask, "mean"), counted(mask, reduction)
    student, teacher = matched_states(student, teacher, is_read)
    student, teacher = _centred(student, teacher, is_token)
    positions, is_inside = window_positions(tf.shape(is_token)[1], window)
    is_pair = is_token[:, :, None] & tf.gather(is_read, positions, axis=1)
    if reduction == "mean":
        is_pair &= is_inside

    def of_example(one: tuple[tf.Tensor, ...]) -> tf.Tensor:
        products, wanted_products, is_pair = one

        @tf.recompute_grad
        def compare(products: tf.Tensor) -> tf.Tensor:
            found = _angles_in_window(products, positions, is_pair)
            wanted = _angles_in_window(wanted_products, positions, is_pair)
            difference = found - wanted
            return tf.reduce_sum(PENALTIES[penalty](difference), [1, 2, 3])

        return compare(products)

    values = map_slices(
        of_example, (gram(student), gram(teacher), is_pair), student.dtype
    )
    sides = tf.reduce_sum(tf.cast(is_pair, values.dtype), axis=-1)
    return _parts(values, tf.reduce_sum(sides**2, axis=-1), student)


def window_positions(
    length: int | tf.Tensor, window: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The positions around every position of a sequence.

    Args:
        length: L.
        window: w, odd.

    Returns:
        int32 `[L, w]` in [0, L), the nearest position for those that the
        sequence does not have; and bool `[L, w]`, false for these.

    Raises:
        ValueError: The window is even or not positive.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window={window} is not an odd number.")
    half = window // 2
    wanted = tf.range(length)[:, None] + tf.range(-half, half + 1)
    positions = tf.clip_by_value(wanted, 0, length - 1)
    return positions, positions == wanted


def _angles_in_window(
    products: tf.Tensor, positions: tf.Tensor, is_pair: tf.Tensor
) -> tf.Tensor:
    """`[N, L, w, w]` cosines of angles from a Gram matrix `[N, L, L]`."""
    length = tf.shape(products)[-1]
    places = positions[:, :, None] * length + positions[:, None, :]
    near = tf.gather(
        tf.reshape(products, [-1, length * length]), places, axis=1
    )
    half = near.shape[-1] // 2
    to_centre = near[..., half, :]
    offsets, inverses = sides_of(
        to_centre,
        tf.linalg.diag_part(near),
        to_centre[..., half, None],
        is_pair,
    )
    return angles(near, offsets, inverses)


def _centred(
    student: tf.Tensor, teacher: tf.Tensor, is_token: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    is_token = is_token[:, None, :]
    return centred(student, is_token), centred(teacher, is_token)


def _pairs(is_token: tf.Tensor) -> tf.Tensor:
    """Bool `[B, 1, L, L]`: pairs of two tokens."""
    is_pair = is_token[:, :, None] & is_token[:, None, :]
    diagonal = tf.zeros_like(is_token)
    return tf.linalg.set_diag(is_pair, diagonal)[:, None]


def _num_tokens(is_token: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(is_token, dtype), axis=1)


def _parts(values: tf.Tensor, counts: tf.Tensor, student: tf.Tensor) -> Parts:
    """Sums over layers.

    Args:
        values: `[B, N]`.
        counts: `[B]`, what is counted in one layer.
        student: States, whose shape alone is read, so that the weights by
            themselves take no work.
    """
    layers = tf.cast(tf.shape(student)[1], counts.dtype)
    return Parts(tf.reduce_sum(values, axis=1), layers * counts)
