"""Relations of the states of a token in matched layers to each other.

Contextual knowledge distillation (CKD) wants a student's token to move
through the layers as the teacher's does. Distances and angles are compared
instead of the states, so the models' widths may differ.

Distances need two matched layers, and cosines and angles three; with fewer
the losses are 0.

Reference: Park et al., "Distilling Linguistic Context for Language Model
Compression", 2021, and its code.
"""

import tensorflow as tf

from tfdistill.losses.geometry import compare_angles, compare_distances
from tfdistill.losses.gram_matrices import centred
from tfdistill.losses.matched_states import matched_states
from tfdistill.losses.reduction import Parts, counted


def layer_distance(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    distance: str = "cos",
    penalty: str = "kl",
    normalise: bool = False,
) -> Parts:
    """How the distances between a token's states in two layers differ.

    Args:
        student: `[B, N, L, Ds]`, N matched layers.
        teacher: `[B, N, L, Dt]`.
        mask: `[B, L]`, 1 where a token stands.
        distance: `cos`: the cosines of a state with those in all other
            layers, taken as logits of a distribution over these. `l2`:
            squared distances.
        penalty: For `cos`, `kl`: the divergence of the student's
            distribution from the teacher's, in nats. For `l2`, a function
            of the difference: `l1`, `l2` or `smooth_l1`.
        normalise: Divide the squared distances of a token by their mean
            over pairs of two layers.

    Returns:
        Parts whose weights are N^2 n for n tokens. At least 0, which a
        student equal to its teacher reaches.

    Raises:
        ValueError: Shapes do not fit, or a choice is not known or does not
            go with the others.
    """
    student, teacher, is_token = _layers_of_tokens(student, teacher, mask)
    if distance == "l2":
        student, teacher = _centred(student, teacher)
    values = compare_distances(
        student,
        teacher,
        _pairs(student, is_token),
        distance=distance,
        penalty=penalty,
        normalise=normalise,
    )
    return _parts(values, is_token, tf.shape(student)[2] ** 2)


def layer_angle(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    penalty: str = "l2",
) -> Parts:
    """How the angles at a token's state, between other layers', differ.

    Args:
        student: `[B, N, L, Ds]`, N matched layers.
        teacher: `[B, N, L, Dt]`.
        mask: `[B, L]`, 1 where a token stands.
        penalty: Of a difference of cosines: `l1`, `l2` or `smooth_l1`.

    Returns:
        Parts whose weights are N^3 n for n tokens: triples that name a
        layer twice count, with a difference of 0. At least 0, which a
        student equal to its teacher reaches.

    Raises:
        ValueError: Shapes do not fit, or a choice is not known.
    """
    student, teacher, is_token = _layers_of_tokens(student, teacher, mask)
    values = compare_angles(
        *_centred(student, teacher),
        _pairs(student, is_token),
        penalty=penalty,
    )
    return _parts(values, is_token, tf.shape(student)[2] ** 3)


def _layers_of_tokens(
    student: tf.Tensor, teacher: tf.Tensor, mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """States `[B, L, N, D]`, and bool `[B, L]`: where tokens stand."""
    is_token = counted(mask, "mean")
    student, teacher = (
        tf.transpose(x, [0, 2, 1, 3])
        for x in matched_states(student, teacher, is_token)
    )
    return student, teacher, is_token


def _centred(
    student: tf.Tensor, teacher: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    every = tf.ones([1, 1, tf.shape(student)[2]], tf.bool)
    return centred(student, every), centred(teacher, every)


def _pairs(student: tf.Tensor, is_token: tf.Tensor) -> tf.Tensor:
    """Bool `[B, L, N, N]`: pairs of two layers, where a token stands."""
    is_other = ~tf.eye(tf.shape(student)[2], dtype=tf.bool)
    return is_token[..., None, None] & is_other


def _parts(values: tf.Tensor, is_token: tf.Tensor, counts: tf.Tensor) -> Parts:
    """Sums over tokens.

    Args:
        values: `[B, L]`.
        is_token: bool `[B, L]`.
        counts: Scalar, what is counted for a token.
    """
    tokens = tf.reduce_sum(tf.cast(is_token, values.dtype), axis=1)
    return Parts(
        tf.reduce_sum(values, axis=1), tokens * tf.cast(counts, values.dtype)
    )
