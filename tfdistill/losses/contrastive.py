"""Contrastive representation distillation (CRD).

A student's embedding of an example should be nearer to the teacher's of the
same example than to those of examples with other labels, and the other way
round. Embeddings of all training examples are kept in one bank for each
side; banks, and when they change, are the caller's.

Embeddings have length 1; `geometry.unit` makes them so.

Shapes: F is the width of an embedding, K the number of negatives. Candidate
0 of an example is the example itself.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.losses.geometry import unit
from tfdistill.losses.reduction import Parts, kept, summed, widened

TEMPERATURE = 0.07
MOMENTUM = 0.5
_EPSILON = 1e-7


def crd(
    student_embedded: tf.Tensor,
    teacher_embedded: tf.Tensor,
    student_rows: tf.Tensor,
    teacher_rows: tf.Tensor,
    student_normaliser: tf.Tensor,
    teacher_normaliser: tf.Tensor,
    is_real: tf.Tensor,
    *,
    num_data: int,
    temperature: float = TEMPERATURE,
) -> Parts:
    """Noise-contrastive loss of both sides' embeddings, averaged.

    Args:
        student_embedded: `[B, F]` of length 1.
        teacher_embedded: `[B, F]` of length 1.
        student_rows: `[B, K + 1, F]`, the candidates in the student's bank.
        teacher_rows: `[B, K + 1, F]`, the same in the teacher's bank.
        student_normaliser: Scalar, of the scores of the student's
            embeddings with the teacher's bank; see `crd_normaliser`.
        teacher_normaliser: Scalar, of the teacher's embeddings with the
            student's bank.
        is_real: `[B]`, 1 where an example is none to fill a batch up.
        num_data: Rows of a bank.
        temperature: Greater than 0.

    Returns:
        Parts with weight 1 for every real example, as the published code.
        Greater than 0; the least value is not known in closed form.

    Raises:
        ValueError: The temperature is not positive.

    Reference: Tian et al., "Contrastive Representation Distillation", 2020.
    """
    is_real = tf.cast(is_real, tf.bool)
    student = kept(widened(student_embedded), is_real)
    teacher = kept(tf.cast(teacher_embedded, student.dtype), is_real)
    ours = crd_scores(student, teacher_rows, temperature)
    theirs = crd_scores(teacher, student_rows, temperature)
    values = nce(ours, student_normaliser, num_data) + nce(
        theirs, teacher_normaliser, num_data
    )
    return summed(values / 2, is_real)


def crd_scores(
    anchor: tf.Tensor,
    candidates: tf.Tensor,
    temperature: float = TEMPERATURE,
) -> tf.Tensor:
    """Unnormalised likelihood that candidates belong to an anchor.

    Args:
        anchor: `[B, F]` of length 1.
        candidates: `[B, K + 1, F]`.
        temperature: Greater than 0.

    Returns:
        `[B, K + 1]`, `exp(candidate . anchor / temperature)`.

    Raises:
        ValueError: The temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"temperature={temperature} is not positive.")
    anchor = widened(anchor)
    candidates = tf.cast(candidates, anchor.dtype)
    products = tf.einsum("bf,bkf->bk", anchor, candidates)
    return tf.exp(products / temperature)


def crd_normaliser(
    scores: tf.Tensor, is_real: tf.Tensor, num_data: int
) -> Parts:
    """What turns scores into probabilities over a bank.

    It is set from the first global batch, mean score times rows of a bank,
    and stays so from then on.

    Args:
        scores: `[B, K + 1]` from `crd_scores`.
        is_real: `[B]`, 1 where an example is none to fill a batch up.
        num_data: Rows of a bank.

    Returns:
        Parts: the normaliser is `sum(values) / sum(weights)` over the whole
        global batch.
    """
    means = tf.reduce_mean(widened(scores), axis=1)
    return summed(means * num_data, tf.cast(is_real, tf.bool))


def nce(
    scores: tf.Tensor,
    normaliser: tf.Tensor,
    num_data: int,
    epsilon: float = _EPSILON,
) -> tf.Tensor:
    """Cost of telling the positive candidate from the negatives.

    With `o = scores / normaliser` and `c = K / num_data`:
    `-log(o_0 / (o_0 + c + epsilon)) - sum_k log(c / (o_k + c + epsilon))`.

    Args:
        scores: `[B, K + 1]`, the positive one first.
        normaliser: Scalar greater than 0.
        num_data: Rows of a bank.
        epsilon: Keeps the logarithms finite; it also is the least `o_0`.

    Returns:
        `[B]`, at least 0, in nats.

    Reference: Gutmann and Hyvärinen, "Noise-contrastive estimation", 2010.
    """
    scores = widened(scores) / tf.cast(normaliser, scores.dtype)
    noise = (scores.shape[1] - 1) / num_data
    positive, negatives = scores[:, 0], scores[:, 1:]
    # Published as: what is exactly 0 is lifted.
    positive = tf.where(
        positive == 0, tf.constant(epsilon, positive.dtype), positive
    )
    found = tf.math.log(positive / (positive + noise + epsilon))
    refused = tf.math.log(noise / (negatives + noise + epsilon))
    return -found - tf.reduce_sum(refused, axis=1)


def update_rows(
    old: tf.Tensor, new: tf.Tensor, momentum: float = MOMENTUM
) -> tf.Tensor:
    """Rows of a bank after a step.

    Args:
        old: `[B, F]`, what the bank holds.
        new: `[B, F]` of length 1, what was computed.
        momentum: Share of the old rows, in [0, 1].

    Returns:
        `[B, F]` of length 1, in the bank's type.
    """
    return unit(momentum * old + (1 - momentum) * tf.cast(new, old.dtype))


class LabelGroups(NamedTuple):
    """Training examples ordered by their labels; see `group_by_label`.

    Attributes:
        order: int `[N]`, rows such that those of one label are neighbours.
        group: int `[N]`, the group of every row.
        starts: int, where every group begins in `order`.
        sizes: int, rows of every group.
    """

    order: np.ndarray
    group: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray


def group_by_label(labels: np.ndarray) -> LabelGroups:
    """Prepare for `other_label_negatives`, once for a training set.

    Args:
        labels: `[N]`, the label of every row.
    """
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return LabelGroups(
        np.argsort(group, kind="stable"), group, np.cumsum(sizes) - sizes, sizes
    )


def other_label_negatives(
    groups: LabelGroups,
    rows: np.ndarray,
    num_negatives: int,
    *,
    seed: int,
    step: int,
) -> np.ndarray:
    """Draw training examples that have another label.

    Draws are uniform, without replacement unless there are fewer than
    `num_negatives`, and depend on `seed`, `step` and the row alone, not on
    the batch that it is in.

    Args:
        groups: The training examples.
        rows: int `[B]`, what negatives are drawn for.
        num_negatives: K.
        seed: Of the run, at least 0.
        step: At least 0.

    Returns:
        int64 `[B, K]`.

    Raises:
        ValueError: There is one label only.
    """
    if len(groups.sizes) < 2:
        raise ValueError(
            "Negatives have another label, and all training examples have "
            "the same."
        )
    negatives = np.empty((len(rows), num_negatives), np.int64)
    for drawn, row in zip(negatives, rows, strict=True):
        group = groups.group[row]
        start, size = groups.starts[group], groups.sizes[group]
        others = len(groups.order) - size
        places = np.random.default_rng([seed, step, int(row)]).choice(
            others, num_negatives, replace=others < num_negatives
        )
        # `order` without the row's own group, which is not made.
        drawn[:] = groups.order[places + size * (places >= start)]
    return negatives
