"""Relations between a token's layers: formulas, invariances, accuracy."""

import direct_relations as direct
import numpy as np
import pytest
import tensorflow as tf

from tfdistill.losses.layer_relations import layer_angle, layer_distance
from tfdistill.losses.reduction import loss_of

B, N, L = 2, 4, 5
MASK = (np.arange(L) < np.array([[5], [3]])).astype(np.int32)
DRAW = np.random.default_rng(1)
STUDENT = DRAW.normal(size=(B, N, L, 4))
TEACHER = DRAW.normal(size=(B, N, L, 6))


def l2_distance(student, teacher, mask):
    return layer_distance(student, teacher, mask, distance="l2", penalty="l2")


def normalised_distance(student, teacher, mask):
    return layer_distance(
        student, teacher, mask, distance="l2", penalty="l2", normalise=True
    )


LOSSES = {
    "cos": layer_distance,
    "l2": l2_distance,
    "normalised": normalised_distance,
    "angle": layer_angle,
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def value(name, student=STUDENT, teacher=TEACHER, mask=MASK):
    return float(loss_of(LOSSES[name](student, teacher, mask)))


def squares(student, teacher, normalise):
    difference = direct.distances(student, normalise) - direct.distances(
        teacher, normalise
    )
    return (difference**2).sum()


FORMULAS = {
    "cos": (2, direct.divergence),
    "l2": (2, lambda s, t: squares(s, t, False)),
    "normalised": (2, lambda s, t: squares(s, t, True)),
    "angle": (
        3,
        lambda s, t: direct.angle_differences(s, t, [list(range(N))] * N),
    ),
}


@every_loss
def test_against_the_formula(name):
    power, formula = FORMULAS[name]
    total = sum(
        formula(STUDENT[b, :, i], TEACHER[b, :, i])
        for b, i in np.argwhere(MASK)
    )
    count = N**power * MASK.sum()
    assert value(name) == pytest.approx(total / count, rel=1e-10)


@every_loss
def test_order_of_tokens_does_not_matter(name):
    order = DRAW.permutation(L)
    found = value(
        name, STUDENT[:, :, order], TEACHER[:, :, order], MASK[:, order]
    )
    assert found == pytest.approx(value(name), rel=1e-10)


@every_loss
def test_rotating_changes_nothing(name):
    rotation, _ = np.linalg.qr(DRAW.normal(size=(4, 4)))
    assert value(name, STUDENT @ rotation) == pytest.approx(
        value(name), rel=1e-10
    )


@pytest.mark.parametrize("name", ["cos", "normalised", "angle"])
def test_scaling_changes_nothing(name):
    assert value(name, STUDENT * 3.7) == pytest.approx(value(name), rel=1e-10)


@pytest.mark.parametrize("name", ["l2", "normalised", "angle"])
def test_adding_a_vector_changes_nothing(name):
    moved = STUDENT + np.array([1.0, -2.0, 3.0, 0.5])
    assert value(name, moved) == pytest.approx(value(name), rel=1e-9)


@pytest.mark.parametrize("name", ["l2", "normalised", "angle"])
def test_float32_keeps_its_digits_with_a_common_offset(name):
    student = np.float32(DRAW.normal(size=(1, 7, 16, 96)) + 10)
    teacher = np.float32(DRAW.normal(size=(1, 7, 16, 768)) + 10)
    mask = np.ones((1, 16))
    exact = value(name, student.astype(float), teacher.astype(float), mask)
    assert value(name, student, teacher, mask) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "layers"), [("cos", 2), ("l2", 1), ("normalised", 1), ("angle", 2)]
)
def test_too_few_layers_give_zero(name, layers):
    student = tf.constant(STUDENT[:, :layers])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = loss_of(LOSSES[name](student, TEACHER[:, :layers], MASK))
    assert float(loss) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(tape.gradient(loss, student), 0, atol=1e-12)


@every_loss
def test_layers_that_are_all_equal(name):
    student = tf.ones([B, N, L, 3]) * 0.1
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = loss_of(LOSSES[name](student, np.float32(TEACHER), MASK))
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, student)).all()


@every_loss
def test_teacher_has_no_gradient(name):
    teacher = tf.constant(TEACHER)
    with tf.GradientTape() as tape:
        tape.watch(teacher)
        loss = loss_of(LOSSES[name](STUDENT, teacher, MASK))
    assert tape.gradient(loss, teacher) is None


@every_loss
def test_shapes_that_do_not_fit(name):
    with pytest.raises(ValueError, match="same B, N and L"):
        LOSSES[name](STUDENT[:, 1:], TEACHER, MASK)


def test_choices_that_are_not_known():
    with pytest.raises(ValueError, match="Unknown distance 'l1'"):
        layer_distance(STUDENT, TEACHER, MASK, distance="l1")
    with pytest.raises(ValueError, match="Unknown penalty 'kl'"):
        layer_angle(STUDENT, TEACHER, MASK, penalty="kl")
