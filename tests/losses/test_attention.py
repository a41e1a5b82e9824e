"""Losses on attention by other formulas, and what they refuse."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfdistill.losses.attention import (
    attention_kl,
    attention_mse,
    attention_pearson,
)
from tfdistill.losses.reduction import loss_of
from tfdistill.losses.relations import relation_kl

LENGTHS = (4, 3)
MASK = np.arange(4) < np.array(LENGTHS)[:, None]
DRAW = np.random.default_rng(0)
STUDENT = DRAW.normal(size=(2, 2, 4, 4))
TEACHER = DRAW.normal(size=(2, 3, 4, 4))
SAME_HEADS = DRAW.normal(size=(2, 2, 4, 4))
SCORE_LOSSES = (attention_mse, attention_kl, attention_pearson)


def probs(scores, length):
    """Attention `[H, length, length]` of an example's tokens."""
    weights = np.exp(scores[:, :length, :length])
    return weights / weights.sum(-1, keepdims=True)


def test_average_heads():
    squares, divergences = [], []
    for s, t, n in zip(STUDENT, TEACHER, LENGTHS, strict=True):
        difference = (s.mean(0) - t.mean(0))[:n, :n]
        squares += list(np.ravel(difference**2))
        p, q = probs(t, n).mean(0), probs(s, n).mean(0)
        divergences += list((p * np.log(p / q)).sum(-1))
    mse = attention_mse(STUDENT, TEACHER, MASK, heads="average")
    np.testing.assert_allclose(loss_of(mse), np.mean(squares))
    kl = attention_kl(STUDENT, TEACHER, MASK, heads="average")
    np.testing.assert_allclose(loss_of(kl), np.mean(divergences))


def test_average_of_equal_heads_is_one_head():
    one, other = STUDENT[:, :1], TEACHER[:, :1]
    for loss in (attention_mse, attention_kl):
        repeated = loss(
            np.repeat(one, 2, axis=1),
            np.repeat(other, 4, axis=1),
            MASK,
            heads="average",
        )
        np.testing.assert_allclose(
            repeated.values, loss(one, other, MASK).values
        )


def test_a_constant_on_a_row_of_scores_changes_mse_alone():
    moved = STUDENT + DRAW.normal(size=(2, 2, 4, 1))
    kl = attention_kl(STUDENT, SAME_HEADS, MASK)
    np.testing.assert_allclose(
        attention_kl(moved, SAME_HEADS, MASK).values, kl.values
    )
    mse = attention_mse(STUDENT, SAME_HEADS, MASK)
    changed = attention_mse(moved, SAME_HEADS, MASK)
    assert np.abs(mse.values - changed.values).max() > 0.1


def test_clip_ends_the_gradient():
    student = tf.constant([[[[0.0, 30], [0, 0]]]])
    teacher = tf.zeros([1, 1, 2, 2])
    mask = np.ones([1, 2])

    def gradient(**arguments):
        with tf.GradientTape() as tape:
            tape.watch(student)
            loss = loss_of(attention_kl(student, teacher, mask, **arguments))
        return tape.gradient(loss, student)[0, 0, 0].numpy()

    # d/dscore = (p_s - p_t) / 2 rows; clipped, the first key adds nothing.
    np.testing.assert_allclose(gradient(), [-0.25, 0.25], rtol=1e-6)
    original = gradient(reduction="original")
    np.testing.assert_allclose(original, [0, 0], atol=1e-6)
    unclipped = gradient(reduction="original", clip=0.0)
    np.testing.assert_allclose(unclipped, [-0.25, 0.25], rtol=1e-6)


def test_original_takes_scores_of_at_most_minus_100_for_padding():
    student = np.array([[[[-100.0, -99], [1, 1]]]])
    teacher = np.array([[[[3.5, -99.5], [1, 1]]]])
    parts = attention_mse(student, teacher, np.ones([1, 2]))
    np.testing.assert_allclose(parts.values, [103.5**2 + 0.25])
    parts = attention_mse(
        student, teacher, np.ones([1, 2]), reduction="original"
    )
    np.testing.assert_allclose(parts.values, [3.5**2 + 0.25])


def test_pearson_is_scipys():
    expected = {name: [] for name in ("keys", "queries", "heads")}
    for s, t, n in zip(STUDENT, SAME_HEADS, LENGTHS, strict=True):
        p, q = probs(s, n), probs(t, n)
        for axis, name in ((2, "keys"), (1, "queries"), (0, "heads")):
            columns = [
                np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
                for x in (p, q)
            ]
            found = scipy.stats.pearsonr(*columns, axis=1).statistic
            expected[name].append(np.mean(1 - found))
    for name, values in expected.items():
        parts = attention_pearson(STUDENT, SAME_HEADS, MASK, along=[name])
        np.testing.assert_allclose(parts.values, values, rtol=1e-4)
        np.testing.assert_allclose(parts.weights, [1, 1])


def test_pearson_along_examples_needs_two():
    arguments = {"along": ["examples"]}
    parts = attention_pearson(STUDENT, SAME_HEADS, MASK, **arguments)
    # Two examples correlate fully, one way or the other.
    p, q = (
        np.stack(
            [probs(x, n)[:, :3, :3] for x, n in zip(y, (4, 3), strict=True)]
        )
        for y in (STUDENT, SAME_HEADS)
    )
    signs = np.sign((p[0] - p[1]) * (q[0] - q[1]))
    np.testing.assert_allclose(parts.values, [1 - signs.mean()] * 2, rtol=1e-3)
    alone = attention_pearson(
        STUDENT[:1], SAME_HEADS[:1], MASK[:1], **arguments
    )
    np.testing.assert_array_equal(alone.values, [0])


def test_unequal_heads_are_refused():
    for loss in SCORE_LOSSES:
        with pytest.raises(ValueError, match=r"has 2 .*heads=average"):
            loss(STUDENT, TEACHER, MASK)
    with pytest.raises(ValueError, match="relation_heads is needed"):
        relation_kl(STUDENT, TEACHER, MASK)


def test_unequal_lengths_are_refused():
    for loss in SCORE_LOSSES:
        with pytest.raises(ValueError, match="same B and L"):
            loss(STUDENT, SAME_HEADS[..., :3], MASK)


def test_unknown_choices_are_refused():
    for loss in SCORE_LOSSES:
        with pytest.raises(ValueError, match="Known: equal, average"):
            loss(STUDENT, TEACHER, MASK, heads="first")
        with pytest.raises(ValueError, match="Known: mean, original"):
            loss(STUDENT, SAME_HEADS, MASK, reduction="sum")
    with pytest.raises(ValueError, match="Known: keys, queries, heads"):
        attention_pearson(STUDENT, SAME_HEADS, MASK, along=["layers"])
    with pytest.raises(ValueError, match="clip=1"):
        attention_kl(STUDENT, SAME_HEADS, MASK, clip=1)
