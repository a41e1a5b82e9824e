"""Losses on hidden states by hand, and what they refuse."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.losses.hidden import (
    alp,
    hidden_cosine,
    hidden_mse,
    pkd,
)
from tfdistill.losses.reduction import loss_of

# Two examples of two positions; the second example has one token.
STUDENT = np.array([[[3.0, 4], [1, 0]], [[0, 2], [9, 9]]])
TEACHER = np.array([[[4.0, 3], [0, 1]], [[0, 1], [5, 6]]])
MASK = np.array([[1, 1], [1, 0]])


@pytest.mark.parametrize(
    ("tokens", "reduction", "values", "weights"),
    [
        ("all", "mean", [1 + 1, 0.5], [2, 1]),
        ("all", "original", [1 + 1, 0.5 + 12.5], [2, 2]),
        ("first", "mean", [1, 0.5], [1, 1]),
        ("first", "original", [1, 0.5], [1, 1]),
    ],
)
def test_hidden_mse(tokens, reduction, values, weights):
    parts = hidden_mse(
        STUDENT, TEACHER, MASK, tokens=tokens, reduction=reduction
    )
    np.testing.assert_allclose(parts.values, values)
    np.testing.assert_allclose(parts.weights, weights)


def test_hidden_cosine():
    parts = hidden_cosine(STUDENT, TEACHER, MASK)
    np.testing.assert_allclose(parts.values, [1 - 24 / 25 + 1, 0], atol=1e-15)
    np.testing.assert_allclose(parts.weights, [2, 1])


@pytest.mark.parametrize(
    ("tokens", "reduction", "values", "weights"),
    [
        ("first", "mean", [0.08 / 2, 0], [1, 1]),
        ("first", "original", [0.08, 0], [1, 1]),
        ("all", "mean", [0.08 / 2 + 1, 0], [2, 1]),
    ],
)
def test_pkd(tokens, reduction, values, weights):
    parts = pkd(STUDENT, TEACHER, MASK, tokens=tokens, reduction=reduction)
    np.testing.assert_allclose(parts.values, values, atol=1e-15)
    np.testing.assert_allclose(parts.weights, weights)


def test_alp_of_one_layer_is_its_squared_difference():
    found = alp(STUDENT[:, 0], TEACHER[:, :1], MASK)
    expected = hidden_mse(STUDENT, TEACHER, MASK, tokens="first")
    np.testing.assert_allclose(found.values, expected.values)


def test_zeros_have_a_finite_gradient():
    zeros = tf.zeros([2, 2, 2])
    for loss in (pkd, hidden_cosine):
        with tf.GradientTape() as tape:
            tape.watch(zeros)
            value = loss_of(loss(zeros, TEACHER, MASK))
        gradient = tape.gradient(value, zeros)
        assert np.abs(gradient).max() < 10


def test_unequal_widths_are_refused():
    for loss in (hidden_mse, hidden_cosine, pkd):
        with pytest.raises(ValueError, match="project the student"):
            loss(STUDENT, TEACHER[..., :1], MASK)
    with pytest.raises(ValueError, match=r"\[B, N, D\]"):
        alp(STUDENT[:, 0], TEACHER[..., :1], MASK)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="Known: all, first"):
        hidden_mse(STUDENT, TEACHER, MASK, tokens="last")
    with pytest.raises(ValueError, match="Known: mean, original"):
        hidden_mse(STUDENT, TEACHER, MASK, reduction="sum")
