"""The task of language models: what comes next in a text."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfdistill.metrics import causal_lm_metrics, causal_lm_sums
from tfdistill.records import Batch, RecordSet
from tfdistill.tasks.task import Measured, Target, Task, Transform


def _transform(
    records: RecordSet, tokenizer: Any, seed: int
) -> Transform | None:
    """Returns what adds the token behind each one.

    The first token of a text is given, never predicted; its end is
    predicted. Of a pair of a conditional model the second sentence is.
    """

    def transform(batch: Batch, positions: tf.Tensor) -> Batch:
        def behind(x: tf.Tensor) -> tf.Tensor:
            return tf.pad(x[:, 1:], [[0, 0], [0, 1]])

        # Where it is there, it is 1 in the second sentence alone.
        is_predicted = batch.get("segment_ids", batch["input_mask"])
        return batch | {
            "next_ids": behind(batch["input_ids"]),
            "next_weights": tf.cast(behind(is_predicted), tf.float32),
        }

    return transform


def _measure(
    outputs: Mapping[str, Any],
    batch: Batch,
    teacher_outputs: Mapping[str, Any] | None,
) -> Measured:
    is_real = batch["is_real_example"]
    sums = causal_lm_sums(
        outputs["logits"],
        batch["next_ids"],
        batch["next_weights"] * is_real[:, None],
    )
    for name in ("num_characters", "num_words"):
        counts = tf.cast(batch[name], tf.float32)
        sums[name] = tf.reduce_sum(counts * is_real)
    return Measured(sums, {})


_TOKENS = Target(
    logits="logits",
    labels="next_ids",
    weights="next_weights",
    parts=frozenset(),
)

CAUSAL_LM = Task(
    name="causal_lm",
    heads=("causal_lm",),
    num_classes=0,
    targets={"labels": _TOKENS},
    soft_target=_TOKENS,
    example_labels="",
    metrics={
        "bits_per_character": False,
        "word_perplexity": False,
        "token_loss": False,
        "token_accuracy": True,
    },
    best_metric="bits_per_character",
    knowledge=("top_k(k=10)",),
    transform=_transform,
    measure=_measure,
    finish=lambda sums, rows: causal_lm_metrics(sums),
    write=None,
)
