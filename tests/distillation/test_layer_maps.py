"""Layer maps: named, explicit and random ones, at any pair of depths."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.distillation.layer_maps import (
    ATTENTION,
    STATES,
    match_attention,
    match_layers,
    match_states,
    random_layers,
)


def parts(strategy, teacher, student):
    """Lists of the teacher's and of the student's numbers."""
    pairs = match_layers(strategy, teacher, student)
    return tuple([list(side) for side in zip(*pairs, strict=True)])


@pytest.mark.parametrize(
    ("strategy", "teacher", "student", "theirs", "ours"),
    [
        ("emb+skip", 12, 6, [0, 2, 4, 6, 8, 10, 12], [0, 1, 2, 3, 4, 5, 6]),
        ("emb+skip", 12, 8, [0, 3, 6, 9, 12], [0, 2, 4, 6, 8]),
        ("emb+skip", 12, 5, [0, 12], [0, 5]),
        ("emb+skip", 3, 6, [0, 1, 2, 3], [0, 2, 4, 6]),
        ("skip", 12, 4, [3, 6, 9, 12], [1, 2, 3, 4]),
        ("skip", 7, 3, [7], [3]),
        ("last", 12, 6, [7, 8, 9, 10, 11, 12], [1, 2, 3, 4, 5, 6]),
        ("last", 12, 3, [10, 11, 12], [1, 2, 3]),
        ("last", 2, 4, [1, 2], [3, 4]),
        ("final", 12, 5, [12], [5]),
        ("emb", 12, 5, [0], [0]),
        ("emb+final", 12, 5, [0, 12], [0, 5]),
        ("triple", 12, 6, [0, 6, 12], [0, 3, 6]),
        ("triple", 7, 3, [0, 3, 7], [0, 1, 3]),
        ("att_skip", 12, 6, [0, 2, 4, 6, 8, 10], [0, 1, 2, 3, 4, 5]),
        ("att_skip", 12, 8, [0, 3, 6, 9], [0, 2, 4, 6]),
        ("att_skip", 12, 5, [0], [0]),
        ("uniform", 12, 3, [3, 7, 11], [0, 1, 2]),
        ("uniform", 12, 5, [1, 3, 5, 7, 9], [0, 1, 2, 3, 4]),
        ("uniform", 4, 12, [0, 1, 2, 3], [2, 5, 8, 11]),
    ],
)
def test_named(strategy, teacher, student, theirs, ours):
    assert parts(strategy, teacher, student) == (theirs, ours)


@pytest.mark.parametrize("strategy", [*STATES, *ATTENTION])
def test_named_at_any_depths(strategy):
    first, beyond = (0, 0) if strategy in ATTENTION else (1, 1)
    if strategy.startswith(("emb", "triple")):
        first = 0
    for depths in itertools.product([1, 2, 3, 4, 5, 6, 7, 12, 24], repeat=2):
        sides = parts(strategy, *depths)
        assert len(sides[0]) == len(sides[1]) > 0
        for numbers, depth in zip(sides, depths, strict=True):
            assert numbers == sorted(numbers)
            assert first <= numbers[0] and numbers[-1] < depth + beyond
            # The middle of one layer is no other than its beginning.
            if strategy != "triple" or depth > 1:
                assert len(set(numbers)) == len(numbers)


def test_explicit_pairs_are_student_then_teacher():
    found = match_layers("0:0/3:6/6:12", teacher_layers=12, student_layers=6)
    assert found == [(0, 0), (6, 3), (12, 6)]
    assert match_states("6:12", 12, 6) == [(12, 6)]


def test_states_refuse_maps_of_attention():
    assert match_states("skip", 4, 2) == [(2, 1), (4, 2)]
    with pytest.raises(ValueError, match=r"'uniform'.*Known.*emb\+skip"):
        match_states("uniform", 12, 6)


@pytest.mark.parametrize(
    ("strategy", "pairs"),
    [
        ("uniform", [(1, 0), (3, 1)]),
        ("att_skip", [(0, 0), (2, 1)]),
        ("skip", [(1, 0), (3, 1)]),
        ("emb+skip", [(1, 0), (3, 1)]),
        ("last", [(2, 0), (3, 1)]),
        ("final", [(3, 1)]),
        ("0:0/1:4/2:3", [(3, 0), (2, 1)]),
    ],
)
def test_attention(strategy, pairs):
    assert match_attention(strategy, 4, 2) == pairs


@pytest.mark.parametrize("strategy", ["emb", "0:0", "0:3"])
def test_embeddings_have_no_attention(strategy):
    with pytest.raises(ValueError, match=r"matches no attention.*Known"):
        match_attention(strategy, 4, 2)


@pytest.mark.parametrize(
    "strategy",
    [
        "",
        "every",
        "random",
        "0",
        "0:",
        "0:0/",
        "0:0//1:1",
        "-1:2",
        "0:0,1:1",
        "1.0:2",
        "٣:١",
        " 0:0",
    ],
)
def test_unknown_maps_are_refused(strategy):
    with pytest.raises(
        ValueError, match=r"Unknown layer map.*Known: emb\+skip"
    ):
        match_layers(strategy, 12, 6)


@pytest.mark.parametrize("strategy", ["0:0/7:12", "0:0/6:13"])
def test_states_that_a_model_lacks_are_refused(strategy):
    with pytest.raises(ValueError, match="0 to 6 of the student and 0 to 12"):
        match_layers(strategy, 12, 6)


@pytest.mark.parametrize(("teacher", "student"), [(0, 6), (12, 0), (-1, 2)])
def test_models_without_layers_are_refused(teacher, student):
    with pytest.raises(ValueError, match="need layers of both models"):
        match_layers("skip", teacher, student)


def test_random_layers_are_sorted_and_different():
    drawn = [random_layers(12, 4, seed=1, step=i).numpy() for i in range(200)]
    for layers in drawn:
        assert len(layers) == 4
        assert (np.diff(layers) > 0).all()
    counts = np.bincount(np.concatenate(drawn), minlength=12)
    assert counts.min() > 40 and counts.max() < 95 and len(counts) == 12


def test_random_layers_depend_on_seed_and_step_alone():
    @tf.function
    def draw(step):
        return random_layers(12, 4, seed=7, step=step)

    found = [tuple(draw(tf.constant(i, tf.int64)).numpy()) for i in range(20)]
    again = [
        tuple(random_layers(12, 4, seed=7, step=i).numpy()) for i in range(20)
    ]
    other = [
        tuple(random_layers(12, 4, seed=8, step=i).numpy()) for i in range(20)
    ]
    assert found == again != other
    assert len(set(found)) > 10


def test_random_layers_of_equal_depths_are_all():
    found = random_layers(5, 5, seed=0, step=3)
    np.testing.assert_array_equal(found, range(5))


def test_random_layers_need_a_teacher_s_for_each():
    with pytest.raises(ValueError, match=r"each of 6.*there are 4.*Known"):
        random_layers(4, 6, seed=0, step=0)
