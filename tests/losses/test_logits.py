"""Squared differences of logits and scores."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.losses.logits import logit_mse, squared_error

STUDENT = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]])
TEACHER = np.array([[1.0, 0.0, 6.0], [2.0, -1.0, 4.0]])


def test_values():
    np.testing.assert_allclose(logit_mse(STUDENT, TEACHER), [13 / 3, 4 / 3])
    np.testing.assert_allclose(
        logit_mse(STUDENT, TEACHER, temperature=2.0), [13 / 12, 1 / 3]
    )
    np.testing.assert_allclose(
        squared_error(STUDENT[:, 0], TEACHER[:, 0]), [0, 4]
    )


def test_classes_that_do_not_count():
    mask = [[1, 1, 0], [0, 0, 0]]
    student = STUDENT.copy()
    student[0, 2] = 1e9
    np.testing.assert_allclose(logit_mse(student, TEACHER, mask=mask), [2, 0])
    # One mask for both ends of a span.
    both = np.stack([STUDENT, student], axis=1)
    found = logit_mse(both, both[:, ::-1], mask=np.array(mask)[:, None])
    np.testing.assert_allclose(found, [[0, 0], [0, 0]])


def test_one_logit_is_a_score():
    np.testing.assert_allclose(
        logit_mse(STUDENT[:, :1], TEACHER[:, :1]),
        squared_error(STUDENT[:, 0], TEACHER[:, 0]),
    )


def test_gradient_is_the_student_s_alone():
    student, teacher = tf.constant(STUDENT), tf.constant(TEACHER)
    with tf.GradientTape() as tape:
        tape.watch([student, teacher])
        values = logit_mse(student, teacher)
    ours, theirs = tape.gradient(values, [student, teacher])
    np.testing.assert_allclose(ours, 2 / 3 * (STUDENT - TEACHER))
    assert theirs is None


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
def test_half_types_are_computed_in_float32(dtype):
    found = logit_mse(tf.cast(STUDENT, dtype), TEACHER)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, [13 / 3, 4 / 3], rtol=1e-6)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"one shape. Received: \(2, 3\)"):
        logit_mse(STUDENT, TEACHER[:, :1])
    with pytest.raises(ValueError, match="temperature=0 is not positive"):
        logit_mse(STUDENT, TEACHER, temperature=0)
