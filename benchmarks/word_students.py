"""What recorded logits save students that read words, and what fusing does.

    python -m benchmarks.word_students

A bidirectional LSTM of the published size (multichannel vectors of 300, 150
states, 0.96 million parameters beside them, 16,000 words) learns the logits of
a BERT of 12 x 768 with random weights, in batches of 50 examples of 64 pieces,
62 of them words: once as records hold them, reading included, once asking the
teacher in each step. Then its two directions and their gradients alone, on
the same weights: our fused operation against Keras's layer, in graphs. Rounds
alternate, and medians are compared. Prints a table on stderr and one line of
JSON: examples per second and ratios, with the aim. It takes a minute or two.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import keras  # isort: skip
import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from tfdistill.distillation import (
    OBJECTIVES,
    Context,
    TrainStep,
    bind_objectives,
    declare_objectives,
    live_teacher,
    recorded_teacher,
)
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import count_parameters, variable_names
from tfdistill.models.words import BiLstmConfig, RecurrentModel
from tfdistill.models.words.recurrence import Bidirectional
from tfdistill.records import (
    RecordSet,
    RecordSetWriter,
    Schema,
    make_codec,
    sentence_features,
    training_batches,
)
from tfdistill.replicas import OneDevice
from tfdistill.tasks.sentences import sentence_task
from tfdistill.training import Schedule, make_optimizer

BATCH, LENGTH, WORDS, PIECES, VOCABULARY = 50, 64, 62, 30_522, 16_000
EXAMPLES = 1_000
STUDENT = BiLstmConfig(vocabulary_size=VOCABULARY, vectors="multichannel")
TEACHER = BertConfig(vocabulary_size=PIECES)
LIVE_ROUNDS, STEPS_BETWEEN, RNN_ROUNDS = 5, 5, 15
# Batch, words, width of their vectors, width of the state.
SHAPES = {"published": (50, 62, 600, 150), "small": (16, 32, 100, 64)}
AIM = {"recorded_to_live": 20}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = {"training": measure_training(write_records(folder))}
    for name, shape in SHAPES.items():
        results[f"rnn {name}"] = measure_rnn(name, *shape)
    print(json.dumps({**results, "aim": AIM}))


def write_records(folder: str) -> RecordSet:
    """Random examples of full length, with logits."""
    draw = np.random.default_rng(1)
    identity = {
        "task": "sst2",
        "num_classes": 2,
        "metrics": ["accuracy"],
        "knowledge": ["logits"],
    }
    features = sentence_features(
        LENGTH, PIECES, 2, has_labels=True, num_words=VOCABULARY
    )
    bare = RecordSet("", Schema(features), (), identity, "")
    codec = make_codec(["logits"], bare.shapes())
    writer = RecordSetWriter(
        f"{folder}/records",
        schema=Schema((*features, *codec.features())),
        identity=identity,
        shard_names=["0.tfrecord"],
        files={},
    )
    with writer.shard("0.tfrecord") as shard:
        for _ in range(EXAMPLES):
            shard.add(
                {
                    "input_ids": draw.integers(5, PIECES, LENGTH),
                    "segment_ids": np.zeros(LENGTH, np.int64),
                    "word_ids": draw.integers(3, VOCABULARY, WORDS),
                    "labels": draw.integers(0, 2, 1),
                    "teacher_logits": draw.normal(size=2),
                }
            )
    return writer.finish()


def measure_training(records: RecordSet) -> dict[str, float]:
    """Returns examples per second with recorded logits and a live teacher."""
    runs = {"recorded": stepper(records, False), "live": stepper(records, True)}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(LIVE_ROUNDS + 1):
        for name, run in runs.items():
            steps = 1 if name == "live" else STEPS_BETWEEN
            started = time.perf_counter()
            for _ in range(steps):
                run()
            rate = steps * BATCH / (time.perf_counter() - started)
            if number:  # the first round builds the graphs
                rates[name].append(rate)
    found = {name: statistics.median(r) for name, r in rates.items()}
    ratio = found["recorded"] / found["live"]
    print(
        f"training: {found['recorded']:.0f} examples/s from records, "
        f"{found['live']:.1f} with the teacher, ratio {ratio:.1f} "
        f"(aim {AIM['recorded_to_live']})",
        file=sys.stderr,
    )
    return {
        "recorded": round(found["recorded"], 1),
        "live": round(found["live"], 2),
        "recorded_to_live": round(ratio, 1),
    }


def stepper(records: RecordSet, is_live: bool) -> Callable[[], float]:
    """Returns what reads a batch and does a training step."""
    task = sentence_task(records)
    student = RecurrentModel(STUDENT, 1)
    count = count_parameters(student, student.parts, with_embeddings=False)
    assert count == 961_802, count
    if is_live:
        teacher = live_teacher([Bert(TEACHER, 2, task.heads)])
    else:
        teacher = recorded_teacher(records.codec())
    variables = {
        n: v for n, v in variable_names(student).items() if v.trainable
    }
    context = Context(
        targets=task.targets,
        soft_target=task.soft_target,
        student=None,
        teacher=None,
        num_steps=1000,
        seed=1,
    )
    step = TrainStep(
        student=student,
        variables=list(variables.values()),
        objectives=bind_objectives(
            declare_objectives(("logit_mse",), OBJECTIVES), context
        ),
        teacher=teacher,
        optimizer=make_optimizer(
            "adadelta", Schedule("constant", 1.0, 0, 1000), variables
        ),
        replicas=OneDevice(),
        accumulation_steps=1,
        clip_norm=0.0,
        seed=1,
    ).compiled()
    batches = training_batches(
        records,
        batch_size=BATCH,
        seed=1,
        shuffle_buffer_size=EXAMPLES,
        first_step=0,
        process_slice=(0, BATCH),
    )

    def run() -> float:
        batch = next(batches)
        batch["step"] = tf.zeros([BATCH], tf.int64)
        batch["is_stopping"] = tf.zeros([BATCH])
        return float(step(batch)["loss"])

    return run


def measure_rnn(
    name: str, batch: int, words: int, width: int, hidden: int
) -> dict[str, float]:
    """Returns examples per second of both directions and their gradients."""
    draw = np.random.default_rng(1)
    x = tf.constant(draw.normal(size=(words, batch, width)), tf.float32)
    lengths = tf.constant(draw.integers(words // 2, words + 1, batch), tf.int32)
    ours = Bidirectional("lstm", width, hidden, seed=1)
    theirs = keras.layers.Bidirectional(keras.layers.LSTM(hidden))
    theirs.build((batch, words, width))
    pairs = (
        (ours.forward, theirs.forward_layer.cell),
        (ours.backward, theirs.backward_layer.cell),
    )
    for mine, cell in pairs:
        for weight in ("kernel", "recurrent_kernel", "bias"):
            getattr(cell, weight).assign(getattr(mine, weight))

    def of_ours(x: tf.Tensor) -> tf.Tensor:
        return ours([x], lengths=lengths)[1]

    def of_keras(x: tf.Tensor) -> tf.Tensor:
        mask = tf.sequence_mask(lengths, words)
        return theirs(tf.transpose(x, [1, 0, 2]), mask=mask)

    def graph(run: Callable, variables: list) -> Callable:
        @tf.function
        def step() -> tuple:
            with tf.GradientTape() as tape:
                tape.watch(x)
                last = run(x)
                loss = tf.reduce_sum(last**2)
            return last, tape.gradient(loss, [x, *(v.value for v in variables)])

        return step

    runs = {
        "fused": graph(of_ours, ours.trainable_variables),
        "keras": graph(of_keras, theirs.trainable_variables),
    }
    values = {who: run()[0].numpy() for who, run in runs.items()}
    np.testing.assert_allclose(values["fused"], values["keras"], atol=1e-5)
    rates: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(RNN_ROUNDS):
        for who, run in runs.items():
            started = time.perf_counter()
            for gradient in run()[1]:
                gradient.numpy()
            rates[who].append(batch / (time.perf_counter() - started))
    found = {who: statistics.median(r) for who, r in rates.items()}
    ratio = found["fused"] / found["keras"]
    print(
        f"rnn, {name}: fused {found['fused']:.0f}, keras {found['keras']:.0f} "
        f"examples/s, ratio {ratio:.2f}",
        file=sys.stderr,
    )
    return {who: round(rate, 1) for who, rate in found.items()} | {
        "fused_to_keras": round(ratio, 2)
    }


if __name__ == "__main__":
    main()
