"""Tasks on single sentences and pairs: classes or scores.

What a task's classes and metrics are, its records say.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.losses.labels import cross_entropy
from tfdistill.metrics import sentence_metrics, teacher_sums
from tfdistill.records import Batch, RecordSet
from tfdistill.tasks.class_names import names_of_classes
from tfdistill.tasks.predictions import write_predictions
from tfdistill.tasks.samples import show_samples
from tfdistill.tasks.task import Measured, Target, Task

_OF_THE_TEACHER = {"teacher_agreement": True, "teacher_kl": False}


def sentence_task(records: RecordSet) -> Task:
    """Make the task that records were made for."""
    identity = records.identity
    num_classes = identity["num_classes"]
    is_score = num_classes == 1
    metrics = tuple(identity["metrics"])
    target = Target(
        logits="logits",
        labels="labels",
        weights="is_real_example",
        parts=frozenset({"pooler", "classifier"}),
        is_score=is_score,
    )

    def measure(
        outputs: Mapping[str, Any],
        batch: Batch,
        teacher_outputs: Mapping[str, Any] | None,
    ) -> Measured:
        logits = outputs["logits"]
        sums: dict[str, tf.Tensor] = {}
        weights = batch["is_real_example"]
        rows = {"logits": logits}
        if "labels" in batch:
            labels = batch["labels"]
            rows["labels"] = labels
            losses = (
                tf.square(logits[:, 0] - labels)
                if is_score
                else cross_entropy(logits, labels)
            )
            sums |= {
                "label_loss": tf.reduce_sum(losses * weights),
                "label_weights": tf.reduce_sum(weights),
            }
        if teacher_outputs is not None and not is_score:
            sums |= teacher_sums(logits, teacher_outputs["logits"], weights)
        return Measured(sums, rows)

    def finish(
        sums: Mapping[str, float], rows: Mapping[str, np.ndarray]
    ) -> dict[str, float]:
        if "labels" not in rows:
            raise ValueError(
                "The records hold no labels, so there is nothing to compare "
                "with; predict is for these."
            )
        logits = rows["logits"]
        predictions = logits[:, 0] if is_score else logits.argmax(-1)
        found = sentence_metrics(metrics, predictions, rows["labels"])
        found["label_loss"] = sums["label_loss"] / sums["label_weights"]
        if "teacher_weights" in sums:
            found |= {
                name: sums[name] / sums["teacher_weights"]
                for name in _OF_THE_TEACHER
            }
        return found

    return Task(
        name=identity["task"],
        heads=("classifier",),
        num_classes=num_classes,
        classes=names_of_classes(identity["task"], identity["labels"]),
        targets={"labels": target},
        soft_target=target,
        example_labels="" if is_score else "labels",
        metrics=dict.fromkeys(metrics, True)
        | {"label_loss": False}
        | _OF_THE_TEACHER,
        best_metric=metrics[0],
        knowledge=("logits",),
        transform=lambda records, tokenizer, seed: None,
        measure=measure,
        finish=finish,
        write=lambda rows, folder: write_predictions(
            records, rows["logits"], folder
        ),
        samples=lambda rows, tokenizer: show_samples(records, rows, tokenizer),
    )
