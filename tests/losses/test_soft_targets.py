"""Soft targets against golden numbers, and against each other."""

import numpy as np
import pytest
import tensorflow as tf
from golden import golden

from tfdistill.losses.soft_targets import soft_targets

GOLDEN = golden("transformer_distillation")["soft_targets"]
TEACHER = np.array(GOLDEN["teacher_logits"], np.float32)
STUDENT = np.array(GOLDEN["student_logits"], np.float32)
IDS = np.array(GOLDEN["kept_ids"], np.int32)
LOG_PROBS = tf.nn.log_softmax(TEACHER)
KEPT = tf.gather(LOG_PROBS, IDS, batch_dims=1)
TAIL = tf.math.log(1 - tf.reduce_sum(tf.exp(KEPT), -1))
RAW, WHOLE = GOLDEN["left_out"], GOLDEN["whole"]
RENORMALISED = GOLDEN["renormalised"]


def test_teacher():
    probs = tf.exp(LOG_PROBS)
    np.testing.assert_allclose(
        probs[0], GOLDEN["teacher_probs_of_slot_0"], atol=1e-7
    )
    np.testing.assert_allclose(
        tf.reduce_sum(tf.exp(KEPT), -1), GOLDEN["kept_mass"], atol=1e-6
    )


def test_left_out():
    np.testing.assert_allclose(soft_targets(STUDENT, KEPT, IDS), RAW, atol=2e-7)


def test_whole():
    np.testing.assert_allclose(
        soft_targets(STUDENT, LOG_PROBS), WHOLE, atol=3e-7
    )


def test_renormalised():
    np.testing.assert_allclose(
        soft_targets(STUDENT, KEPT, IDS, tail="renormalised"),
        RENORMALISED,
        atol=3e-7,
    )


def test_bucket_is_cross_entropy_over_merged_classes():
    p = np.exp(LOG_PROBS.numpy())
    q = tf.nn.softmax(STUDENT).numpy()
    expected = []
    for row, ids in enumerate(IDS):
        rest = np.setdiff1d(np.arange(6), ids)
        merged_p = np.append(p[row, ids], p[row, rest].sum())
        merged_q = np.append(q[row, ids], q[row, rest].sum())
        expected.append(-(merged_p * np.log(merged_q)).sum())
    found = soft_targets(STUDENT, KEPT, IDS, TAIL, tail="bucket")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_floors():
    student = LOG_PROBS
    whole = soft_targets(student, LOG_PROBS)
    np.testing.assert_allclose(whole, GOLDEN["floor_whole"], atol=3e-7)
    # The optimum of `left_out` puts everything on the kept pieces.
    p = np.exp(KEPT.numpy())
    best = np.full((2, 6), -60.0, np.float32)
    np.put_along_axis(best, IDS, np.log(p / p.sum(-1, keepdims=True)), -1)
    raw = soft_targets(best, KEPT, IDS)
    np.testing.assert_allclose(raw, GOLDEN["floor_left_out"], atol=3e-7)


def test_gradient_of_the_raw_loss():
    student = tf.constant(STUDENT)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = soft_targets(student, KEPT, IDS)[0]
    found = tape.gradient(loss, student)[0]
    expected = GOLDEN["gradient_left_out_of_slot_0"]
    np.testing.assert_allclose(found, expected, atol=2e-7)
    assert abs(float(tf.reduce_sum(found))) < 1e-6


@pytest.mark.parametrize("tail", ["left_out", "renormalised", "bucket"])
def test_order_within_a_row_does_not_matter(tail):
    order = [2, 0, 1]
    ids, kept = IDS[:, order], tf.gather(KEPT, order, axis=1)
    np.testing.assert_allclose(
        soft_targets(STUDENT, kept, ids, TAIL, tail=tail),
        soft_targets(STUDENT, KEPT, IDS, TAIL, tail=tail),
        rtol=1e-6,
    )


@pytest.mark.parametrize("tail", ["left_out", "renormalised"])
def test_all_pieces_kept_is_the_whole_distribution(tail):
    kept, ids = tf.math.top_k(LOG_PROBS, 6)
    found = soft_targets(STUDENT, kept, ids, tail=tail)
    np.testing.assert_allclose(found, WHOLE, atol=5e-7)


def test_all_pieces_kept_with_a_bucket_is_the_whole_distribution():
    kept, ids = tf.math.top_k(LOG_PROBS, 6)
    empty = tf.fill([2], -1e30)
    found = soft_targets(STUDENT, kept, ids, empty, tail="bucket")
    np.testing.assert_allclose(found, WHOLE, atol=5e-7)


def test_temperature_on_both_sides():
    t = 2.0
    p = tf.nn.softmax(TEACHER / t)
    expected = -tf.reduce_sum(p * tf.nn.log_softmax(STUDENT / t), -1)
    scaled = soft_targets(STUDENT, LOG_PROBS, temperature=t)
    plain = soft_targets(
        STUDENT, LOG_PROBS, temperature=t, scale_by_temperature=False
    )
    np.testing.assert_allclose(plain, expected, rtol=1e-6)
    np.testing.assert_allclose(scaled, expected * 4, rtol=1e-6)


@pytest.mark.parametrize("tail", ["left_out", "bucket"])
def test_unknown_tail_mass_at_another_temperature_is_refused(tail):
    with pytest.raises(ValueError, match="temperature 1 only"):
        soft_targets(STUDENT, KEPT, IDS, TAIL, temperature=2.0, tail=tail)


def test_unknown_tail_is_refused():
    with pytest.raises(ValueError, match="Known: left_out"):
        soft_targets(STUDENT, KEPT, IDS, tail="dropped")


@pytest.mark.parametrize("tail", ["left_out", "renormalised", "bucket"])
def test_gradient_is_finite_at_a_confident_student(tail):
    student = tf.constant([[200.0, 0, 0, 0, 0, 0]] * 2)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = soft_targets(student, KEPT, IDS, TAIL, tail=tail)
    assert np.isfinite(tape.gradient(loss, student).numpy()).all()


@pytest.mark.parametrize("tail", ["left_out", "renormalised", "bucket"])
def test_gradient_against_differences(tail):
    def loss(x):
        return tf.reduce_sum(soft_targets(x, KEPT, IDS, TAIL, tail=tail))

    theory, numeric = tf.test.compute_gradient(loss, [tf.constant(STUDENT)])
    np.testing.assert_allclose(theory[0], numeric[0], atol=2e-3)
