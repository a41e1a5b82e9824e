"""Cross-entropy and divergence against a teacher's distribution.

Element-wise: one value per masked position, in nats. Summing, weighting and
dividing are the caller's.
"""

import tensorflow as tf

TAILS = ("left_out", "renormalised", "bucket")


def soft_targets(
    student_logits: tf.Tensor,
    teacher_log_probs: tf.Tensor,
    teacher_ids: tf.Tensor | None = None,
    teacher_tail_log_mass: tf.Tensor | None = None,
    *,
    temperature: float = 1.0,
    tail: str = "left_out",
    scale_by_temperature: bool = True,
) -> tf.Tensor:
    """Cross-entropy of the student with the teacher's distribution.

    Args:
        student_logits: `[..., V]`.
        teacher_log_probs: `[..., K]`, natural logarithms at temperature 1.
        teacher_ids: int `[..., K]`, the pieces they belong to; None where
            K = V and piece v stands at index v.
        teacher_tail_log_mass: `[...]`, logarithm of the probability of all
            other pieces; needed by the bucket only.
        temperature: T > 0, applied to both sides.
        tail: What becomes of the pieces outside the K kept ones.
            `left_out`: they add nothing and the K probabilities are taken
            as they are (the source system's loss; its optimum puts all
            mass on the K pieces). `renormalised`: the K probabilities are
            scaled to sum to 1. `bucket`: both sides gather their mass
            outside the K pieces in one more class. All are the same where
            K = V.
        scale_by_temperature: Multiply by T squared, which keeps gradients
            of one size over temperatures.

    Returns:
        `[...]` float32. The least a student can reach is the entropy of the
        teacher's side (for `left_out`, with S the kept mass and p the kept
        probabilities: S times the entropy of p / S).

    Raises:
        ValueError: The rule is not known, or needs the tail's mass at
            another temperature than 1, where it is not known.

    Reference: Hinton et al., "Distilling the Knowledge in a Neural
        Network", 2015; Transformer_Distillation for `left_out`.
    """
    check_tail(tail, temperature=temperature, is_whole=teacher_ids is None)
    student = tf.nn.log_softmax(
        tf.cast(student_logits, tf.float32) / temperature
    )
    teacher = tf.cast(teacher_log_probs, tf.float32)
    if teacher_ids is None:
        teacher = tf.nn.log_softmax(teacher / temperature)
    else:
        teacher_ids = tf.convert_to_tensor(teacher_ids)
        batch_dims = teacher_ids.shape.rank - 1
        kept = tf.gather(student, teacher_ids, batch_dims=batch_dims)
        if tail == "renormalised":
            teacher = tf.nn.log_softmax(teacher / temperature)
        elif tail == "bucket":
            if teacher_tail_log_mass is None:
                raise ValueError("The bucket needs the tail's mass.")
            teacher = tf.concat(
                [teacher, teacher_tail_log_mass[..., None]], axis=-1
            )
            kept = tf.concat(
                [kept, _log_mass_outside(student, teacher_ids)[..., None]],
                axis=-1,
            )
        student = kept
    values = -tf.reduce_sum(tf.exp(teacher) * student, axis=-1)
    return values * temperature**2 if scale_by_temperature else values


def check_tail(tail: str, *, temperature: float, is_whole: bool) -> None:
    """Refuse a tail rule that cannot be computed.

    Raises:
        ValueError: as `soft_targets`.
    """
    if tail not in TAILS:
        raise ValueError(f"Unknown tail {tail!r}. Known: {', '.join(TAILS)}.")
    if temperature <= 0:
        raise ValueError(f"temperature={temperature} is not positive.")
    if not is_whole and tail != "renormalised" and temperature != 1:
        raise ValueError(
            f"tail={tail} needs the teacher's mass outside the stored "
            f"pieces, which is known at temperature 1 only; temperature="
            f"{temperature} needs tail=renormalised or the whole "
            "distribution."
        )


def _log_mass_outside(log_probs: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Logarithm of the mass that `[..., V]` puts outside `[..., K]` ids.

    Summed over what is outside, as 1 minus the mass inside would lose a
    small rest to rounding.
    """
    shape = tf.shape(log_probs)
    depth = log_probs.shape[-1]
    rows = tf.reshape(log_probs, [-1, depth])
    flat = tf.reshape(ids, [tf.shape(rows)[0], -1])
    index = tf.stack(
        [
            tf.repeat(tf.range(tf.shape(flat)[0]), tf.shape(flat)[1]),
            tf.reshape(tf.cast(flat, tf.int32), [-1]),
        ],
        axis=1,
    )
    outside = tf.tensor_scatter_nd_update(
        rows,
        index,
        tf.fill([tf.shape(index)[0]], tf.constant(-1e30, rows.dtype)),
    )
    return tf.reshape(tf.reduce_logsumexp(outside, axis=-1), shape[:-1])
