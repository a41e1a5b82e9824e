"""Cross-entropy with hard labels."""

import tensorflow as tf


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of the labels.

    Args:
        logits: `[..., C]`.
        labels: int `[...]` in [0, C).

    Returns:
        `[...]` float32, at least 0, in nats.
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, tf.cast(logits, tf.float32)
    )
