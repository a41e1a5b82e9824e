"""Distances between relations that tokens have to each other in a layer."""

import math

import tensorflow as tf

from tfdistill.losses.attention import attention_kl
from tfdistill.losses.reduction import Parts, counted, widened


def relation_kl(
    student: tf.Tensor,
    teacher: tf.Tensor,
    mask: tf.Tensor,
    *,
    relation_heads: int = 0,
    reduction: str = "mean",
    clip: float = 1e-7,
) -> Parts:
    """Divergence of the student's self-relation from the teacher's.

    A relation is `softmax(X X^T / sqrt(head size))` over tokens, for every
    head of queries, keys or values X. MiniLM is `attention_kl` and this on
    values; MiniLMv2 is the sum of this on queries, keys and values.

    Args:
        student: `[B, H, L, d]`.
        teacher: `[B, H, L, d]`, of its own H and d.
        mask: `[B, L]`, 1 where a token stands.
        relation_heads: The heads of a token are concatenated and split into
            this many, so that the models' own may differ; 0: as they are.
        reduction: `mean` over heads and tokens, related to tokens.
            `original`: over heads and all positions, related to all
            positions, as How-to-distill-your-BERT.
        clip: as `attention_kl`.

    Returns:
        Parts whose weights count positions, in nats. At least 0, as
        `attention_kl`.

    Raises:
        ValueError: Numbers of heads differ or do not divide a width, other
            shapes differ, or the reduction is not known.

    Reference: Wang et al., "MiniLM", 2020, "self-attention value-relation
        transfer"; Wang et al., "MiniLMv2", 2021.
    """
    if not relation_heads and student.shape[1] != teacher.shape[1]:
        raise ValueError(
            f"The student has {student.shape[1]} attention heads and the "
            f"teacher {teacher.shape[1]}: relation_heads is needed, a number "
            "that divides both widths."
        )
    rows = counted(mask, reduction)
    return attention_kl(
        _relation_scores(student, rows, relation_heads),
        _relation_scores(teacher, rows, relation_heads),
        rows,
        reduction=reduction,
        clip=clip,
    )


def _relation_scores(
    x: tf.Tensor, rows: tf.Tensor, relation_heads: int
) -> tf.Tensor:
    """`X X^T / sqrt(head size)`, `[B, H, L, L]`; 0 where rows do not count."""
    x = widened(x)
    x = tf.where(rows[:, None, :, None], x, tf.zeros_like(x))
    if relation_heads:
        x = _split_anew(x, relation_heads)
    return tf.matmul(x, x, transpose_b=True) / math.sqrt(x.shape[-1])


def _split_anew(x: tf.Tensor, relation_heads: int) -> tf.Tensor:
    """`[B, H, L, d]` to `[B, relation_heads, L, H * d / relation_heads]`."""
    _, heads, length, size = x.shape
    width = heads * size
    if relation_heads < 0 or width % relation_heads:
        raise ValueError(
            f"relation_heads={relation_heads} does not divide the width "
            f"{width} ({heads} heads of {size})."
        )
    x = tf.transpose(x, [0, 2, 1, 3])
    x = tf.reshape(x, [-1, length, relation_heads, width // relation_heads])
    return tf.transpose(x, [0, 2, 1, 3])
