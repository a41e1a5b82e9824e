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
        student: `[..., V]`, logits.
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
    kept_ids = tf.convert_to_tensor(teacher_ids)
    drawn_ids = kept_ids[..., :0]
    if tail == "sampled":
        if teacher_sample_ids is None:
            raise ValueError("tail=sampled needs draws from the tail.")
        drawn_ids = tf.convert_to_tensor(teacher_sample_ids)
    kept, rest, drawn = _log_probs(student, kept_ids, drawn_ids)
    if tail == "renormalised":
        if renormalise_student:
            kept = tf.nn.log_softmax(kept)
        return kept, tf.nn.log_softmax(teacher / temperature)
    if tail == "left_out":
        return kept, teacher
    if teacher_tail_log_mass is None:
        raise ValueError(f"tail={tail} needs the tail's mass.")
    mass = tf.cast(teacher_tail_log_mass, teacher.dtype)[..., None]
    if tail == "sampled":
        share = mass - tf.math.log(float(drawn_ids.shape[-1]))
        return (
            tf.concat([kept, drawn], axis=-1),
            tf.concat([teacher, share + tf.zeros_like(drawn)], axis=-1),
        )
    return (
        tf.concat([kept, rest[..., None]], axis=-1),
        tf.concat([teacher, mass], axis=-1),
    )


def _log_probs(
    logits: tf.Tensor, kept: tf.Tensor, drawn: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Log-probabilities of some pieces, without those of all others.

    A distribution over V takes more time than a small student's layers, so
    this goes over V as seldom as can be: of what is outside the kept pieces
    one copy is made, and one gradient.

    Args:
        logits: `[..., V]`.
        kept: int `[..., K]`, pieces, each once.
        drawn: int `[..., S]`, others, each as often as you like.

    Returns:
        Of the kept ones `[..., K]`, of all others together `[...]`, and of
        the drawn ones `[..., S]`. The second is summed over these others,
        as 1 minus the mass inside would lose a small rest to rounding.
    """
    rows = tf.reshape(logits, [-1, logits.shape[-1]])
    inside, sampled = _places(kept), _places(drawn)
    nothing = tf.fill([tf.shape(inside)[0]], tf.constant(_NOTHING, rows.dtype))

    @tf.custom_gradient
    def compute(rows: tf.Tensor) -> tuple[tuple, Callable]:
        outside = tf.tensor_scatter_nd_update(rows, inside, nothing)
        largest = tf.reduce_max(outside, axis=-1)
        shift = tf.where(tf.math.is_finite(largest), largest, 0)
        masses = tf.exp(outside - shift[:, None])
        total = tf.reduce_sum(masses, axis=-1)
        rest = tf.math.log(total) + shift
        own, others = (
            tf.reshape(tf.gather_nd(rows, x), [tf.shape(rows)[0], -1])
            for x in (inside, sampled)
        )
        whole = tf.reduce_logsumexp(
            tf.concat([own, rest[:, None]], axis=-1), axis=-1
        )
        found = (
            own - whole[:, None],
            rest - whole,
            others - whole[:, None],
        )

        def gradient(*upstream: tf.Tensor) -> tf.Tensor:
            of_own, of_rest, of_others = upstream
            summed = (
                tf.reduce_sum(of_own, axis=-1)
                + of_rest
                + tf.reduce_sum(of_others, axis=-1)
            )
            # Where all is inside, what is left has no gradient.
            is_any = largest > _NOTHING / 2
            share = of_rest - summed * tf.exp(found[1])
            share = tf.where(is_any, share / total, 0)
            of_own -= summed[:, None] * tf.exp(found[0])
            # Inside, masses are 0. Each scattering makes a copy.
            return tf.tensor_scatter_nd_add(
                masses * share[:, None],
                tf.concat([inside, sampled], axis=0),
                tf.concat(
                    [tf.reshape(x, [-1]) for x in (of_own, of_others)], 0
                ),
            )

        return found, gradient

    of_kept, of_rest, of_drawn = compute(rows)
    return (
        tf.reshape(of_kept, tf.shape(kept)),
        tf.reshape(of_rest, tf.shape(kept)[:-1]),
        tf.reshape(of_drawn, tf.shape(drawn)),
    )


def _places(ids: tf.Tensor) -> tf.Tensor:
    """Returns rows and columns `[N, 2]` of `[..., K]` ids."""
    flat = tf.reshape(tf.cast(ids, tf.int32), [-1, ids.shape[-1]])
    rows = tf.range(tf.shape(flat)[0])[:, None] + tf.zeros_like(flat)
    return tf.reshape(tf.stack([rows, flat], axis=-1), [-1, 2])
