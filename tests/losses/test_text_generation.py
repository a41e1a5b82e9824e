"""The loss of Distill-BERT-Textgen, on numbers worked out by hand.

They were computed with its formulas, position by position, from the logits
below; nothing here was made with the code under test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.distillation import (
    OBJECTIVES,
    Context,
    bind_objectives,
    declare_objectives,
)
from tfdistill.losses.labels import cross_entropy, smoothed_cross_entropy
from tfdistill.records import DISTRIBUTION, Distribution
from tfdistill.tasks.task import Target

STUDENT = np.array(
    [[[1, 0, 0, 2, 0.5, -1], [0, 0, 0, 3, 1, 0], [0, 0, 0, 0, 0, 0]]],
    np.float32,
)
TARGETS = np.array([[4, 3, 1]], np.int32)
WEIGHTS = np.array([[1, 1, 0]], np.float32)
TEACHER = np.array([[[20, 10], [30, 30], [0, 0]]], np.float32)
IDS = np.array([[[4, 5], [3, 4], [0, 0]]], np.int32)
PLACES = Target(
    logits="logits",
    labels="target_ids",
    weights="masked_lm_weights",
    parts=frozenset({"generator"}),
)


def loss(spec, *, teacher=TEACHER, ids=IDS, student=STUDENT):
    context = Context(
        targets={"labels": PLACES},
        soft_target=PLACES,
        student=None,
        teacher=None,
        num_steps=10,
        seed=0,
    )
    (objective,) = bind_objectives(
        declare_objectives([spec], OBJECTIVES), context
    )
    values = objective.loss.compute(
        {"logits": tf.constant(student)},
        {DISTRIBUTION: Distribution(tf.constant(teacher), tf.constant(ids))},
        {
            "target_ids": tf.constant(TARGETS),
            "masked_lm_weights": tf.constant(WEIGHTS),
        },
        tf.constant(0.0),
    )
    return float(tf.reduce_sum(values.values) / tf.reduce_sum(values.weights))


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0, 1.4603681), (0.5, 1.6901410), (1, 1.9199138)]
)
def test_published_loss(alpha, expected):
    found = loss(f"text_generation(alpha={alpha}, k=2)")
    assert found == pytest.approx(expected, rel=1e-6)


def test_teacher_at_temperature_1():
    found = loss("text_generation(alpha=1, k=2, temperature=1)")
    assert found * 2 == pytest.approx(3.4364836, rel=1e-6)


def test_smoothings():
    args = tf.constant(STUDENT[0, :2]), tf.constant(TARGETS[0, :2])
    for smoothing, expected in (
        ("original", 2.9207363),
        ("opennmt", 2.7114155),
    ):
        values = smoothed_cross_entropy(
            *args, label_smoothing=0.1, smoothing=smoothing
        )
        assert float(tf.reduce_sum(values)) == pytest.approx(expected, rel=1e-6)
    # Less the entropy of its targets the latter is a divergence.
    entropy = -2 * (0.9 * np.log(0.9) + 0.1 * np.log(0.025))
    assert 2.7114155 - entropy == pytest.approx(1.7839907, rel=1e-6)
    assert float(tf.reduce_sum(values)) - entropy == pytest.approx(
        1.7839907, rel=1e-6
    )
    plain = cross_entropy(*args)
    assert float(tf.reduce_sum(plain)) == pytest.approx(2.4364155, rel=1e-6)
    none = smoothed_cross_entropy(*args, label_smoothing=0.0)
    np.testing.assert_array_equal(none, plain)
    # Shared by all classes it is a cross-entropy with a distribution.
    log_probs = tf.nn.log_softmax(args[0])
    shared = tf.one_hot(args[1], 6) * 0.9 + 0.1 / 6
    np.testing.assert_allclose(
        smoothed_cross_entropy(*args, label_smoothing=0.1),
        -tf.reduce_sum(shared * log_probs, -1),
        rtol=1e-6,
    )


@pytest.mark.parametrize(("size", "weight"), [(6, 1.05), (30_000, 1.0000067)])
def test_published_smoothing_weighs_more_than_one(size, weight):
    """Where all are as probable, a loss is its weights' times log V."""
    values = smoothed_cross_entropy(
        tf.zeros([1, size]),
        tf.constant([4]),
        label_smoothing=0.1,
        smoothing="original",
    )
    found = float(values[0]) / np.log(size)
    assert found == pytest.approx(weight, abs=2e-7)


def test_padding_constants_and_order_do_not_matter():
    spec = "text_generation(k=2)"
    expected = loss(spec)
    padded = STUDENT.copy()
    padded[0, 2] = 9
    assert loss(spec, student=padded) == pytest.approx(expected, rel=1e-6)
    moved = TEACHER + np.array([[[3], [-7], [5]]], np.float32)
    assert loss(spec, teacher=moved) == pytest.approx(expected, rel=1e-5)
    turned = loss(
        spec, teacher=TEACHER[..., ::-1].copy(), ids=IDS[..., ::-1].copy()
    )
    assert turned == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("smoothing", ["original", "opennmt", "uniform"])
@pytest.mark.parametrize("sides", ["teacher", "both"])
@pytest.mark.parametrize("is_scaled", ["false", "true"])
def test_it_is_its_two_parts(smoothing, sides, is_scaled):
    sharpness = f"sides={sides}, scale_by_temperature={is_scaled}"
    parts = (
        loss(f"labels(label_smoothing=0.1, smoothing={smoothing})"),
        loss(f"soft_targets(temperature=10, tail=renormalised, {sharpness})"),
    )
    whole = loss(
        f"text_generation(alpha=0.3, k=0, smoothing={smoothing}, {sharpness})"
    )
    assert whole == pytest.approx(0.7 * parts[0] + 0.3 * parts[1], rel=1e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("text_generation(alpha=1.5)", "alpha=1.5"),
        ("text_generation(smoothing=no)", "Unknown smoothing 'no'"),
        ("text_generation(tail=bucket)", "temperature 1 only"),
        ("labels(label_smoothing=1)", "label_smoothing=1"),
    ],
)
def test_what_cannot_be_computed_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        declare_objectives([spec], OBJECTIVES)
