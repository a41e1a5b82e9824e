"""What the loop, the data and the objectives add to a bare training step.

    python -m benchmarks.overhead

A run of the training loop on records with top 10, 32 examples of 128 tokens at
a time: reading, weights of the global batch, clipping, the loop's own records.
The bare step is one graph with the same student, dropout and AdamW, on one
constant batch: forward pass, the same loss, backward pass, update. Each run's
first steps do not count, nor does its checkpoint.
"""

import itertools
import pathlib
import tempfile
import time
from collections.abc import Callable

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, rates, report, sized
from benchmarks.material import (
    STUDENTS,
    K,
    make_student,
    random_examples,
    soft_target_step,
    stream,
    write_records,
)
from tfdistill.distillation import recorded_teacher
from tfdistill.losses.soft_targets import soft_targets
from tfdistill.models.configuration import BertConfig
from tfdistill.models.noise import DropoutNoise
from tfdistill.records import DISTRIBUTION, Batch, RecordSet
from tfdistill.replicas import OneDevice
from tfdistill.training import (
    Cadence,
    RunDirectory,
    Schedule,
    make_optimizer,
    train,
)

BATCH = 32
EXAMPLES, ROUNDS = sized(1024, 64), sized(5, 1)
WARM, STEPS = 3, sized(12, 2)
CASES = sized(STUDENTS, {"2 x 128": STUDENTS["2 x 128"]})
AIM = 0.95


def main() -> None:
    """Run all students."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        records = write_records(
            pathlib.Path(folder), random_examples(EXAMPLES, K), k=K
        )
        for name, config in CASES.items():
            runs = {
                "loop": loop(config, records),
                "bare": bare(config, records),
            }
            seconds = in_turns(runs, ROUNDS)
            ratio = seconds["bare"] / seconds["loop"]
            facts = rates(seconds, BATCH * STEPS, "examples")
            rows.append(Row(f"{name}, loop to bare step", ratio, AIM, facts))
    report("overhead", rows)


def loop(config: BertConfig, records: RecordSet) -> Callable[[], float]:
    """Returns what runs the loop and tells the seconds of its steps."""
    step = soft_target_step(config, recorded_teacher(records.codec()))
    number = WARM + STEPS

    def run() -> float:
        begun: list[float] = []

        def timed(batch: Batch) -> dict[str, tf.Tensor]:
            begun.append(time.perf_counter())
            return step(batch)

        with tempfile.TemporaryDirectory() as folder:
            directory = RunDirectory(
                folder, config={}, flag_lines=[], keep_checkpoint_max=1
            )
            train(
                timed,
                # One more, so that the last one that counts has an end.
                batches=lambda _: itertools.islice(
                    stream(records, BATCH), number + 1
                ),
                state={},
                run=directory,
                cadence=Cadence(
                    num_train_steps=number + 1,
                    log_every_steps=10,
                    eval_every_steps=number + 1,
                    save_checkpoints_steps=number + 1,
                ),
                evaluate=None,
                replicas=OneDevice(),
            )
            directory.close()
        return begun[number] - begun[WARM]

    return run


def bare(config: BertConfig, records: RecordSet) -> Callable[[], None]:
    """Returns what takes as many bare steps."""
    student, variables = make_student(config)
    optimizer = make_optimizer(
        "adamw", Schedule("constant", 1e-4, 0, 1000), variables
    )
    batch = next(stream(records, BATCH))
    known = records.codec().decode(batch)[DISTRIBUTION]
    kept = list(variables.values())

    @tf.function(autograph=False)
    def step(number: tf.Tensor) -> tf.Tensor:
        noise = DropoutNoise(1, number, tf.zeros([], tf.int64))
        with tf.GradientTape() as tape:
            logits = student(batch, reads=frozenset({"logits"}), noise=noise)
            loss = tf.reduce_mean(
                soft_targets(logits["logits"], *known, tail="bucket")
            )
        optimizer.apply(tape.gradient(loss, [v.value for v in kept]), kept)
        return loss

    def run() -> None:
        for number in range(STEPS):
            loss = step(tf.constant(number, tf.int64))
        float(loss)

    return run


if __name__ == "__main__":
    main()
