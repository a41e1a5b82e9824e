"""What the pipeline asks of a task."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfdistill.records import Batch, RecordSet
from tfdistill.text.tokenizer import Tokenizer

Sums = dict[str, tf.Tensor]
Transform = Callable[[Batch, tf.Tensor], Batch]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Where an objective finds its logits, labels and weights.

    Attributes:
        logits: Field of the model's outputs.
        labels: Feature of a batch, int of the logits' shape but the last
            axis.
        weights: Feature of a batch, 1.0 where a label counts.
        part: Part of the model that makes the logits.
    """

    logits: str
    labels: str
    weights: str
    part: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A task of the pipeline.

    Attributes:
        name: As in `--task`.
        targets: What label objectives learn, by the objective's name.
        soft_target: What soft targets are about.
        example_labels: Feature with a label of each example, if there is
            one; records may lack it.
        metrics: Every metric, and whether higher is better.
        transform: From records, tokenizer and seed to what is done to
            decoded batches, or None.
        sums: From the student's outputs, a batch and the teacher's outputs
            (or None) to sums of metrics.
        finish: From sums over all examples to metrics.
    """

    name: str
    targets: Mapping[str, Target]
    soft_target: Target
    example_labels: str
    metrics: Mapping[str, bool]
    transform: Callable[[RecordSet, Tokenizer, int], Transform | None]
    sums: Callable[[Mapping[str, Any], Batch, Mapping[str, Any] | None], Sums]
    finish: Callable[[Mapping[str, float]], dict[str, float]]
