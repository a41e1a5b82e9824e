"""Teacher's distributions of which only the K most probable pieces are known.

A tail rule turns both sides into log-probabilities of the same classes.
"""

from collections.abc import Callable

import tensorflow as tf

TAILS = ("left_out", "renormalised", "bucket", "sampled")
# The logarithm of no probability, finite so that sums of it are.
_NOTHING = -1e30


def check_tail(
    tail: str, *, temperature: float | tf.Tensor, is_whole: bool
) -> None:
    """Refuse a tail rule that cannot be computed.

    Args:
        tail: One of `TAILS`.
        temperature: T > 0; what a tensor holds is not known, nor checked.
        is_whole: Whether all pieces are known.

    Raises:
        ValueError: The rule is not known, or needs the tail's mass at
            another temperature than 1, where it is not known.
    """
    if tail not in TAILS:
        raise ValueError(f"Unknown tail {tail!r}. Known: {', '.join(TAILS)}.")
    if tf.is_tensor(temperature):
        return
    if temperature <= 0:
        raise ValueError(f"temperature={temperature} is not positive.")
    if not is_whole and tail != "renormalised" and temperature != 1:
        raise ValueError(
            f"tail={tail} needs the teacher's mass outside the stored "
            f"pieces, which is known at temperature 1 only; temperature="
            f"{temperature} needs tail=renormalised or the whole "
            "distribution."
        )


def on_kept_pieces(
    student: tf.Tensor,
    teacher: tf.Tensor,
    teacher_ids: tf.Tensor,
    teacher_tail_log_mass: tf.Tensor | None,
    teacher_sample_ids: tf.Tensor | None,
    *,
    temperature: float | tf.Tensor,
    tail: str,
    renormalise_student: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Log-probabilities of the K kept pieces and of what stands for the rest.

    Args:
        student: `[..., V]`, log-probabilities.
        teacher: `[..., K]`, log-probabilities at temperature 1.
        teacher_ids: int `[..., K]`, the pieces they belong to.
        teacher_tail_log_mass: `[...]`, logarithm of the probability of all
            other pieces; needed by the bucket and by draws.
        teacher_sample_ids: int `[..., S]`, pieces drawn from the others.
        temperature: T > 0 of the teacher.
        tail: `left_out`: the K probabilities as they are. `renormalised`:
            the teacher's scaled to sum to 1. `bucket`: one more class, in
            which both sides gather their mass outside the K pieces.
            `sampled`: each draw is a class, with an equal share of the
            teacher's mass outside; pieces may be drawn more than once.
        renormalise_student: Whether `renormalised` scales the student's
            too.

    Returns:
        Student's and teacher's, `[..., K]`, or `[..., K + 1]` for a bucket,
        `[..., K + S]` with draws.

    Raises:
        ValueError: The tail's mass, or draws from it, are needed and not
            given.
    """
    teacher_ids = tf.convert_to_tensor(teacher_ids)
    kept = tf.gather(
        student, teacher_ids, batch_dims=teacher_ids.shape.rank - 1
    )
    if tail == "renormalised":
        if renormalise_student:
            kept = tf.nn.log_softmax(kept)
        return kept, tf.nn.log_softmax(teacher / temperature)
    if tail == "left_out":
        return kept, teacher
    if teacher_tail_log_mass is None:
        raise ValueError(f"tail={tail} needs the tail's mass.")
    rest = tf.cast(teacher_tail_log_mass, teacher.dtype)[..., None]
    if tail == "sampled":
        if teacher_sample_ids is None:
            raise ValueError("tail=sampled needs draws from the tail.")
        ids = tf.convert_to_tensor(teacher_sample_ids)
        drawn = tf.gather(student, ids, batch_dims=ids.shape.rank - 1)
        share = rest - tf.math.log(float(ids.shape[-1]))
        return (
            tf.concat([kept, drawn], axis=-1),
            tf.concat([teacher, share + tf.zeros_like(drawn)], axis=-1),
        )
    student_rest = _log_mass_outside(student, teacher_ids)[..., None]
    return (
        tf.concat([kept, student_rest], axis=-1),
        tf.concat([teacher, rest], axis=-1),
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
    nothing = tf.fill([tf.shape(index)[0]], tf.constant(_NOTHING, rows.dtype))

    # What autodiff would do beside is four more passes over all V.
    @tf.custom_gradient
    def log_sum(rows: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        outside = tf.tensor_scatter_nd_update(rows, index, nothing)
        largest = tf.reduce_max(outside, axis=-1)
        shift = tf.where(tf.math.is_finite(largest), largest, 0)
        masses = tf.exp(outside - shift[:, None])
        total = tf.reduce_sum(masses, axis=-1)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # Where all is inside, what is left has no gradient.
            is_any = largest > _NOTHING / 2
            share = tf.where(is_any, upstream / total, 0)
            return masses * share[:, None]

        return tf.math.log(total) + shift, gradient

    return tf.reshape(log_sum(rows), shape[:-1])
