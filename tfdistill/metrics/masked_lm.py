"""Metrics of masked LMs.

Each `…_sums` function returns sums over a batch, which add up over batches
and replicas; `masked_lm_metrics` divides once at the end.
"""

import math
from collections.abc import Mapping

import tensorflow as tf

Sums = dict[str, tf.Tensor]


def masked_lm_sums(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
) -> Sums:
    """Sums of hits and of negative log-likelihood at masked positions.

    Args:
        logits: `[B, P, V]`.
        labels: int `[B, P]`, the original ids.
        weights: float32 `[B, P]`, 1 where a position counts.
    """
    hits = tf.cast(_best(logits) == labels, tf.float32)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return {
        "masked_hits": tf.reduce_sum(hits * weights),
        "masked_loss": tf.reduce_sum(loss * weights),
        "masked_weights": tf.reduce_sum(weights),
    }


def next_sentence_sums(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
) -> Sums:
    """Sums of hits of the next-sentence head.

    Args:
        logits: `[B, 2]`.
        labels: int `[B]`.
        weights: float32 `[B]`.
    """
    hits = tf.cast(_best(logits) == labels, tf.float32)
    return {
        "next_sentence_hits": tf.reduce_sum(hits * weights),
        "next_sentence_weights": tf.reduce_sum(weights),
    }


def teacher_sums(
    student_logits: tf.Tensor, teacher_logits: tf.Tensor, weights: tf.Tensor
) -> Sums:
    """Sums of agreement with the teacher at masked positions.

    Args:
        student_logits: `[B, P, V]`.
        teacher_logits: `[B, P, V]`.
        weights: float32 `[B, P]`.
    """
    student = tf.nn.log_softmax(student_logits)
    teacher = tf.nn.log_softmax(teacher_logits)
    divergence = tf.reduce_sum(tf.exp(teacher) * (teacher - student), -1)
    same = tf.cast(_best(student_logits) == _best(teacher_logits), tf.float32)
    return {
        "teacher_agreement": tf.reduce_sum(same * weights),
        "teacher_kl": tf.reduce_sum(divergence * weights),
        "teacher_weights": tf.reduce_sum(weights),
    }


def masked_lm_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Turn sums over a whole set into metrics.

    Returns:
        As far as there are positions to divide by: `masked_accuracy` in [0, 1],
        `masked_loss` in nats per position, `perplexity`,
        `next_sentence_accuracy`, `teacher_agreement` (share of positions
        with the teacher's top piece) and `teacher_kl` (nats per position).
    """
    metrics: dict[str, float] = {}

    def ratio(name: str, numerator: str, denominator: str) -> None:
        if sums.get(denominator):
            metrics[name] = sums[numerator] / sums[denominator]

    ratio("masked_accuracy", "masked_hits", "masked_weights")
    ratio("masked_loss", "masked_loss", "masked_weights")
    if "masked_loss" in metrics:
        # Beyond this exp overflows; such a model predicts nothing.
        metrics["perplexity"] = math.exp(min(metrics["masked_loss"], 700.0))
    ratio(
        "next_sentence_accuracy",
        "next_sentence_hits",
        "next_sentence_weights",
    )
    ratio("teacher_agreement", "teacher_agreement", "teacher_weights")
    ratio("teacher_kl", "teacher_kl", "teacher_weights")
    return metrics


def _best(logits: tf.Tensor) -> tf.Tensor:
    return tf.argmax(logits, axis=-1, output_type=tf.int32)
