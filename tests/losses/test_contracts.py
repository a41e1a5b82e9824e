"""What every loss on states promises, over all entries of `LOSS_CASES`."""

import numpy as np
import pytest
import tensorflow as tf
from loss_cases import LOSS_CASES, mask_of, poisoned, random_inputs

from tfdistill.losses.reduction import loss_of

every_loss = pytest.mark.parametrize("name", LOSS_CASES)


def losses_where(holds):
    """Over the losses whose case has a property."""
    names = [name for name, case in LOSS_CASES.items() if holds(case)]
    assert names
    return pytest.mark.parametrize("name", names)


# A loss may say that no teacher equals a student, that it counts padding as
# the published code does, or that it compares examples with each other.
has_an_equal = losses_where(lambda case: case.equal is not None)
is_masked = losses_where(lambda case: case.is_masked)
is_exact_when_split = losses_where(lambda case: case.is_exact_when_split)


def parts_and_gradient(case, student, teacher, mask, dtype="float64"):
    """Parts, and the gradient of the loss with respect to the student."""
    student, teacher = tf.constant(student, dtype), tf.constant(teacher, dtype)
    with tf.GradientTape() as tape:
        tape.watch(student)
        parts = case.loss(student, teacher, mask)
        loss = loss_of(parts)
    assert parts.values.shape == parts.weights.shape == len(mask)
    return parts, tf.cast(tape.gradient(loss, student), tf.float64).numpy()


@has_an_equal
def test_student_equal_to_its_teacher_is_at_the_floor(name):
    case = LOSS_CASES[name]
    student, _ = random_inputs(case, seed=1)
    parts, gradient = parts_and_gradient(
        case, student, case.equal(student), mask_of()
    )
    tolerance = case.floor_tolerance
    np.testing.assert_allclose(loss_of(parts), case.floor, atol=tolerance)
    np.testing.assert_allclose(gradient, 0, atol=tolerance)


@every_loss
def test_other_students_are_above_the_floor(name):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=2)
    parts, gradient = parts_and_gradient(case, student, teacher, mask_of())
    assert loss_of(parts) > case.floor + 1e-3
    assert np.abs(gradient).max() > 1e-4


@is_masked
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -1e4])
def test_masked_positions_never_matter(name, value):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=3)
    mask = mask_of()
    parts, gradient = parts_and_gradient(case, student, teacher, mask)
    found, changed = parts_and_gradient(
        case,
        poisoned(student, mask, case.token_axes, value),
        poisoned(teacher, mask, case.token_axes, value),
        mask,
    )
    np.testing.assert_array_equal(found.values, parts.values)
    np.testing.assert_array_equal(found.weights, parts.weights)
    np.testing.assert_array_equal(changed, gradient)
    for axis in case.token_axes:
        moved = np.moveaxis(gradient, axis, 1)
        assert not moved[mask == 0].any()


@is_masked
def test_length_of_the_padding_never_matters(name):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=10)
    mask = mask_of((3, 2, 0, 1))
    parts, _ = parts_and_gradient(case, student, teacher, mask)
    for axis in case.token_axes:
        student = np.take(student, range(3), axis)
        teacher = np.take(teacher, range(3), axis)
    found, _ = parts_and_gradient(case, student, teacher, mask[:, :3])
    np.testing.assert_allclose(found.values, parts.values, rtol=1e-12)
    np.testing.assert_array_equal(found.weights, parts.weights)


@every_loss
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_batch_without_tokens_is_zero(name, value):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=4)
    mask = mask_of((0, 0, 0, 0))
    parts, gradient = parts_and_gradient(
        case,
        poisoned(student, mask, case.token_axes, value),
        poisoned(teacher, mask, case.token_axes, value),
        mask,
    )
    assert not parts.weights.numpy().any()
    assert not parts.values.numpy().any()
    assert loss_of(parts) == 0
    assert not gradient.any()


@every_loss
def test_example_without_tokens_does_not_count(name):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=5)
    mask = mask_of()
    real = mask.any(axis=1)
    parts, gradient = parts_and_gradient(case, student, teacher, mask)
    alone, alone_gradient = parts_and_gradient(
        case, student[real], teacher[real], mask[real]
    )
    np.testing.assert_allclose(loss_of(parts), loss_of(alone), rtol=1e-12)
    np.testing.assert_allclose(
        gradient[real], alone_gradient, rtol=1e-9, atol=1e-14
    )
    assert not gradient[~real].any()


@is_exact_when_split
def test_splitting_a_batch_gives_the_same_sums(name):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=6)
    mask = mask_of()
    whole, gradient = parts_and_gradient(case, student, teacher, mask)
    total = tf.reduce_sum(whole.weights)
    for cut in (slice(0, 1), slice(1, None)):
        part, found = parts_and_gradient(
            case, student[cut], teacher[cut], mask[cut]
        )
        np.testing.assert_allclose(part.values, whole.values[cut], rtol=1e-12)
        np.testing.assert_array_equal(part.weights, whole.weights[cut])
        share = tf.reduce_sum(part.weights) / total
        np.testing.assert_allclose(
            found * share, gradient[cut], rtol=1e-9, atol=1e-14
        )


@every_loss
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_float_types(name, dtype):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=7)
    exact, _ = parts_and_gradient(case, student, teacher, mask_of())
    parts, gradient = parts_and_gradient(
        case, student, teacher, mask_of(), dtype
    )
    assert parts.values.dtype == parts.weights.dtype == tf.float32
    assert np.isfinite(parts.values).all()
    assert np.isfinite(gradient).all()
    tolerance = {"bfloat16": 5e-2, "float16": 1e-2, "float32": 1e-5}[dtype]
    np.testing.assert_allclose(loss_of(parts), loss_of(exact), rtol=tolerance)


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_large_inputs_stay_finite(name, dtype):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=8)
    parts, gradient = parts_and_gradient(
        case, student * 1e3, teacher * 1e3, mask_of(), dtype
    )
    assert np.isfinite(parts.values).all()
    assert np.isfinite(gradient).all()


@every_loss
def test_gradient_against_differences(name):
    case = LOSS_CASES[name]
    student, teacher = random_inputs(case, seed=9)
    mask = mask_of()
    _, gradient = parts_and_gradient(case, student, teacher, mask)

    @tf.function(input_signature=[tf.TensorSpec(student.shape, tf.float64)])
    def loss(x):
        return loss_of(case.loss(x, tf.constant(teacher), mask))

    step = 1e-6
    numeric = np.zeros_like(student)
    for index in np.ndindex(student.shape):
        up, down = student.copy(), student.copy()
        up[index] += step
        down[index] -= step
        numeric[index] = (loss(up) - loss(down)) / (2 * step)
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)
