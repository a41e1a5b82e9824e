"""Objectives: weighted losses over what models and batches hold.

A spec such as `hidden_mse(weight=0.5, layers=skip)` is declared before any
model is there, which refuses what can never be computed, and bound to a task
and the shapes of both models when these are known.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfdistill.config import parse_spec
from tfdistill.losses.reduction import Parts
from tfdistill.models.configuration import BertConfig
from tfdistill.records import Batch

Outputs = Mapping[str, Any]
# What is known of the teacher: its outputs, and `distribution`.
Known = Mapping[str, Any]
# From the student's outputs, what is known of the teacher, a batch and the
# step (float32 scalar) to values and weights.
Compute = Callable[[Outputs, Known, Batch, tf.Tensor], Parts]

# What an objective may need of a teacher, beside its `DISTRIBUTION`: its
# logits, or what is inside of it.
LOGITS = "logits"
FEATURES = "features"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What objectives are bound to.

    Attributes:
        targets: A task's label targets, by the objective's name.
        soft_target: What objectives on the teacher's distribution are about.
        student: Shape of the student; None: it has no layers to compare.
        teacher: Shape of the teacher, live or recorded, if it is known.
        example_labels: Reads a label of each record, int `[N]`, where
            records have one.
        scope: Variables made in it exist on every replica.
        num_steps: Steps of the run.
        seed: Of projections and random layers.
    """

    targets: Mapping[str, Any]
    soft_target: Any
    student: BertConfig | None
    teacher: BertConfig | None
    num_steps: int
    seed: int
    example_labels: Callable[[], np.ndarray] | None = None
    scope: Callable[[], AbstractContextManager] = nullcontext


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """What a loss keeps of examples from step to step.

    The loss reads it as it was before the step; it is changed afterwards,
    outside of the step's graph and with the whole global batch, and so in
    training only and alike in all processes.

    Attributes:
        variables: What it is made of, by name; they are no replicas'.
        first_sums: As `Compute`, to sums over the first global batch of a
            run, any structure.
        settle: Called with these sums before the first step.
        remember: From outputs, what is known and a batch to what is to be
            kept, tensors `[B, …]`.
        store: Called after a step with the records' numbers, int64 `[B]`,
            and what is to be kept of the global batch.
    """

    variables: Mapping[str, keras.Variable]
    first_sums: Callable[[Outputs, Known, Batch, tf.Tensor], Any]
    settle: Callable[[Any], None]
    remember: Callable[[Outputs, Known, Batch], list[tf.Tensor]]
    store: Callable[[tf.Tensor, list[tf.Tensor]], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """What an objective computes, bound to a task and two models.

    It is `sum(values) / (sum(weights) + epsilon)`, with sums over the whole
    global batch, all replicas and micro-batches; 0 where all weights are 0.

    Attributes:
        compute: See `Compute`.
        weights: The weights alone, from a batch alone.
        student_reads: Fields of the student's outputs.
        teacher_reads: Fields of the teacher's outputs, or `DISTRIBUTION`.
        batch_reads: Features of the batch.
        trains: Parts of the student that it gives gradients to.
        epsilon: Added to the sum of weights.
        variables: Learnt with the student and not kept, by name.
        memory: What it keeps from step to step, if anything.
    """

    compute: Compute
    weights: Callable[[Batch], tf.Tensor]
    student_reads: frozenset[str]
    teacher_reads: frozenset[str] = frozenset()
    batch_reads: frozenset[str] = frozenset()
    trains: frozenset[str] = frozenset({"encoder"})
    epsilon: float = 0.0
    variables: Mapping[str, keras.Variable] = dataclasses.field(
        default_factory=dict
    )
    memory: Memory | None = None


@dataclasses.dataclass(frozen=True)
class Ramp:
    """A number that goes straight from one value to another over steps."""

    first: float
    last: float
    first_step: int
    last_step: int

    def __call__(self, step: tf.Tensor) -> tf.Tensor | float:
        """Returns the value at a step, a float32 scalar."""
        if self.first == self.last:
            return self.first
        share = (step - self.first_step) / max(
            self.last_step - self.first_step, 1
        )
        share = tf.clip_by_value(share, 0.0, 1.0)
        return self.first + (self.last - self.first) * share


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """A loss and its weight in the total, which may change over steps.

    Attributes:
        name: For summaries.
        loss: What is computed.
        ramp: Its weight while it counts.
        start_step: First step at which it counts.
        end_step: First step at which it does so no more.
    """

    name: str
    loss: Loss
    ramp: Ramp
    start_step: int
    end_step: int


# Binds a loss; raises ValueError where the models do not allow it.
Bind = Callable[[Context], Loss]


@dataclasses.dataclass(frozen=True)
class CheckedBind:
    """Binds a loss that not every knowledge will do for.

    Attributes:
        bind: Binds it.
        check: Called before any model is there; see `Declared.check`.
    """

    bind: Bind
    check: Callable[[int | None, int, int], None]

    def __call__(self, context: Context) -> Loss:
        """As `Bind`."""
        return self.bind(context)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of objective.

    Attributes:
        declare: Its keyword parameters are the spec's own arguments; it
            raises ValueError if they make no sense, and returns what binds
            the loss; or, for a composition, the losses by name.
        needs: What it needs of a teacher: "" (nothing), `DISTRIBUTION`,
            `LOGITS` or `FEATURES`.
    """

    declare: Callable[..., Bind | Mapping[str, Bind]]
    needs: str = ""


@dataclasses.dataclass(frozen=True)
class Declared:
    """An objective that is not bound yet."""

    name: str
    needs: str
    bind: Bind
    timing: Mapping[str, Any]

    def check(self, stored: int | None, size: int, drawn: int) -> None:
        """Refuse knowledge that the loss cannot be computed from.

        Args:
            stored: Pieces K known of each distribution; None: all.
            size: Pieces or classes V.
            drawn: Draws from the other pieces.
        """
        if isinstance(self.bind, CheckedBind):
            try:
                self.bind.check(stored, size, drawn)
            except ValueError as error:
                raise ValueError(f"--objective={self.name}: {error}") from None


def _timing(
    *,
    weight: float = 1.0,
    final_weight: float = -1.0,
    start_step: int = 0,
    end_step: int = 0,
) -> dict[str, Any]:
    """The arguments that all objectives take.

    Args:
        weight: Factor in the total loss.
        final_weight: The weight goes straight to this one until `end_step`;
            -1: it stays.
        start_step: First step at which the objective counts.
        end_step: First step at which it counts no more; 0: the last one's
            end.
    """
    if weight < 0:
        raise ValueError(f"weight={weight} is no weight: at least 0 is.")
    if final_weight < 0 and final_weight != -1:
        raise ValueError(f"final_weight={final_weight} is no weight.")
    if start_step < 0 or (end_step and end_step <= start_step):
        raise ValueError(
            f"start_step={start_step}, end_step={end_step} is no span of steps."
        )
    return dict(locals())


def declare_objectives(
    specs: tuple[str, ...], kinds: Mapping[str, Kind]
) -> list[Declared]:
    """Read specs, refusing what makes no sense whatever the models are.

    Args:
        specs: Such as `soft_targets(weight=0.5, temperature=2)`.
        kinds: Kinds of objectives by name.

    Raises:
        ValueError: A spec is wrong, or there is none.
    """
    if not specs:
        raise ValueError(
            "--objective is needed, for instance soft_targets(weight=1). "
            f"Known: {', '.join(kinds)}."
        )
    known = {name: _with_timing(kind.declare) for name, kind in kinds.items()}
    names: list[str] = []
    declared = []
    for text in specs:
        spec = parse_spec(text, known)
        timing = inspect.signature(_timing).parameters
        own = {k: v for k, v in spec.arguments.items() if k not in timing}
        shared = {k: v for k, v in spec.arguments.items() if k in timing}
        kind = kinds[spec.name]
        try:
            made = kind.declare(**own)
            checked = _timing(**shared)
        except ValueError as error:
            raise ValueError(f"--objective={text}: {error}") from None
        names.append(spec.name)
        count = names.count(spec.name)
        name = spec.name if count == 1 else f"{spec.name}_#{count}"
        binds = (
            {f"{name}.{part}": bind for part, bind in made.items()}
            if isinstance(made, Mapping)
            else {name: made}
        )
        declared += [
            Declared(name, kind.needs, bind, checked)
            for name, bind in binds.items()
        ]
    return declared


def bind_objectives(
    declared: list[Declared], context: Context
) -> list[Objective]:
    """Bind objectives to a task and the shapes of both models.

    Raises:
        ValueError: An objective cannot be computed from these models.
    """
    objectives = []
    for one in declared:
        try:
            if one.needs == FEATURES:
                student_of(context)
            loss = one.bind(context)
        except ValueError as error:
            raise ValueError(f"--objective={one.name}: {error}") from None
        weight = float(one.timing["weight"])
        final = float(one.timing["final_weight"])
        start = one.timing["start_step"]
        end = one.timing["end_step"] or context.num_steps
        objectives.append(
            Objective(
                name=one.name,
                loss=loss,
                ramp=Ramp(weight, weight if final == -1 else final, start, end),
                start_step=start,
                end_step=end,
            )
        )
    return objectives


def student_of(context: Context) -> BertConfig:
    """Returns the shape of the student.

    Raises:
        ValueError: It has no layers.
    """
    if context.student is None:
        raise ValueError(
            "the student has neither hidden states nor attention to learn "
            "with; soft_targets, logit_mse and labels are for it."
        )
    return context.student


def _with_timing(declare: Callable) -> Callable:
    """Returns a callable whose signature has the shared arguments, too."""

    def described() -> None: ...

    own = list(inspect.signature(declare).parameters.values())
    shared = inspect.signature(_timing).parameters.values()
    described.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*shared, *own]
    )
    return described
