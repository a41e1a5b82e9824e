"""What 8 bits store of a teacher teaches what the teacher itself does."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tiny_training import SHAPES, L, context, examples, features

from tfdistill.distillation import (
    OBJECTIVES,
    bind_objectives,
    declare_objectives,
    live_teacher,
    recorded_teacher,
)
from tfdistill.distillation.extraction import encode_answers
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import variable_names
from tfdistill.records import Schema, make_codec

CONFIG = BertConfig(
    vocabulary_size=SHAPES.vocabulary_size,
    num_layers=4,
    hidden_dim=24,
    num_heads=2,
    max_sequence_length=L,
    dropout=0.0,
    initializer_range=0.2,
)
SPEC = (
    "features(hidden_states=[0,1,2,3,4], attention_scores=[0,1,2,3], "
    "queries=[0,1,2,3], keys=[0,1,2,3], values=[0,1,2,3])"
)
STORED = {name for name, kind in OBJECTIVES.items() if kind.needs == "features"}


@pytest.fixture(scope="module")
def made():
    """A batch, a student, and what both teachers say of the batch."""
    size = 6
    inputs = Schema(features())
    drawn = list(examples(size))
    plain = inputs.decode(tf.constant([inputs.encode(x) for x in drawn]))
    plain["is_real_example"] = tf.ones([size])
    plain["record_index"] = tf.range(size, dtype=tf.int64)
    shapes = dataclasses.replace(
        SHAPES, num_layers=4, hidden_dim=24, num_heads=2
    )
    codec = make_codec([SPEC], shapes)
    teacher = Bert(CONFIG, 99)
    said = teacher(plain, reads=codec.reads, noise=None)
    added = Schema(codec.features())
    stored = list(encode_answers(codec.encode(said), plain, added))
    whole = Schema((*inputs.features, *added.features))
    batch = plain | whole.decode(
        tf.constant(
            [
                inputs.encode(example) + more
                for example, more in zip(drawn, stored, strict=True)
            ]
        )
    )
    numbers = 0
    for example in drawn:
        n = len(example["input_ids"])
        numbers += 5 * n * 24 + 4 * 2 * n * n + 3 * 4 * n * 24
    assert sum(map(len, stored)) * 4 == numbers * 4
    student = Bert(dataclasses.replace(CONFIG, num_layers=2), 5)
    return batch, student, live_teacher([teacher]), recorded_teacher(codec)


def learnt(made, name, ask):
    """Loss and flat gradient of an objective."""
    batch, student, *_ = made
    kind = {"crd": "crd(negatives=2, width=4)"}.get(name, name)
    declared = declare_objectives((kind,), OBJECTIVES)
    bound = bind_objectives(declared, context(student.config, CONFIG))
    step = tf.constant(0.0)
    reads = frozenset().union(*(o.loss.student_reads for o in bound))
    wanted = frozenset().union(*(o.loss.teacher_reads for o in bound))
    known = ask(batch, wanted)
    variables = dict(variable_names(student))
    for one in bound:
        variables |= one.loss.variables
    outputs = student(batch, reads=reads, noise=None)
    for memory in (o.loss.memory for o in bound if o.loss.memory):
        sums = memory.first_sums(outputs, known, batch, step)
        memory.settle(tf.nest.map_structure(tf.reduce_sum, sums))
    with tf.GradientTape() as tape:
        outputs = student(batch, reads=reads, noise=None)
        total = 0.0
        for one in bound:
            parts = one.loss.compute(outputs, known, batch, step)
            total += tf.reduce_sum(parts.values) / tf.reduce_sum(parts.weights)
    gradient = tape.gradient(
        total,
        [v.value for v in variables.values()],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    flat = [tf.reshape(tf.convert_to_tensor(g), [-1]) for g in gradient]
    return float(total), tf.concat(flat, 0).numpy().astype(np.float64)


@pytest.mark.parametrize("name", sorted(STORED))
def test_loss_and_gradient_are_those_of_the_live_teacher(made, name):
    loss, gradient = learnt(made, name, made[2])
    stored_loss, stored_gradient = learnt(made, name, made[3])
    assert stored_loss == pytest.approx(loss, rel=0.01)
    norms = np.linalg.norm(gradient) * np.linalg.norm(stored_gradient)
    assert gradient @ stored_gradient / norms >= 0.999
