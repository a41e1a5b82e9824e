"""What each objective costs in a training step, the live teacher included.

    python -m benchmarks.objectives

A student of 4 x 312 learns from a teacher of 6 x 384, both with 12 heads, on
8 random examples of 128 tokens. Every objective is timed alone, as a whole
step of the optimizer, in turns with a step on labels, which needs no teacher.
Ratios are how many steps on labels one step takes, so less is better.
"""

from collections.abc import Callable
from typing import Any

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, report, sized
from tfdistill.distillation import (
    OBJECTIVES,
    Context,
    TrainStep,
    bind_objectives,
    declare_objectives,
    live_teacher,
)
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import part_of, variable_names
from tfdistill.replicas import OneDevice
from tfdistill.tasks import MLM
from tfdistill.training import Schedule, make_optimizer

BATCH, LENGTH, SLOTS, PIECES = 8, 128, 20, 30522
STUDENT = BertConfig(
    vocabulary_size=PIECES, num_layers=4, hidden_dim=312, num_heads=12
)
TEACHER = BertConfig(
    vocabulary_size=PIECES, num_layers=6, hidden_dim=384, num_heads=12
)
ARGUMENTS = {"word_angle": "window=21", "minilm_v2": "relation_heads=12"}
RECORDS = 10_000
ROUNDS = sized(5, 1)


def main() -> None:
    """Time a step on each objective."""
    batch = make_batch()

    def waiting(spec: str) -> Callable[[], None]:
        step = make_step(spec, batch)

        def run() -> None:
            step(batch)["loss"].numpy()

        return run

    plain, rows = waiting("labels"), []
    for name in sized(list(OBJECTIVES), ["soft_targets", "tinybert"]):
        spec = f"{name}({ARGUMENTS.get(name, '')})"
        seconds = in_turns({"labels": plain, spec: waiting(spec)}, ROUNDS)
        facts = {"ms": round(1000 * seconds[spec], 1)}
        rows.append(Row(spec, seconds[spec] / seconds["labels"], facts=facts))
    report("objectives", rows)


def make_step(
    spec: str, batch: dict[str, tf.Tensor]
) -> Callable[[dict[str, tf.Tensor]], Any]:
    """A compiled step on one objective."""
    replicas = OneDevice()
    student = Bert(STUDENT, 1)
    objectives = bind_objectives(
        declare_objectives((spec,), OBJECTIVES),
        Context(
            targets=MLM.targets,
            soft_target=MLM.soft_target,
            student=STUDENT,
            teacher=TEACHER,
            num_steps=1000,
            seed=1,
            example_labels=lambda: np.arange(RECORDS) % 2,
        ),
    )
    trained = frozenset[str]().union(*(o.loss.trains for o in objectives))
    is_asked = any(o.loss.teacher_reads for o in objectives)
    variables = {
        n: v
        for n, v in variable_names(student).items()
        if part_of(n) in trained
    }
    for objective in objectives:
        variables |= objective.loss.variables
    step = TrainStep(
        student=student,
        variables=list(variables.values()),
        objectives=objectives,
        teacher=live_teacher([Bert(TEACHER, 2)]) if is_asked else None,
        optimizer=make_optimizer(
            "bert_adam", Schedule("constant", 1e-5, 0, 1000), variables
        ),
        replicas=replicas,
        accumulation_steps=1,
        clip_norm=1.0,
        seed=1,
    )
    step.prepare(batch)
    return step.compiled()


def make_batch() -> dict[str, tf.Tensor]:
    """Random examples of full length."""
    rng = np.random.default_rng(1)
    shape = (BATCH, LENGTH)
    return {
        "input_ids": tf.constant(rng.integers(5, PIECES, shape), tf.int32),
        "input_mask": tf.ones(shape, tf.int32),
        "segment_ids": tf.zeros(shape, tf.int32),
        "masked_lm_positions": tf.constant(
            np.tile(np.arange(1, 6 * SLOTS, 6), (BATCH, 1)), tf.int32
        ),
        "masked_lm_ids": tf.constant(
            rng.integers(5, PIECES, (BATCH, SLOTS)), tf.int32
        ),
        "masked_lm_weights": tf.ones([BATCH, SLOTS]),
        "next_sentence_labels": tf.constant(
            rng.integers(0, 2, BATCH), tf.int32
        ),
        "is_real_example": tf.ones([BATCH]),
        "example_index": tf.range(BATCH, dtype=tf.int64),
        "record_index": tf.range(BATCH, dtype=tf.int64),
        "step": tf.zeros([BATCH], tf.int64),
        "is_stopping": tf.zeros([BATCH]),
    }


if __name__ == "__main__":
    main()
