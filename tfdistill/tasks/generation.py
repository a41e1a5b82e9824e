"""Translation and summarisation, and the conditional masked LM for both.

Students write targets piece by piece; their teacher sees all of a target but
the pieces that are masked. Both predict the pieces of the same vocabulary at
the places of the same records.
"""

import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.files import sha256_of
from tfdistill.metrics import masked_lm_sums, teacher_sums
from tfdistill.metrics.texts import summary_metrics, translation_metrics
from tfdistill.records import Batch, RecordSet
from tfdistill.tasks.task import Measured, Target, Task, Transform
from tfdistill.text.parallel_text import Pair

TRANSLATION, SUMMARISATION = GENERATION = ("translation", "summarisation")
CMLM = "cmlm"
# The copy of the text that is kept beside held-out records.
PAIRS = "pairs.jsonl"

_PLACES = Target(
    logits="logits",
    labels="target_ids",
    weights="masked_lm_weights",
    parts=frozenset({"generator"}),
)


def generation_task(name: str, records: RecordSet) -> Task:
    """Make the task of students, or that of their teacher.

    Args:
        name: One of `GENERATION`, or `CMLM`.
        records: Of pairs.
    """
    is_teacher = name == CMLM
    settings = records.identity["settings"]
    score = functools.partial(
        translation_metrics,
        is_lower_case=bool(records.identity.get("do_lower_case")),
        is_tokenized=settings["is_moses_tokenized"],
    )
    return Task(
        name=name,
        heads=("generator",),
        num_classes=0,
        targets={"labels": _PLACES},
        soft_target=_PLACES,
        example_labels="",
        metrics={
            "accuracy": True,
            "label_loss": False,
            "perplexity": False,
            "teacher_agreement": True,
            "teacher_kl": False,
        },
        best_metric="accuracy",
        knowledge=("top_k(k=8)",),
        transform=_masks if is_teacher else lambda records, pieces, seed: None,
        measure=_measure,
        finish=_finish,
        write=None,
        kind="cmlm" if is_teacher else "seq2seq",
        score=None
        if is_teacher
        else summary_metrics
        if name == SUMMARISATION
        else score,
    )


def draw_masks(
    places: int, probability: float, rng: np.random.Generator
) -> np.ndarray:
    """Choose places of a target to mask, each on its own, but one at least.

    The end of the target is one of them, so that it is learnt, too.

    Args:
        places: T, the end included.
        probability: Of each.
        rng: What to draw from.

    Returns:
        bool `[T]`.
    """
    while True:
        is_masked = rng.random(places) < probability
        if is_masked.any():
            return is_masked


def _masks(records: RecordSet, pieces: Any, seed: int) -> Transform:
    """Returns what masks targets.

    The masks of an example depend on the seed and its position in the stream
    of examples: they are others in every epoch, and always the same of
    held-out records, whose seed is no flag.
    """
    probability = records.identity["settings"]["cmlm_masked_prob"]

    def draw(weights: np.ndarray, positions: np.ndarray) -> np.ndarray:
        masks = np.zeros_like(weights)
        for row, position in enumerate(positions.tolist()):
            places = int(weights[row].sum())
            rng = np.random.default_rng([seed, position])
            masks[row, :places] = draw_masks(places, probability, rng)
        return masks

    def transform(batch: Batch, positions: tf.Tensor) -> Batch:
        weights = batch["masked_lm_weights"]
        masks = tf.numpy_function(
            draw, [weights, positions], tf.float32, stateful=False
        )
        return batch | {
            "target_mask": tf.cast(weights, tf.int32),
            "masked_lm_weights": tf.ensure_shape(masks, weights.shape),
        }

    return transform


def _measure(
    outputs: Mapping[str, Any],
    batch: Batch,
    teacher_outputs: Mapping[str, Any] | None,
) -> Measured:
    weights, logits = batch["masked_lm_weights"], outputs["logits"]
    sums = masked_lm_sums(logits, batch["target_ids"], weights)
    if teacher_outputs is not None:
        sums |= teacher_sums(logits, teacher_outputs["logits"], weights)
    return Measured(sums, {})


def _finish(
    sums: Mapping[str, float], rows: Mapping[str, np.ndarray]
) -> dict[str, float]:
    loss = sums["masked_loss"] / sums["masked_weights"]
    found = {
        "accuracy": sums["masked_hits"] / sums["masked_weights"],
        "label_loss": loss,
        "perplexity": float(np.exp(min(loss, 700.0))),
    }
    if "teacher_weights" in sums:
        found |= {
            name: sums[name] / sums["teacher_weights"]
            for name in ("teacher_agreement", "teacher_kl")
        }
    return found


def pairs_of(records: RecordSet) -> list[Pair]:
    """Read the text that held-out records were made from.

    Raises:
        ValueError: It is not beside the records, or was changed.
        OSError: It cannot be read.
    """
    path = pathlib.Path(records.path) / PAIRS
    if not path.exists():
        raise ValueError(
            f"{records.path} holds no {PAIRS}: texts are compared with those "
            "of --eval_records that make_records made."
        )
    if sha256_of(path) != records.identity["pairs"]:
        raise ValueError(
            f"{path} is not the file that its records were made from."
        )
    lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    return [Pair(**json.loads(line)) for line in lines]
