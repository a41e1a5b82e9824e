"""Contrastive terms by hand, and the negatives that are drawn."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.losses.contrastive import (
    crd_normaliser,
    crd_scores,
    group_by_label,
    nce,
    other_label_negatives,
    update_rows,
)
from tfdistill.losses.reduction import loss_of

LABELS = np.array([0, 1, 1, 2, 0, 1, 2, 1, 1, 0])


def draw(rows, num_negatives=3, *, labels=LABELS, seed=0, step=0):
    return other_label_negatives(
        group_by_label(labels), rows, num_negatives, seed=seed, step=step
    )


def test_nce():
    scores = tf.constant([[6.0, 2, 4]], tf.float64)
    found = nce(scores, normaliser=2.0, num_data=4, epsilon=0.0)
    c = 2 / 4
    expected = -np.log(3 / (3 + c)) - np.log(c / (1 + c)) - np.log(c / (2 + c))
    np.testing.assert_allclose(found, [expected])


def test_nce_of_a_positive_without_any_score_is_finite():
    scores = tf.constant([[0.0, 2, 4]])
    assert np.isfinite(nce(scores, normaliser=2.0, num_data=4)).all()


def test_normaliser_does_not_depend_on_the_split():
    anchor = np.array([[1.0, 0], [0, 1], [0.6, 0.8]])
    rows = np.stack([anchor, anchor[::-1]], axis=1)
    scores = crd_scores(anchor, rows, 0.5)
    is_real = np.array([1, 1, 0])
    whole = crd_normaliser(scores, is_real, 7)
    expected = np.exp(np.array([[2, 1.2], [0 + 2, 2]])).mean() * 7
    np.testing.assert_allclose(loss_of(whole), expected)
    first = crd_normaliser(scores[:1], is_real[:1], 7)
    np.testing.assert_allclose(first.values, whole.values[:1])


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_temperature_is_positive(temperature):
    with pytest.raises(ValueError, match="not positive"):
        crd_scores(np.ones([1, 2]), np.ones([1, 3, 2]), temperature)


def test_updated_rows():
    old, new = np.array([[1.0, 0]]), np.array([[0.0, 1]])
    np.testing.assert_array_equal(update_rows(old, new, 1.0), old)
    np.testing.assert_array_equal(update_rows(old, new, 0.0), new)
    np.testing.assert_allclose(update_rows(old, new), [[0.5**0.5] * 2])


def test_negatives_have_another_label_and_no_repetition():
    rows = np.arange(len(LABELS))
    for step in range(20):
        found = draw(rows, step=step)
        assert found.shape == (10, 3)
        for row, negatives in zip(rows, found, strict=True):
            assert LABELS[row] not in LABELS[negatives]
            assert len(set(negatives)) == 3


def test_negatives_are_uniform():
    counts = collections.Counter()
    for step in range(2000):
        counts.update(draw([3], step=step)[0])
    others = np.flatnonzero(LABELS != 2)
    assert sorted(counts) == list(others)
    # 2000 draws of 3 in 8: 750 of each, with a deviation of 22.
    assert max(abs(count - 750) for count in counts.values()) < 110


def test_all_others_are_drawn_where_that_many_are_asked_for():
    found = draw([3], num_negatives=8)[0]
    assert sorted(found) == list(np.flatnonzero(LABELS != 2))


def test_too_few_others_are_drawn_again():
    found = draw([1], num_negatives=50)[0]
    assert set(found) == set(np.flatnonzero(LABELS != 1))


def test_negatives_depend_on_seed_step_and_row_alone():
    np.testing.assert_array_equal(draw([3, 5])[1:], draw([5]))
    assert (draw([3], 8) != draw([3], 8, step=1)).any()
    assert (draw([3], 8) != draw([3], 8, seed=1)).any()


def test_labels_may_be_anything_that_differs():
    names = np.array(["b", "a", "c"])[LABELS]
    found = draw([0, 3], labels=names)
    assert not (names[found] == names[[0, 3]][:, None]).any()


def test_one_label_is_refused():
    with pytest.raises(ValueError, match="all training examples"):
        draw([0], labels=np.zeros(5))
