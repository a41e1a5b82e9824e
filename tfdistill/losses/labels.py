"""Cross-entropy with hard labels, smoothed or not."""

import tensorflow as tf

SMOOTHINGS = ("uniform", "original", "opennmt")


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


def smoothed_cross_entropy(
    logits: tf.Tensor,
    labels: tf.Tensor,
    *,
    label_smoothing: float,
    smoothing: str = "uniform",
    padding_id: int = 1,
) -> tf.Tensor:
    """Cross-entropy with labels that share a little with all other classes.

    Args:
        logits: `[..., C]`.
        labels: int `[...]` in [0, C).
        label_smoothing: What is shared, epsilon in [0, 1).
        smoothing: `uniform`: epsilon is shared by all C classes. `original`:
            each of them, the label and the padding too, gets
            `epsilon / (C - 2)`, so that weights sum to a little more than 1,
            as the source system does beside a teacher. `opennmt`: as many
            get that, but the label and the padding none of it, as it does
            without one.
        padding_id: The class of padding, which `opennmt` leaves out.

    Returns:
        `[...]` float32, at least 0, in nats.

    Raises:
        ValueError: as `check_smoothing`.

    Reference: Szegedy et al., "Rethinking the Inception Architecture", 2016;
        Distill-BERT-Textgen, `opennmt/onmt/utils/loss.py`.
    """
    check_smoothing(label_smoothing, smoothing)
    if not label_smoothing:
        return cross_entropy(logits, labels)
    unlikely = -tf.nn.log_softmax(tf.cast(logits, tf.float32))
    own = tf.gather(unlikely, labels, batch_dims=labels.shape.rank)
    shared = tf.reduce_sum(unlikely, axis=-1)
    classes = logits.shape[-1]
    if smoothing == "opennmt":
        shared -= own + unlikely[..., padding_id]
    share = label_smoothing / (classes - (smoothing != "uniform") * 2)
    return (1.0 - label_smoothing) * own + share * shared


def check_smoothing(label_smoothing: float, smoothing: str) -> None:
    """Refuse a smoothing that is not known.

    Raises:
        ValueError: It is not, or the share is not in [0, 1).
    """
    if smoothing not in SMOOTHINGS:
        raise ValueError(
            f"Unknown smoothing {smoothing!r}. Known: {', '.join(SMOOTHINGS)}."
        )
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing={label_smoothing} is not in [0, 1).")
