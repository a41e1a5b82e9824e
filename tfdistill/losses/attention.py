"""Distances between the attention of one student and one teacher layer.

All read scores `[B, H, L, L]` (query before key) before mask and softmax,
scaled by 1 / sqrt(head size). Numbers at padded keys may be anything, such
as -inf.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from tfdistill.losses.reduction import Parts, counted, summed, widened

HEADS = ("equal", "average")
ALONG = {"keys": 3, "queries": 2, "heads": 1, "examples": 0}

# The published code takes scores up to here for padding.
_ORIGINAL_PADDING = -100.0
_PEARSON_EPSILON = 1e-8
# A score of no weight whose differences and products stay finite.
_HIDDEN = -1e30


def attention_mse(
    student_scores: tf.Tensor,
    teacher_scores: tf.Tensor,
    mask: tf.Tensor,
    *,
    heads: str = "equal",
    reduction: str = "mean",
) -> Parts:
    """Mean squared difference of attention scores.

    Args:
        student_scores: `[B, H, L, L]`.
        teacher_scores: `[B, H, L, L]`.
        mask: `[B, L]`, 1 where a token stands.
        heads: `equal`: head by head. `average`: means over the heads, of
            which the models may have different numbers.
        reduction: `mean` over heads and pairs of tokens. `original`: over
            heads and all pairs of positions, with 0 for padded keys and for
            scores of at most -100, as TinyBERT, CKD and
            How-to-distill-your-BERT.

    Returns:
        Parts whose weights count pairs of positions. At least 0, which a
        student equal to its teacher reaches.

    Raises:
        ValueError: Shapes differ, or a choice is not known.

    Reference: Jiao et al., "TinyBERT", 2020, equation 7.
    """
    student, teacher = _checked(student_scores, teacher_scores, heads)
    rows = counted(mask, reduction)
    is_read = _queries_and_keys(rows, tf.cast(mask, tf.bool))

    def read(scores: tf.Tensor) -> tf.Tensor:
        kept = is_read
        if reduction == "original":
            kept &= scores > _ORIGINAL_PADDING
        scores = tf.where(kept, scores, tf.zeros_like(scores))
        if heads == "average":
            scores = tf.reduce_mean(scores, axis=1, keepdims=True)
        return scores

    squares = tf.math.squared_difference(read(student), read(teacher))
    is_counted = _queries_and_keys(rows, rows)[:, 0]
    return summed(tf.reduce_mean(squares, axis=1), is_counted)


def attention_kl(
    student_scores: tf.Tensor,
    teacher_scores: tf.Tensor,
    mask: tf.Tensor,
    *,
    heads: str = "equal",
    reduction: str = "mean",
    clip: float = 1e-7,
) -> Parts:
    """Divergence of the student's attention from the teacher's.

    `sum_keys p_t (log p_t - log p_s)`, where `0 log 0` is 0; softmax over
    keys that are tokens.

    Args:
        student_scores: `[B, H, L, L]`.
        teacher_scores: `[B, H, L, L]`.
        mask: `[B, L]`, 1 where a token stands.
        heads: `equal`: head by head. `average`: mean probabilities over the
            heads, of which the models may have different numbers.
        reduction: `mean` over heads and queries that are tokens.
            `original`: over heads and all queries, as
            How-to-distill-your-BERT.
        clip: Of `original`: the least probability of the student, in
            [0, 1). Below it there is no gradient. The published MiniLM
            and MobileBERT terms have none: 0.

    Returns:
        Parts whose weights count queries, in nats. At least 0, which a
        student equal to its teacher reaches; with the clip it may be less
        by at most `clip` times the number of keys.

    Raises:
        ValueError: Shapes differ, or a choice is not known.

    Reference: Wang et al., "MiniLM", 2020, "self-attention distribution
        transfer".
    """
    if not 0 <= clip < 1:
        raise ValueError(f"clip={clip} is not in [0, 1).")
    student, teacher = _checked(student_scores, teacher_scores, heads)
    rows = counted(mask, reduction)
    log_student = _log_probs(student, rows, mask, heads)
    log_teacher = _log_probs(teacher, rows, mask, heads)
    if reduction == "original" and clip:
        log_student = tf.maximum(log_student, math.log(clip))
    values = tf.reduce_sum(
        tf.exp(log_teacher) * (log_teacher - log_student), axis=-1
    )
    return summed(tf.reduce_mean(values, axis=1), rows)


def attention_pearson(
    student_scores: tf.Tensor,
    teacher_scores: tf.Tensor,
    mask: tf.Tensor,
    *,
    along: Sequence[str] = tuple(ALONG),
    heads: str = "equal",
    reduction: str = "mean",
) -> Parts:
    """One minus Pearson's correlation of attention, summed over directions.

    Probabilities are correlated along the keys of every query, along the
    queries of every key, along the heads, and along the examples. Each
    direction is averaged within an example, then over examples. Examples
    are those at hand, a replica's micro-batch: **along them, and only so,
    the loss depends on how a batch is split**.

    Args:
        student_scores: `[B, H, L, L]`.
        teacher_scores: `[B, H, L, L]`.
        mask: `[B, L]`, 1 where a token stands.
        along: Directions, of `keys`, `queries`, `heads`, `examples`.
        heads: `equal` or `average`, as `attention_kl`; nothing remains
            along averaged heads.
        reduction: `mean`: tokens alone are correlated, and what has fewer
            than two entries to correlate is left out. `original`: all
            positions, with probability 0 at padded keys, as
            How-to-distill-your-BERT.

    Returns:
        Parts with weight 1 for every example. Between 0 and 2 for every
        direction; 0 where the student's side is linear in the teacher's,
        1 where one of both is constant.

    Raises:
        ValueError: Shapes differ, or a choice is not known.

    Reference: Huang et al., "Knowledge Distillation from A Stronger
        Teacher", 2022; its code for the epsilon.
    """
    unknown = set(along) - set(ALONG)
    if unknown or not along:
        raise ValueError(
            f"Unknown directions {sorted(unknown)}. Known: {', '.join(ALONG)}."
        )
    student, teacher = _checked(student_scores, teacher_scores, heads)
    rows = counted(mask, reduction)
    student = tf.exp(_log_probs(student, rows, mask, heads))
    teacher = tf.exp(_log_probs(teacher, rows, mask, heads))
    is_counted = tf.broadcast_to(
        _queries_and_keys(rows, rows), tf.shape(student)
    )
    least = 2 if reduction == "mean" else 1
    total = tf.add_n(
        [
            _uncorrelated(student, teacher, is_counted, ALONG[axis], least)
            + tf.zeros_like(student[:, 0, 0, 0])
            for axis in along
        ]
    )
    return summed(total, tf.reduce_any(rows, axis=1))


def _checked(
    student: tf.Tensor, teacher: tf.Tensor, heads: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Both scores in one type of at least float32."""
    if heads not in HEADS:
        raise ValueError(f"Unknown heads {heads!r}. Known: {', '.join(HEADS)}.")
    student = widened(student)
    teacher = tf.cast(teacher, student.dtype)
    ours, theirs = student.shape, teacher.shape
    if (ours[:1], ours[2:]) != (theirs[:1], theirs[2:]):
        raise ValueError(
            "Attention scores [B, H, L, L] of both models need the same B "
            f"and L. Received: {ours} and {theirs}."
        )
    if heads == "equal" and ours[1] != theirs[1]:
        raise ValueError(
            f"The student has {ours[1]} attention heads and the teacher "
            f"{theirs[1]}. heads=average compares their averages."
        )
    return student, teacher


def _queries_and_keys(queries: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Bool `[B, 1, L, L]` from `[B, L]` of both."""
    return queries[:, None, :, None] & keys[:, None, None, :]


def _log_probs(
    scores: tf.Tensor, rows: tf.Tensor, mask: tf.Tensor, heads: str
) -> tf.Tensor:
    """Logarithms of attention `[B, H or 1, L, L]`, all of them finite.

    The probability is exactly 0 at padded keys. Rows that are not counted
    are made of nothing that was given.
    """
    is_read = _queries_and_keys(rows, tf.cast(mask, tf.bool))
    hidden = tf.fill(tf.shape(scores), tf.constant(_HIDDEN, scores.dtype))
    log_probs = tf.nn.log_softmax(tf.where(is_read, scores, hidden))
    if heads == "average":
        log_probs = tf.reduce_logsumexp(
            log_probs, axis=1, keepdims=True
        ) - math.log(scores.shape[1])
    return log_probs


def _uncorrelated(
    student: tf.Tensor,
    teacher: tf.Tensor,
    is_counted: tf.Tensor,
    axis: int,
    least: int,
) -> tf.Tensor:
    """1 - Pearson along an axis, averaged: `[B]`, or `[1]` along examples.

    Vectors with fewer than `least` entries that count are left out.
    """
    shares = tf.cast(is_counted, student.dtype)
    entries = tf.reduce_sum(shares, axis=axis, keepdims=True)

    def centred(x: tf.Tensor) -> tf.Tensor:
        total = tf.reduce_sum(x * shares, axis=axis, keepdims=True)
        return (x - tf.math.divide_no_nan(total, entries)) * shares

    def length(x: tf.Tensor) -> tf.Tensor:
        squared = tf.reduce_sum(x * x, axis=axis, keepdims=True)
        some = squared > 0
        # The square root's own gradient at 0 is infinite.
        root = tf.sqrt(tf.where(some, squared, tf.ones_like(squared)))
        return tf.where(some, root, tf.zeros_like(root))

    student, teacher = centred(student), centred(teacher)
    correlation = tf.reduce_sum(student * teacher, axis=axis, keepdims=True) / (
        length(student) * length(teacher) + _PEARSON_EPSILON
    )
    values, weights = summed(1 - correlation, entries >= least)
    return tf.math.divide_no_nan(values, weights)
