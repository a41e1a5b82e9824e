"""What recorded logits save students that read words, and what fusing does.

    python -m benchmarks.word_students

A bidirectional LSTM of the published size (multichannel vectors of 300, 150
states, 0.96 million parameters beside them, 16,000 words) learns the logits of
a BERT of 12 x 768 with random weights, in batches of 50 examples of 64 pieces,
62 of them words: once as records hold them, reading included, once asking the
teacher in each step. Then its two directions and their gradients alone, on
the same weights: our fused operation against Keras's layer, in graphs. Rounds
alternate, and medians are compared. It takes a minute or two.
"""

import functools
import tempfile
from collections.abc import Callable

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import keras  # isort: skip
import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, rates, report, sized
from benchmarks.material import trainable, training_step
from tfdistill.distillation import (
    live_teacher,
    recorded_teacher,
)
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import count_parameters
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
from tfdistill.tasks.sentences import sentence_task

BATCH, LENGTH, WORDS, PIECES, VOCABULARY = 50, 64, 62, 30_522, 16_000
EXAMPLES = sized(1_000, 100)
STUDENT = BiLstmConfig(vocabulary_size=VOCABULARY, vectors="multichannel")
TEACHER = BertConfig(vocabulary_size=PIECES, num_layers=sized(12, 2))
LIVE_ROUNDS, STEPS, RNN_ROUNDS = sized(5, 1), sized(5, 1), sized(15, 2)
# Batch, words, width of their vectors, width of the state.
SHAPES = {"published": (50, 62, 600, 150), "small": (16, 32, 100, 64)}
AIM = 20


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure_training(write_records(folder))]
    rows += [measure_rnn(name, *shape) for name, shape in SHAPES.items()]
    report("word_students", rows)


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


def measure_training(records: RecordSet) -> Row:
    """Compare recorded logits with a live teacher."""
    recorded, live = stepper(records, False), stepper(records, True)

    def some() -> None:
        for _ in range(STEPS):
            recorded()

    seconds = in_turns({"recorded": some, "live": live}, LIVE_ROUNDS)
    seconds["recorded"] /= STEPS
    facts = rates(seconds, BATCH, "examples")
    ratio = seconds["live"] / seconds["recorded"]
    return Row("training, recorded to live", ratio, AIM, facts)


def stepper(records: RecordSet, is_live: bool) -> Callable[[], None]:
    """Returns what reads a batch and does a training step."""
    task = sentence_task(records)
    student = RecurrentModel(STUDENT, 1)
    count = count_parameters(student, student.parts, with_embeddings=False)
    assert count == 961_802, count
    if is_live:
        teacher = live_teacher([Bert(TEACHER, 2, task.heads)])
    else:
        teacher = recorded_teacher(records.codec())
    step = training_step(
        student,
        trainable(student),
        task,
        "logit_mse",
        teacher,
        optimizer="adadelta",
        learning_rate=1.0,
    )
    batches = training_batches(
        records,
        batch_size=BATCH,
        seed=1,
        shuffle_buffer_size=EXAMPLES,
        first_step=0,
        process_slice=(0, BATCH),
    )

    def run() -> None:
        batch = next(batches)
        batch["step"] = tf.zeros([BATCH], tf.int64)
        batch["is_stopping"] = tf.zeros([BATCH])
        step(batch)["loss"].numpy()

    return run


def measure_rnn(
    name: str, batch: int, words: int, width: int, hidden: int
) -> Row:
    """Compare both directions and their gradients with Keras's."""
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

    def wait(run: Callable) -> None:
        for gradient in run()[1]:
            gradient.numpy()

    seconds = in_turns(
        {who: functools.partial(wait, run) for who, run in runs.items()},
        RNN_ROUNDS,
    )
    facts = rates(seconds, batch, "examples")
    ratio = seconds["keras"] / seconds["fused"]
    return Row(f"rnn, {name}, fused to Keras", ratio, None, facts)


if __name__ == "__main__":
    main()
