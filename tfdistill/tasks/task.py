"""What the pipeline asks of a task."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.config.question_answering import Answering
from tfdistill.records import Batch, RecordSet

Transform = Callable[[Batch, tf.Tensor], Batch]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Where an objective finds its logits, labels and weights.

    Attributes:
        logits: Field of the model's outputs.
        labels: Feature of a batch: int of the logits' shape but the last
            axis, or float32 scores.
        weights: Feature of a batch, 1.0 where a label counts.
        parts: Parts of the model that make the logits, the encoder apart.
        is_score: Whether labels are scores, and logits `[B, 1]`.
        mask: Feature of a batch, `[B, C]`: 1 where the last axis of the
            logits counts; "" where all of it does.
    """

    logits: str
    labels: str
    weights: str
    parts: frozenset[str]
    is_score: bool = False
    mask: str = ""


class Measured(NamedTuple):
    """What is found out about a batch.

    Attributes:
        sums: Scalars that add up over batches and replicas.
        rows: Tensors `[B, …]` of each example; what examples say that are
            no real ones is left out later.
    """

    sums: dict[str, tf.Tensor]
    rows: dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A task of the pipeline.

    Attributes:
        name: As in `--task`.
        heads: Heads of its models, see `models.bert.HEADS`.
        num_classes: Classes of its logits; 0 where they are over pieces.
        targets: What label objectives learn, by the objective's name.
        soft_target: What objectives on the teacher's predictions are about.
        example_labels: Feature with a label of each example, if there is
            one; records may lack it.
        metrics: Every metric, and whether higher is better.
        best_metric: The one that tells which checkpoint is best.
        knowledge: What is stored of a teacher unless it is chosen.
        transform: From records, tokenizer and seed to what is done to
            decoded batches, or None.
        measure: From the student's outputs, a batch and the teacher's
            outputs (or None) to what is found out.
        finish: From sums over all examples and their rows, in the order of
            the records, to metrics.
        write: From rows, in the order of the records, and a folder to what
            the command prints; writes predictions. None: there are none.
        answering: How answers are chosen, where there are questions.
        samples: From rows and the records' tokenizer to Markdown that shows
            some predictions. None: there are none to show.
        kind: Of its models, see `models.kinds.KINDS`; "" if any will do that
            has the heads.
        classes: The names that each class goes by, the task's own first, in
            the order of the classes; () where there are none.
        score: From texts that a model has written and those that it was to
            write to metrics; None where models write none.
    """

    name: str
    heads: tuple[str, ...]
    num_classes: int
    targets: Mapping[str, Target]
    soft_target: Target
    example_labels: str
    metrics: Mapping[str, bool]
    best_metric: str
    knowledge: tuple[str, ...]
    # Here and in `samples`, it is the tokenizer of the task's models.
    transform: Callable[[RecordSet, Any, int], Transform | None]
    measure: Callable[
        [Mapping[str, Any], Batch, Mapping[str, Any] | None], Measured
    ]
    finish: Callable[
        [Mapping[str, float], Mapping[str, np.ndarray]], dict[str, float]
    ]
    write: Callable[[Mapping[str, np.ndarray], str], dict[str, Any]] | None
    answering: Answering | None = None
    samples: Callable[[Mapping[str, np.ndarray], Any], str] | None = None
    kind: str = ""
    classes: Sequence[Sequence[str]] = ()
    score: Callable[[Sequence[str], Sequence[str]], dict[str, Any]] | None = (
        None
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """Parts that a model of the task cannot do without."""
        return ("encoder", *self.soft_target.parts)
