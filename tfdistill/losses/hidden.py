"""Distances between hidden states of one student and one teacher layer.

Several pairs of layers are several calls. States that are concatenated on
their channels are one wide state.
"""

import tensorflow as tf

from tfdistill.losses.geometry import unit
from tfdistill.losses.reduction import Parts, counted, kept, summed, widened

TOKENS = ("all", "first")


def hidden_mse(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    tokens: str = "all",
    reduction: str = "mean",
) -> Parts:
    """Mean squared difference of hidden states.

    Args:
        student: `[B, L, D]`.
        teacher: `[B, L, D]`; a narrower student is projected first.
        mask: `[B, L]`, 1 where a token stands.
        tokens: `all`, or the `first` one of every example.
        reduction: `mean` over the tokens and D. `original`: over all
            positions and D, as TinyBERT, CKD and How-to-distill-your-BERT.

    Returns:
        Parts whose weights count positions. At least 0, which a student
        equal to its teacher reaches.

    Raises:
        ValueError: Shapes differ, or a choice is not known.

    Reference: Jiao et al., "TinyBERT", 2020, equation 8.
    """
    student, teacher, is_counted = _pair(
        student, teacher, mask, tokens, reduction
    )
    values = tf.reduce_mean(tf.math.squared_difference(student, teacher), -1)
    return summed(values, is_counted)


def hidden_cosine(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    tokens: str = "all",
) -> Parts:
    """One minus the cosine of hidden states, averaged over tokens.

    The published code leaves padding out too, so there is one reduction.

    Args:
        student: `[B, L, D]`.
        teacher: `[B, L, D]`.
        mask: `[B, L]`, 1 where a token stands.
        tokens: `all`, or the `first` one of every example.

    Returns:
        Parts whose weights count tokens. Between 0, where directions are
        equal, and 2; 1 for a vector of zeros.

    Raises:
        ValueError: as `hidden_mse`.

    Reference: Sanh et al., "DistilBERT", 2019.
    """
    student, teacher, is_counted = _pair(student, teacher, mask, tokens, "mean")
    cosine = tf.reduce_sum(unit(student) * unit(teacher), -1)
    return summed(1 - cosine, is_counted)


def pkd(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    tokens: str = "first",
    reduction: str = "mean",
) -> Parts:
    """Squared difference of hidden states of length 1.

    Args:
        student: `[B, L, D]`.
        teacher: `[B, L, D]`.
        mask: `[B, L]`, 1 where a token stands.
        tokens: The `first` one of every example, or `all`.
        reduction: `mean` over the tokens and D, which for first tokens is
            CKD's `pkd`. `original`: for first tokens, the sum over D for
            every example (How-to-distill-your-BERT, whose trainer divides
            by the number of examples); for all, the mean over all positions
            and D (CKD's `pkdall`).

    Returns:
        Parts whose weights count positions. At least 0, and at most 4 / D
        (4, where channels are summed).

    Raises:
        ValueError: as `hidden_mse`.

    Reference: Sun et al., "Patient Knowledge Distillation for BERT Model
        Compression", 2019.
    """
    student, teacher, is_counted = _pair(
        student, teacher, mask, tokens, reduction
    )
    squares = tf.math.squared_difference(unit(student), unit(teacher))
    if reduction == "original" and tokens == "first":
        return summed(tf.reduce_sum(squares, -1), is_counted)
    return summed(tf.reduce_mean(squares, -1), is_counted)


def alp(student: tf.Tensor, teacher: tf.Tensor, mask: tf.Tensor) -> Parts:
    """Mean squared difference from a mix of all teacher layers.

    The mix is drawn by attention: `softmax_n(student . teacher_n)`, without
    scaling, on the first token of every example.

    Args:
        student: `[B, D]`, the first token in one of the student's states.
        teacher: `[B, N, D]`, the first token in N of the teacher's.
        mask: `[B, L]`, 1 where a token stands.

    Returns:
        Parts with weight 1 for every example that has a first token, as the
        published code. At least 0.

    Raises:
        ValueError: Shapes do not fit.

    Reference: Passban et al., "ALP-KD: Attention-Based Layer Projection for
        Knowledge Distillation", 2021.
    """
    student = widened(student)
    teacher = tf.cast(teacher, student.dtype)
    if student.shape != teacher.shape[:1] + teacher.shape[2:]:
        raise ValueError(
            "alp needs [B, D] of the student and [B, N, D] of the teacher. "
            f"Received: {student.shape} and {teacher.shape}."
        )
    is_counted = tf.cast(mask[:, 0], tf.bool)
    student = kept(student, is_counted)
    teacher = kept(teacher, is_counted)
    shares = tf.nn.softmax(tf.einsum("bd,bnd->bn", student, teacher))
    mix = tf.einsum("bn,bnd->bd", shares, teacher)
    values = tf.reduce_mean(tf.math.squared_difference(student, mix), -1)
    return summed(values, is_counted)


def _pair(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    tokens: str,
    reduction: str,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Both states at the chosen tokens, and which of these count.

    States are 0 where they do not count.
    """
    student = widened(student)
    teacher = tf.cast(teacher, student.dtype)
    if student.shape != teacher.shape:
        raise ValueError(
            "The student's hidden states need the teacher's shape; where "
            "widths differ, project the student's. Received: "
            f"{student.shape} and {teacher.shape}."
        )
    if tokens not in TOKENS:
        raise ValueError(
            f"Unknown tokens {tokens!r}. Known: {', '.join(TOKENS)}."
        )
    is_counted = counted(mask, reduction)
    if tokens == "first":
        student, teacher = student[:, :1], teacher[:, :1]
        is_counted = is_counted[:, :1]
    return kept(student, is_counted), kept(teacher, is_counted), is_counted
