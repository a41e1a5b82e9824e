"""Objectives: losses bound to what a task's models and batches hold.

`OBJECTIVES` maps the name in `--objective='name(weight=…, …)'` to a function
that makes an `Objective` for a task's target. The function's keyword
parameters are the spec's arguments.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfdistill.config import parse_spec
from tfdistill.losses import LOSSES, check_tail
from tfdistill.records import Batch, Distribution, truncate

REDUCTIONS = ("mean", "original")
# The source system adds this to the sum of weights.
_ORIGINAL_EPSILON = 1e-5

Outputs = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """A weighted loss over the whole global batch.

    Its contribution is `weight * sum(values * weights) / (sum(weights) +
    epsilon)`, with sums over all replicas and micro-batches; 0 where all
    weights are 0.

    Attributes:
        name: For summaries.
        weight: Factor in the total loss.
        reads: Field of the student's outputs that it reads.
        labels: Feature of a batch that it reads.
        is_soft: Whether it reads the teacher's distribution.
        values: From outputs, batch and the teacher's distribution (or None)
            to values of the weights' shape.
        weights: Feature of a batch, 1.0 where a value counts.
        epsilon: Added to the sum of weights.
        part: Part of the model that makes what it reads.
        check: Called before training with the K pieces that are known of
            each distribution (None: all) and V. Raises ValueError where
            values cannot be computed from them.
    """

    name: str
    weight: float
    reads: str
    labels: str
    is_soft: bool
    values: Callable[[Outputs, Batch, Distribution | None], tf.Tensor]
    weights: str
    epsilon: float
    part: str
    check: Callable[[int | None, int], None] = lambda stored, size: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Binding:
    """What an objective binds to; the fields of a task's `Target`."""

    logits: str
    labels: str
    weights: str
    part: str


def soft_targets(
    binding: Binding,
    *,
    weight: float = 1.0,
    temperature: float = 1.0,
    tail: str = "left_out",
    scale_by_temperature: bool = True,
    k: int = 0,
    reduction: str = "mean",
) -> Objective:
    """Learn the teacher's distribution; see `losses.soft_targets`.

    Args:
        binding: What it is about.
        weight: Factor in the total loss.
        temperature: T > 0.
        tail: `left_out`, `renormalised` or `bucket`.
        scale_by_temperature: Multiply by T squared.
        k: Use only the K most probable pieces; 0: all that there are.
        reduction: `mean`, or `original` as the source system divides.
    """
    # A tail rule that can never be computed is refused before any data.
    check_tail(tail, temperature=temperature, is_whole=k == 0)
    if type(k) is not int or k < 0:
        raise ValueError(f"soft_targets(k={k}): k is no positive number.")

    def check(stored: int | None, vocabulary_size: int) -> None:
        check_tail(
            tail,
            temperature=temperature,
            is_whole=k == 0 and stored is None,
        )
        most = vocabulary_size if stored is None else stored
        if k > most:
            raise ValueError(
                f"soft_targets(k={k}): only {most} pieces of each "
                "distribution are known."
            )

    def values(
        outputs: Outputs, batch: Batch, teacher: Distribution | None
    ) -> tf.Tensor:
        if teacher is None:
            raise ValueError("soft_targets needs a teacher.")
        if k:
            teacher = truncate(teacher, k)
        return LOSSES["soft_targets"](
            outputs[binding.logits],
            *teacher,
            temperature=temperature,
            tail=tail,
            scale_by_temperature=scale_by_temperature,
        )

    objective = _objective(
        "soft_targets", binding, weight, reduction, values, is_soft=True
    )
    return dataclasses.replace(objective, check=check)


def labels(
    binding: Binding, *, weight: float = 1.0, reduction: str = "mean"
) -> Objective:
    """Learn hard labels by cross-entropy.

    Args:
        binding: What it is about.
        weight: Factor in the total loss.
        reduction: `mean`, or `original` as the source system divides.
    """
    return _labelled("labels", binding, weight, reduction)


def next_sentence(
    binding: Binding, *, weight: float = 1.0, reduction: str = "mean"
) -> Objective:
    """Learn next-sentence labels by cross-entropy.

    Args: as `labels`.
    """
    return _labelled("next_sentence", binding, weight, reduction)


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "soft_targets": soft_targets,
    "labels": labels,
    "next_sentence": next_sentence,
}


def make_objectives(
    specs: tuple[str, ...],
    targets: Mapping[str, Any],
    soft_target: Any,
) -> list[Objective]:
    """Make the objectives that specs name, for a task's targets.

    Args:
        specs: Such as `soft_targets(weight=0.5, temperature=2)`.
        targets: A task's label targets, by the objective's name.
        soft_target: What soft targets are about.

    Raises:
        ValueError: A spec is wrong, a target is missing, or there is none.
    """
    if not specs:
        raise ValueError(
            "--objective is needed, for instance soft_targets(weight=1). "
            f"Known: {', '.join(OBJECTIVES)}."
        )
    objectives: list[Objective] = []
    for text in specs:
        spec = parse_spec(text, OBJECTIVES)
        target = targets.get(spec.name, soft_target)
        binding = Binding(**dataclasses.asdict(target))
        objective = OBJECTIVES[spec.name](binding, **spec.arguments)
        same = sum(o.name.split("_#")[0] == spec.name for o in objectives)
        if same:
            objective = dataclasses.replace(
                objective, name=f"{spec.name}_#{same + 1}"
            )
        objectives.append(objective)
    return objectives


def _labelled(
    name: str, binding: Binding, weight: float, reduction: str
) -> Objective:
    def values(
        outputs: Outputs, batch: Batch, teacher: Distribution | None
    ) -> tf.Tensor:
        return LOSSES[name](outputs[binding.logits], batch[binding.labels])

    return _objective(name, binding, weight, reduction, values, is_soft=False)


def _objective(
    name: str,
    binding: Binding,
    weight: float,
    reduction: str,
    values: Callable[[Outputs, Batch, Distribution | None], tf.Tensor],
    *,
    is_soft: bool,
) -> Objective:
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"Unknown reduction {reduction!r}. Known: {', '.join(REDUCTIONS)}."
        )
    if not isinstance(weight, int | float) or weight < 0:
        raise ValueError(
            f"{name}(weight={weight}) is no weight: at least 0 is expected."
        )
    return Objective(
        name=name,
        weight=float(weight),
        reads=binding.logits,
        labels=binding.labels,
        is_soft=is_soft,
        values=values,
        weights=binding.weights,
        epsilon=_ORIGINAL_EPSILON if reduction == "original" else 0.0,
        part=binding.part,
    )
