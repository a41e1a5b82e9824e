"""Objectives on what the student predicts."""

import tensorflow as tf

from tfdistill.distillation.objectives.objective import (
    Bind,
    CheckedBind,
    Context,
    Known,
    Loss,
    Outputs,
    Ramp,
)
from tfdistill.losses.labels import check_smoothing, smoothed_cross_entropy
from tfdistill.losses.logits import logit_mse as logit_mse_values
from tfdistill.losses.logits import squared_error
from tfdistill.losses.reduction import Parts, check_reduction
from tfdistill.losses.soft_targets import check_divergence
from tfdistill.losses.soft_targets import soft_targets as soft_target_values
from tfdistill.losses.truncation import check_tail
from tfdistill.records import DISTRIBUTION, Batch, truncate

# The source system adds this to the sum of weights.
_ORIGINAL_EPSILON = 1e-5


def soft_targets(
    *,
    temperature: float = 1.0,
    final_temperature: float = 0.0,
    tail: str = "auto",
    scale_by_temperature: bool = True,
    divergence: str = "cross_entropy",
    sides: str = "both",
    focal: bool = False,
    k: int = 0,
    reduction: str = "mean",
) -> CheckedBind:
    """Learn the teacher's distribution; see `losses.soft_targets`.

    Args:
        temperature: T > 0.
        final_temperature: T goes straight to this one over the run; 0: it
            stays.
        tail: `left_out`, `renormalised`, `bucket` or `sampled`; `auto` is
            `sampled` where draws from the tail are stored, else `left_out`.
        scale_by_temperature: Multiply by T squared.
        divergence: `cross_entropy`, `kl`, `reverse_kl` or `jensen_shannon`.
        sides: Where the temperature is applied: `both` or `teacher`.
        focal: Weigh examples by how little of the student's mass the
            teacher's most probable class has: `2 (1 - p)`.
        k: Use only the K most probable pieces; 0: all that there are.
        reduction: `mean`, or `original` as the source system divides.
    """
    check_reduction(reduction)
    last = final_temperature or temperature

    def rule(has_draws: bool) -> str:
        if tail == "auto":
            return "sampled" if has_draws else "left_out"
        return tail

    def check(
        stored: int | None, vocabulary_size: int | None, drawn: int = 0
    ) -> None:
        is_whole = k == 0 and stored is None
        chosen = rule(drawn > 0)
        for value in (temperature, last):
            check_tail(chosen, temperature=value, is_whole=is_whole)
        check_divergence(
            divergence, sides=sides, tail=chosen, is_whole=is_whole
        )
        if chosen == "sampled" and not is_whole and not drawn:
            raise ValueError(
                "tail=sampled needs draws from the tail, which hybrid stores."
            )
        if drawn and k:
            raise ValueError(
                f"k={k} would cut pieces off that no draws stand for."
            )
        if focal and stored == 0:
            raise ValueError(
                "focal needs the most probable piece, and draws alone are "
                "stored."
            )
        most = vocabulary_size if stored is None else stored
        if k < 0 or (most is not None and k > most):
            raise ValueError(
                f"k={k}: only {most} pieces of each distribution are known."
                if k > 0
                else f"k={k} is no positive number."
            )

    # A tail rule that can never be computed is refused before any data.
    check(None, None)

    def bind(context: Context) -> Loss:
        target = context.soft_target
        if target.is_score:
            raise ValueError("scores have no distribution; use logit_mse.")
        if target.mask and k:
            raise ValueError(
                f"k={k} chooses among pieces or classes; the tokens of a text "
                "are all stored."
            )
        ramp = Ramp(temperature, last, 0, context.num_steps)

        def compute(
            student: Outputs, known: Known, batch: Batch, step: tf.Tensor
        ) -> Parts:
            teacher = known[DISTRIBUTION]
            values = soft_target_values(
                student[target.logits],
                *(truncate(teacher, k) if k else teacher),
                temperature=ramp(step),
                tail=rule(teacher.sample_ids is not None),
                scale_by_temperature=scale_by_temperature,
                divergence=divergence,
                sides=sides,
                focal=focal,
            )
            return _counted(values, batch[target.weights])

        return Loss(
            compute=compute,
            weights=lambda batch: batch[target.weights],
            student_reads=frozenset({target.logits}),
            teacher_reads=frozenset({DISTRIBUTION}),
            batch_reads=frozenset({target.weights}),
            trains=target.parts | {"encoder"},
            epsilon=_epsilon(reduction),
        )

    return CheckedBind(bind, check)


def logit_mse(*, temperature: float = 1.0) -> Bind:
    """Learn the teacher's logits: mean squared differences.

    Args:
        temperature: T > 0 that both sides are divided by.
    """
    if temperature <= 0:
        raise ValueError(f"temperature={temperature} is not positive.")

    def bind(context: Context) -> Loss:
        target = context.soft_target

        def compute(
            student: Outputs, known: Known, batch: Batch, step: tf.Tensor
        ) -> Parts:
            values = logit_mse_values(
                student[target.logits],
                known[target.logits],
                temperature=temperature,
                mask=batch[target.mask][:, None] if target.mask else None,
            )
            return _counted(values, batch[target.weights])

        return Loss(
            compute=compute,
            weights=lambda batch: batch[target.weights],
            student_reads=frozenset({target.logits}),
            teacher_reads=frozenset({target.logits}),
            batch_reads=frozenset({target.weights}),
            trains=target.parts | {"encoder"},
        )

    return bind


def labels(
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    smoothing: str = "uniform",
) -> Bind:
    """Learn hard labels by cross-entropy, or scores by squared error.

    Args:
        reduction: `mean`, or `original` as the source system divides.
        label_smoothing: What labels share with other classes, in [0, 1).
        smoothing: `uniform`, or for texts `original` or `opennmt`; see
            `losses.labels.smoothed_cross_entropy`.
    """
    check_smoothing(label_smoothing, smoothing)
    return _labelled("labels", reduction, label_smoothing, smoothing)


def next_sentence(*, reduction: str = "mean") -> Bind:
    """Learn next-sentence labels by cross-entropy.

    Args: as `labels`.
    """
    return _labelled("next_sentence", reduction)


def _labelled(
    name: str,
    reduction: str,
    label_smoothing: float = 0.0,
    smoothing: str = "uniform",
) -> Bind:
    check_reduction(reduction)

    def bind(context: Context) -> Loss:
        if name not in context.targets:
            raise ValueError("the task has no such labels.")
        target = context.targets[name]
        if label_smoothing and (target.is_score or target.mask):
            raise ValueError(
                f"label_smoothing={label_smoothing} is for classes and pieces."
            )

        def compute(
            student: Outputs, known: Known, batch: Batch, step: tf.Tensor
        ) -> Parts:
            logits, given = student[target.logits], batch[target.labels]
            values = (
                squared_error(logits[..., 0], given)
                if target.is_score
                else smoothed_cross_entropy(
                    logits,
                    given,
                    label_smoothing=label_smoothing,
                    smoothing=smoothing,
                )
            )
            weights = batch[target.weights]
            return Parts(values * weights, weights)

        return Loss(
            compute=compute,
            weights=lambda batch: batch[target.weights],
            student_reads=frozenset({target.logits}),
            batch_reads=frozenset({target.labels, target.weights}),
            trains=target.parts | {"encoder"},
            epsilon=_epsilon(reduction),
        )

    return bind


def _counted(values: tf.Tensor, weights: tf.Tensor) -> Parts:
    """Weigh values; those that share a weight are averaged first."""
    shared = range(weights.shape.rank, values.shape.rank)
    return Parts(tf.reduce_mean(values, axis=list(shared)) * weights, weights)


def _epsilon(reduction: str) -> float:
    return _ORIGINAL_EPSILON if reduction == "original" else 0.0
