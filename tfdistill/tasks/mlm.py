"""The masked-LM task, with or without next-sentence labels."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.metrics import (
    masked_lm_metrics,
    masked_lm_sums,
    next_sentence_sums,
    teacher_sums,
)
from tfdistill.models.bert import PRETRAINING_HEADS
from tfdistill.records import Batch, RecordSet
from tfdistill.tasks.task import Measured, Target, Task, Transform
from tfdistill.text.masking import mask_tokens, num_predictions
from tfdistill.text.tokenizer import Tokenizer


def _transform(
    records: RecordSet, tokenizer: Tokenizer, seed: int
) -> Transform | None:
    """Returns what masks records that are stored unmasked.

    The masks of an example depend on the seed and its position in the
    stream of examples, which differs from epoch to epoch.
    """
    if records.schema.feature("masked_lm_positions") is not None:
        return None
    settings = records.identity["settings"]
    slots = settings["max_predictions_per_seq"]
    continues_word = (
        tokenizer.continues_word if settings["do_whole_word_mask"] else None
    )

    def mask_one(ids: list[int], position: int) -> tuple[list[int], ...]:
        return mask_tokens(
            ids,
            num_to_predict=num_predictions(
                len(ids), settings["masked_lm_prob"], slots
            ),
            special_ids=frozenset({tokenizer.cls_id, tokenizer.sep_id}),
            mask_id=tokenizer.mask_id,
            vocabulary_size=len(tokenizer.vocabulary),
            rng=random.Random(f"{seed} {position}"),
            continues_word=continues_word,
        )

    def mask_all(
        input_ids: np.ndarray, input_mask: np.ndarray, positions: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        shape = (len(input_ids), slots)
        masked = input_ids.copy()
        chosen = np.zeros(shape, np.int32)
        labels = np.zeros(shape, np.int32)
        weights = np.zeros(shape, np.float32)
        for row, position in enumerate(positions.tolist()):
            length = int(input_mask[row].sum())
            ids, where, original = mask_one(
                input_ids[row, :length].tolist(), position
            )
            masked[row, :length] = ids
            chosen[row, : len(where)] = where
            labels[row, : len(where)] = original
            weights[row, : len(where)] = 1.0
        return masked, chosen, labels, weights

    def transform(batch: Batch, positions: tf.Tensor) -> Batch:
        masked, chosen, labels, weights = tf.numpy_function(
            mask_all,
            [batch["input_ids"], batch["input_mask"], positions],
            [tf.int32, tf.int32, tf.int32, tf.float32],
            stateful=False,
        )
        size = positions.shape[0]
        return batch | {
            "input_ids": tf.ensure_shape(masked, batch["input_ids"].shape),
            "masked_lm_positions": tf.ensure_shape(chosen, [size, slots]),
            "masked_lm_ids": tf.ensure_shape(labels, [size, slots]),
            "masked_lm_weights": tf.ensure_shape(weights, [size, slots]),
        }

    return transform


def _measure(
    outputs: Mapping[str, Any],
    batch: Batch,
    teacher_outputs: Mapping[str, Any] | None,
) -> Measured:
    weights = batch["masked_lm_weights"]
    sums = masked_lm_sums(outputs["logits"], batch["masked_lm_ids"], weights)
    if "next_sentence_logits" in outputs and "next_sentence_labels" in batch:
        sums |= next_sentence_sums(
            outputs["next_sentence_logits"],
            batch["next_sentence_labels"],
            batch["is_real_example"],
        )
    if teacher_outputs is not None:
        sums |= teacher_sums(
            outputs["logits"], teacher_outputs["logits"], weights
        )
    return Measured(sums, {})


_TOKENS = Target(
    logits="logits",
    labels="masked_lm_ids",
    weights="masked_lm_weights",
    parts=frozenset({"masked_lm"}),
)

MLM = Task(
    name="mlm",
    heads=PRETRAINING_HEADS,
    num_classes=0,
    targets={
        "labels": _TOKENS,
        "next_sentence": Target(
            logits="next_sentence_logits",
            labels="next_sentence_labels",
            weights="is_real_example",
            parts=frozenset({"pooler", "next_sentence"}),
        ),
    },
    soft_target=_TOKENS,
    example_labels="next_sentence_labels",
    metrics={
        "masked_accuracy": True,
        "masked_loss": False,
        "perplexity": False,
        "next_sentence_accuracy": True,
        "teacher_agreement": True,
        "teacher_kl": False,
    },
    best_metric="masked_loss",
    knowledge=("top_k(k=10)",),
    transform=_transform,
    measure=_measure,
    finish=lambda sums, rows: masked_lm_metrics(sums),
    write=None,
)
