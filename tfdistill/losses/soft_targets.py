"""Cross-entropy and divergences against a teacher's distribution.

Element-wise: one value per masked position, in nats. Summing, weighting and
dividing are the caller's.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tfdistill.losses.reduction import widened
from tfdistill.losses.truncation import check_tail, on_kept_pieces

SIDES = ("both", "teacher")

# Finite, so that its product with 0 is 0 in gradients as well.
_LOG_ZERO = -1e30


def _cross_entropy(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """`-sum_c p_t log p_s` of log-probabilities `[..., C]`."""
    return -_expected(teacher, student)


def _kl(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Cross-entropy less the least that it can be, so at least 0.

    `sum_c p_t (log p_t - log p_s)`; where the teacher's probabilities sum to
    S < 1, the best student has p_t / S, and is subtracted instead.
    """
    best = teacher - tf.reduce_logsumexp(teacher, axis=-1, keepdims=True)
    return _expected(teacher, best - student)


def _reverse_kl(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """`sum_c p_s (log p_s - log p_t)`, with log 0 being -1e30."""
    return _expected(student, student - tf.maximum(teacher, _LOG_ZERO))


def _jensen_shannon(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean divergence of both from their mean; at most log 2.

    `log p_t - log((p_s + p_t) / 2) = log 2 - softplus(log p_s - log p_t)`.
    """
    log_2 = math.log(2.0)
    of_teacher = log_2 - tf.math.softplus(student - teacher)
    of_student = log_2 - tf.math.softplus(teacher - student)
    return (_expected(teacher, of_teacher) + _expected(student, of_student)) / 2


DIVERGENCES: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "cross_entropy": _cross_entropy,
    "kl": _kl,
    "reverse_kl": _reverse_kl,
    "jensen_shannon": _jensen_shannon,
}
# Those that read all of the student's mass, of the same classes.
_NEED_ALL_MASS = ("reverse_kl", "jensen_shannon")


def soft_targets(
    student_logits: tf.Tensor,
    teacher_log_probs: tf.Tensor,
    teacher_ids: tf.Tensor | None = None,
    teacher_tail_log_mass: tf.Tensor | None = None,
    teacher_sample_ids: tf.Tensor | None = None,
    *,
    temperature: float | tf.Tensor = 1.0,
    tail: str = "left_out",
    scale_by_temperature: bool = True,
    divergence: str = "cross_entropy",
    sides: str = "both",
    focal: bool = False,
) -> tf.Tensor:
    """How far the student is from the teacher's distribution.

    Args:
        student_logits: `[..., V]`.
        teacher_log_probs: `[..., K]`, natural logarithms at temperature 1.
        teacher_ids: int `[..., K]`, the pieces they belong to; None where
            K = V and piece v stands at index v.
        teacher_tail_log_mass: `[...]`, logarithm of the probability of all
            other pieces; needed by `bucket` and `sampled` only.
        teacher_sample_ids: int `[..., S]`, pieces drawn from the others, each
            in proportion to its probability; needed by `sampled` only.
        temperature: T > 0; a scalar tensor where it changes in training.
        tail: What becomes of the pieces outside the K kept ones.
            `left_out`: they add nothing and the K probabilities are taken
            as they are (the source system's loss; its optimum puts all
            mass on the K pieces). `renormalised`: the K probabilities are
            scaled to sum to 1; for `reverse_kl` and `jensen_shannon` the
            student's too, so that its other mass does not count.
            `bucket`: both sides gather their mass outside the K pieces in
            one more class. `sampled`: the S draws stand for the tail, each
            with an equal share of its mass, so that over draws the mean of
            values and gradients is that of the whole distribution; pieces
            may be drawn more than once. All are the same where K = V.
        scale_by_temperature: Multiply by T squared, which keeps gradients
            of one size over temperatures where both sides have T.
        divergence: `cross_entropy` or `kl` with the teacher's distribution,
            which differ by a constant; `reverse_kl`, of the teacher's from
            the student's; or `jensen_shannon`, half the divergence of each
            from the mean of both. The latter two do not go with `left_out`,
            and `cross_entropy` alone goes with `sampled`, as others are not
            linear in the teacher's probabilities.
            `reverse_kl` is huge (infinite, but for rounding) where the
            student gives mass to what the teacher excludes.
        sides: Where T is applied: to `both`, or the `teacher` alone.
        focal: Multiply by `2 (1 - p)`, from 0 to 2, where p is what the
            student's side gives to the teacher's most probable piece. This
            weight has no gradient.

    Returns:
        `[...]` float32, or float64 as the student's. At least 0. The least
        a student can reach is 0, but for `cross_entropy` the entropy of the
        teacher's side (for `left_out`, with S the kept mass and p the kept
        probabilities: S times the entropy of p / S). `jensen_shannon` is at
        most log 2, times T squared where scaled. All of that is without
        the focal weight.

    Raises:
        ValueError: as `check_tail` and `check_divergence`; or what the tail
            rule needs is not given.

    Reference: Hinton et al., "Distilling the Knowledge in a Neural
        Network", 2015; Transformer_Distillation for `left_out`; Chen et
        al., "Distilling Knowledge Learned in BERT for Text Generation",
        2020, for the teacher's side alone; the code of Tang et al., 2019,
        for the focal weight.
    """
    is_whole = teacher_ids is None
    check_tail(tail, temperature=temperature, is_whole=is_whole)
    check_divergence(divergence, sides=sides, tail=tail, is_whole=is_whole)
    student = widened(student_logits)
    is_one = not tf.is_tensor(temperature) and temperature == 1
    temperature = tf.cast(temperature, student.dtype)
    if sides == "both" and not is_one:
        student /= temperature
    teacher = tf.cast(teacher_log_probs, student.dtype)
    if is_whole:
        student = tf.nn.log_softmax(student)
        teacher = tf.nn.log_softmax(teacher / temperature)
    else:
        student, teacher = on_kept_pieces(
            student,
            teacher,
            teacher_ids,
            teacher_tail_log_mass,
            teacher_sample_ids,
            temperature=temperature,
            tail=tail,
            renormalise_student=divergence in _NEED_ALL_MASS,
        )
    values = DIVERGENCES[divergence](student, teacher)
    if focal:
        best = tf.argmax(teacher_log_probs, axis=-1)
        given = tf.gather(student, best, batch_dims=best.shape.rank)
        values *= 2 * (1 - tf.stop_gradient(tf.exp(given)))
    return values * temperature**2 if scale_by_temperature else values


def check_divergence(
    divergence: str, *, sides: str, tail: str, is_whole: bool
) -> None:
    """Refuse a divergence that cannot be computed.

    Raises:
        ValueError: It or the sides are not known, or it needs all of the
            student's mass and the tail rule leaves some out, or
            probabilities that draws do not have.
    """
    if divergence not in DIVERGENCES:
        raise ValueError(
            f"Unknown divergence {divergence!r}. "
            f"Known: {', '.join(DIVERGENCES)}."
        )
    if sides not in SIDES:
        raise ValueError(f"Unknown sides {sides!r}. Known: {', '.join(SIDES)}.")
    if divergence in _NEED_ALL_MASS and tail == "left_out" and not is_whole:
        raise ValueError(
            f"divergence={divergence} compares all mass of both sides, and "
            "tail=left_out drops some; it needs tail=renormalised, "
            "tail=bucket or the whole distribution."
        )
    if tail == "sampled" and divergence != "cross_entropy" and not is_whole:
        raise ValueError(
            f"divergence={divergence} needs more of the tail than draws; "
            "tail=sampled goes with divergence=cross_entropy."
        )


def _expected(log_probs: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`sum_c p_c values_c`, where 0 times anything is 0."""
    return tf.reduce_sum(
        tf.math.multiply_no_nan(values, tf.exp(log_probs)), axis=-1
    )
