"""Soft targets' divergences, by definition, over tails and sides."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.losses.soft_targets import (
    DIVERGENCES,
    check_divergence,
    soft_targets,
)

V, K = 7, 3
DRAW = np.random.default_rng(1)
STUDENT = DRAW.normal(size=(4, V)) * 2
TEACHER = DRAW.normal(size=(4, V)) * 2
IDS = np.argsort(-TEACHER, axis=-1)[:, :K].astype(np.int32)
TAILS = ("left_out", "renormalised", "bucket")
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES)
SYMMETRIC_OR_REVERSE = ("reverse_kl", "jensen_shannon")


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def kl(p, q):
    return (p * np.log(p / q)).sum(-1)


def by_definition(divergence, p, q):
    """From a teacher's and a student's probabilities of the same classes."""
    mean = (p + q) / 2
    return {
        "cross_entropy": lambda: -(p * np.log(q)).sum(-1),
        "kl": lambda: kl(p, q),
        "reverse_kl": lambda: kl(q, p),
        "jensen_shannon": lambda: (kl(p, mean) + kl(q, mean)) / 2,
    }[divergence]()


def kept():
    """What is recorded of the teacher: K logarithms, and the tail's."""
    log_probs = np.log(softmax(TEACHER))
    top = np.take_along_axis(log_probs, IDS, -1)
    return top, np.log(1 - np.exp(top).sum(-1))


def with_bucket(probs):
    top = np.take_along_axis(probs, IDS, -1)
    return np.append(top, 1 - top.sum(-1, keepdims=True), -1)


@every_divergence
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_whole(divergence, temperature):
    found = soft_targets(
        STUDENT,
        np.log(softmax(TEACHER)),
        temperature=temperature,
        divergence=divergence,
    )
    expected = temperature**2 * by_definition(
        divergence,
        softmax(TEACHER / temperature),
        softmax(STUDENT / temperature),
    )
    assert found.dtype == tf.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@every_divergence
def test_temperature_of_the_teacher_alone(divergence):
    found = soft_targets(
        STUDENT,
        TEACHER,
        temperature=10.0,
        sides="teacher",
        divergence=divergence,
        scale_by_temperature=False,
    )
    expected = by_definition(
        divergence, softmax(TEACHER / 10), softmax(STUDENT)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_truncated_teacher_with_its_own_temperature():
    """As Distill-BERT-Textgen: K logits at T, the student's whole at 1."""
    top = np.take_along_axis(TEACHER, IDS, -1)
    found = soft_targets(
        STUDENT,
        top,
        IDS,
        temperature=10.0,
        sides="teacher",
        tail="renormalised",
        scale_by_temperature=False,
    )
    student = np.take_along_axis(np.log(softmax(STUDENT)), IDS, -1)
    expected = -(softmax(top / 10) * student).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@every_divergence
def test_bucket(divergence):
    found = soft_targets(
        STUDENT, kept()[0], IDS, kept()[1], tail="bucket", divergence=divergence
    )
    expected = by_definition(
        divergence, with_bucket(softmax(TEACHER)), with_bucket(softmax(STUDENT))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("divergence", SYMMETRIC_OR_REVERSE)
def test_renormalised_compares_what_both_give_the_kept_pieces(divergence):
    found = soft_targets(
        STUDENT, kept()[0], IDS, tail="renormalised", divergence=divergence
    )
    p, q = (softmax(np.take_along_axis(x, IDS, -1)) for x in (TEACHER, STUDENT))
    np.testing.assert_allclose(
        found, by_definition(divergence, p, q), rtol=1e-12
    )


@pytest.mark.parametrize("tail", TAILS)
def test_kl_is_cross_entropy_less_its_floor(tail):
    arguments = (STUDENT, kept()[0], IDS, kept()[1])
    crossed = soft_targets(*arguments, tail=tail)
    found = soft_targets(*arguments, tail=tail, divergence="kl")
    p = np.exp(kept()[0])
    if tail == "renormalised":
        p = p / p.sum(-1, keepdims=True)
    elif tail == "bucket":
        p = np.append(p, np.exp(kept()[1])[:, None], -1)
    floor = -(p * np.log(p / p.sum(-1, keepdims=True))).sum(-1)
    np.testing.assert_allclose(found, crossed - floor, rtol=1e-10)


@pytest.mark.parametrize("tail", TAILS)
def test_kl_is_zero_for_the_best_student(tail):
    best = np.full((4, V), -60.0)
    if tail == "bucket":
        best = np.log(softmax(TEACHER))
    np.put_along_axis(best, IDS, kept()[0], -1)
    found = soft_targets(
        best, kept()[0], IDS, kept()[1], tail=tail, divergence="kl"
    )
    np.testing.assert_allclose(found, 0, atol=1e-12)


@pytest.mark.parametrize("divergence", ["kl", *SYMMETRIC_OR_REVERSE])
def test_equal_sides_give_zero_with_no_gradient(divergence):
    student = tf.constant(TEACHER, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(student)
        values = soft_targets(
            student, TEACHER, temperature=2.0, divergence=divergence
        )
    np.testing.assert_allclose(values, 0, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(values, student), 0, atol=1e-6)


def test_jensen_shannon_is_symmetric_and_bounded():
    one = soft_targets(STUDENT, TEACHER, divergence="jensen_shannon")
    other = soft_targets(TEACHER, STUDENT, divergence="jensen_shannon")
    np.testing.assert_allclose(one, other, rtol=1e-12)
    apart = np.where(np.arange(V) < 3, 200.0, 0.0)[None]
    found = soft_targets(apart, 200 - apart, divergence="jensen_shannon")
    np.testing.assert_allclose(found, np.log(2), rtol=1e-12)


@every_divergence
@pytest.mark.parametrize("nothing", [-np.inf, -1e30])
def test_pieces_without_probability(divergence, nothing):
    """0 log 0 is 0, in values and gradients; reverse KL has none such."""
    teacher = np.log(softmax(TEACHER))
    teacher[:, 2] = nothing
    logits = STUDENT.copy()
    if divergence == "reverse_kl":
        logits[:, 2] = -1e5
    student = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(student)
        found = soft_targets(student, teacher, divergence=divergence)
    gradient = tape.gradient(found, student)
    p, q = softmax(teacher), softmax(logits)
    mean = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = {
            "cross_entropy": -np.nansum(p * np.log(q), -1),
            "kl": np.nansum(p * np.log(p / q), -1),
            "reverse_kl": np.nansum(q * np.log(q / p), -1),
            "jensen_shannon": (
                np.nansum(p * np.log(p / mean), -1)
                + np.nansum(q * np.log(q / mean), -1)
            )
            / 2,
        }[divergence]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert np.isfinite(gradient).all()


@every_divergence
@pytest.mark.parametrize("tail", ["whole", "renormalised", "bucket"])
def test_gradient_against_differences(divergence, tail):
    def loss(x):
        if tail == "whole":
            return soft_targets(x, TEACHER, divergence=divergence)
        return soft_targets(
            x, kept()[0], IDS, kept()[1], tail=tail, divergence=divergence
        )

    theory, numeric = tf.test.compute_gradient(
        loss, [tf.constant(STUDENT)], delta=1e-6
    )
    np.testing.assert_allclose(theory[0], numeric[0], atol=1e-8)


@every_divergence
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
def test_half_types_are_computed_in_float32(divergence, dtype):
    student = tf.cast(STUDENT, dtype)
    found = soft_targets(student, TEACHER, divergence=divergence)
    exact = soft_targets(
        tf.cast(student, tf.float64), TEACHER, divergence=divergence
    )
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, exact, rtol=2e-5)


def test_temperature_that_changes_in_training():
    @tf.function
    def loss(temperature):
        return soft_targets(STUDENT, TEACHER, temperature=temperature)

    for temperature in (1.0, 3.0):
        np.testing.assert_allclose(
            loss(tf.constant(temperature)),
            soft_targets(STUDENT, TEACHER, temperature=temperature),
            rtol=1e-12,
        )


@pytest.mark.parametrize("divergence", SYMMETRIC_OR_REVERSE)
def test_left_out_mass_is_refused(divergence):
    with pytest.raises(ValueError, match="compares all mass of both sides"):
        soft_targets(STUDENT, kept()[0], IDS, divergence=divergence)
    check_divergence(divergence, sides="both", tail="left_out", is_whole=True)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="Known: cross_entropy, kl, reverse"):
        soft_targets(STUDENT, TEACHER, divergence="js")
    with pytest.raises(ValueError, match="Known: both, teacher"):
        soft_targets(STUDENT, TEACHER, sides="student")
    with pytest.raises(ValueError, match="temperature=0 is not positive"):
        soft_targets(STUDENT, TEACHER, temperature=0)
