"""The losses of D-BERT, on two examples worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.losses.labels import cross_entropy
from tfdistill.losses.logits import logit_mse, squared_error
from tfdistill.losses.soft_targets import soft_targets

STUDENT = np.array([[1.0, -1.0], [0.5, 2.0]])
TEACHER = np.array([[2.0, -2.0], [-1.0, 3.0]])
LOG_PROBS = tf.nn.log_softmax(TEACHER)
# Of the published runs: KL without the factor T squared.
PUBLISHED = {
    "temperature": 3.0,
    "divergence": "kl",
    "scale_by_temperature": False,
}


def kl(student=STUDENT, **more):
    return soft_targets(student, LOG_PROBS, **PUBLISHED, **more)


def test_squared_errors_are_means_over_classes():
    found = logit_mse(STUDENT, TEACHER)
    assert np.mean(found) == 1.3125
    # As the paper writes it, sums of each example.
    np.testing.assert_allclose(2 * found, [2.0, 3.25])
    labels = cross_entropy(STUDENT, TEACHER.argmax(-1))
    assert np.mean(labels) == pytest.approx(0.1641706445, abs=1e-7)


def test_scores():
    found = squared_error(np.array([1.0, 3.0]), np.array([2.0, 5.0]))
    assert np.mean(found) == 2.5


def test_divergence_at_a_temperature():
    np.testing.assert_allclose(kl(), [0.0413352, 0.0662740], atol=5e-8)
    assert np.mean(kl()) == pytest.approx(0.0538046149, abs=1e-9)


def test_focal_weights():
    found = kl(focal=True)
    np.testing.assert_allclose(found / kl(), [0.6784873, 0.7550813], atol=5e-8)
    assert np.mean(found) == pytest.approx(0.0390438445, abs=1e-9)


def test_focal_weights_have_no_gradient():
    student = tf.constant(STUDENT)
    weights = kl(focal=True) / kl()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(student)
        focal = tf.reduce_sum(kl(student, focal=True))
        weighted = tf.reduce_sum(weights * kl(student))
    np.testing.assert_allclose(
        tape.gradient(focal, student), tape.gradient(weighted, student)
    )


def test_focal_weights_of_truncated_distributions():
    """The most probable of the kept pieces, in whatever order they are."""
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(2, 3, 4, 6)) * 3
    log_probs = tf.nn.log_softmax(teacher)
    ids = np.argsort(teacher)[..., [3, 5]]
    tail = tf.math.log(
        1 - tf.reduce_sum(tf.exp(tf.gather(log_probs, ids, batch_dims=2)), -1)
    )
    found = [
        soft_targets(
            student,
            tf.gather(log_probs, ids, batch_dims=2),
            ids,
            tail,
            tail="bucket",
            focal=focal,
        )
        for focal in (True, False)
    ]
    best = np.take_along_axis(
        tf.nn.softmax(student).numpy(), teacher.argmax(-1)[..., None], -1
    )
    np.testing.assert_allclose(found[0] / found[1], 2 * (1 - best[..., 0]))


def test_equal_logits():
    assert not np.any(logit_mse(TEACHER, TEACHER))
    np.testing.assert_allclose(kl(TEACHER, focal=True), 0, atol=1e-12)
