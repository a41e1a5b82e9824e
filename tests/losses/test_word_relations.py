"""Relations between tokens: formulas, invariances, accuracy, bad input."""

import direct_relations as direct
import numpy as np
import pytest
import tensorflow as tf

from tfdistill.losses.reduction import loss_of
from tfdistill.losses.word_relations import (
    word_angle,
    word_angle_window,
    word_distance,
)

N = 2
LENGTHS = (7, 4, 1)
PADDED = 9
MASK = (np.arange(PADDED) < np.array(LENGTHS)[:, None]).astype(np.int32)
DRAW = np.random.default_rng(1)
STUDENT = DRAW.normal(size=(len(LENGTHS), N, PADDED, 4))
TEACHER = DRAW.normal(size=(len(LENGTHS), N, PADDED, 6))


def mean_window(student, teacher, mask):
    return word_angle_window(student, teacher, mask, window=5)


def l2_distance(student, teacher, mask):
    return word_distance(student, teacher, mask, distance="l2", penalty="l2")


def normalised_distance(student, teacher, mask):
    return word_distance(
        student, teacher, mask, distance="l2", penalty="l2", normalise=True
    )


LOSSES = {
    "cos": word_distance,
    "l2": l2_distance,
    "normalised": normalised_distance,
    "angle": word_angle,
    "window": mean_window,
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def value(name, student=STUDENT, teacher=TEACHER, mask=MASK):
    return float(loss_of(LOSSES[name](student, teacher, mask)))


def tokens_of():
    """States of every example and layer, without padding."""
    for b, length in enumerate(LENGTHS):
        for n in range(N):
            yield STUDENT[b, n, :length], TEACHER[b, n, :length]


def whole(length):
    return [list(range(length))] * length


def window(length, half):
    return [
        [j for j in range(i - half, i + half + 1) if 0 <= j < length]
        for i in range(length)
    ]


def test_distances_against_the_formula():
    count = N * sum(n**2 for n in LENGTHS)
    found = {
        "cos": sum(direct.divergence(s, t) for s, t in tokens_of()),
        "l2": sum(
            ((direct.distances(s) - direct.distances(t)) ** 2).sum()
            for s, t in tokens_of()
        ),
        "normalised": sum(
            ((direct.distances(s, True) - direct.distances(t, True)) ** 2).sum()
            for s, t in tokens_of()
            if len(s) > 1
        ),
    }
    for name, total in found.items():
        assert value(name) == pytest.approx(total / count, rel=1e-10)


def test_angles_against_the_formula():
    total = sum(
        direct.angle_differences(s, t, whole(len(s))) for s, t in tokens_of()
    )
    count = N * sum(n**3 for n in LENGTHS)
    assert value("angle") == pytest.approx(total / count, rel=1e-10)


def test_window_against_the_formula():
    total = sum(
        direct.angle_differences(s, t, window(len(s), 2))
        for s, t in tokens_of()
    )
    count = N * sum(len(js) ** 2 for n in LENGTHS for js in window(n, 2))
    assert value("window") == pytest.approx(total / count, rel=1e-10)


def test_original_window_against_the_formula():
    """Edges stand in for what is beyond them, and padding counts."""
    total = 0.0
    for b, length in enumerate(LENGTHS):
        near = [
            np.clip(range(i - 2, i + 3), 0, PADDED - 1) for i in range(length)
        ]
        for n in range(N):
            total += direct.angle_differences(
                STUDENT[b, n], TEACHER[b, n], near
            )
    parts = word_angle_window(
        STUDENT, TEACHER, MASK, window=5, reduction="original"
    )
    count = N * 25 * sum(LENGTHS)
    assert float(loss_of(parts)) == pytest.approx(total / count, rel=1e-10)


@pytest.mark.parametrize("window", [13, 21])
def test_window_that_holds_all_tokens_is_the_whole_angle(window):
    found = word_angle_window(STUDENT, TEACHER, MASK, window=window)
    expected = word_angle(STUDENT, TEACHER, MASK)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-10)
    np.testing.assert_array_equal(found.weights, expected.weights)


def test_window_of_one_position_compares_nothing():
    parts = word_angle_window(STUDENT, TEACHER, MASK, window=1)
    assert not parts.values.numpy().any()


@every_loss
def test_more_padding_changes_nothing(name):
    wide = [(0, 0), (0, 0), (0, 5), (0, 0)]
    parts = LOSSES[name](
        np.pad(STUDENT, wide, constant_values=3.0),
        np.pad(TEACHER, wide, constant_values=-2.0),
        np.pad(MASK, wide[1:3]),
    )
    before = LOSSES[name](STUDENT, TEACHER, MASK)
    np.testing.assert_allclose(parts.values, before.values, rtol=1e-12)
    np.testing.assert_array_equal(parts.weights, before.weights)


@every_loss
def test_rotating_changes_nothing(name):
    rotation, _ = np.linalg.qr(DRAW.normal(size=(4, 4)))
    assert value(name, STUDENT @ rotation) == pytest.approx(
        value(name), rel=1e-10
    )


@pytest.mark.parametrize("name", ["cos", "normalised", "angle", "window"])
def test_scaling_changes_nothing(name):
    assert value(name, STUDENT * 3.7) == pytest.approx(value(name), rel=1e-10)


@pytest.mark.parametrize("name", ["l2", "normalised", "angle", "window"])
def test_adding_a_vector_changes_nothing(name):
    moved = STUDENT + np.array([1.0, -2.0, 3.0, 0.5])
    assert value(name, moved) == pytest.approx(value(name), rel=1e-9)


@every_loss
def test_order_of_layers_does_not_matter(name):
    assert value(name, STUDENT[:, ::-1], TEACHER[:, ::-1]) == pytest.approx(
        value(name), rel=1e-10
    )


@pytest.mark.parametrize("name", ["l2", "normalised", "angle", "window"])
def test_float32_keeps_its_digits_with_a_common_offset(name):
    draw = np.random.default_rng(2)
    student = draw.normal(size=(1, 1, 64, 96)) + 10
    teacher = draw.normal(size=(1, 1, 64, 768)) + 10
    student, teacher = np.float32(student), np.float32(teacher)
    mask = np.ones((1, 64))
    exact = value(name, student.astype(float), teacher.astype(float), mask)
    assert value(name, student, teacher, mask) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(("offset", "tolerance"), [(0, 1e-6), (10, 1e-4)])
def test_float32_divergence(offset, tolerance):
    """With the offset all cosines are between 0.98 and 1."""
    draw = np.random.default_rng(3)
    student = np.float32(draw.normal(size=(1, 1, 128, 96)) + offset)
    teacher = np.float32(draw.normal(size=(1, 1, 128, 768)) + offset)
    mask = np.ones((1, 128))
    exact = value("cos", student.astype(float), teacher.astype(float), mask)
    found = value("cos", student, teacher, mask)
    assert found == pytest.approx(exact, rel=tolerance)


@every_loss
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tokens_at_one_place(name, dtype):
    """No direction, no angle: gradients stay finite, and moderate."""
    student = DRAW.normal(size=(1, 1, 6, 768))
    student[:, :, 1] = student[:, :, 4] = student[:, :, 2]
    student[:, :, 5] = 0
    teacher = DRAW.normal(size=(1, 1, 6, 768))
    student = tf.constant(student, dtype)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = loss_of(LOSSES[name](student, teacher, np.ones((1, 6))))
    gradient = tape.gradient(loss, student).numpy()
    assert np.isfinite(gradient).all()
    limit = 1e4 if name == "l2" else 1
    assert np.abs(gradient).max() < limit


@pytest.mark.parametrize("name", ["angle", "window"])
def test_tokens_at_one_place_have_no_angle_in_float32(name):
    student = DRAW.normal(size=(1, 1, 6, 768))
    student[:, :, 1] = student[:, :, 4] = student[:, :, 2]
    teacher = DRAW.normal(size=(1, 1, 6, 768))
    mask = np.ones((1, 6))
    exact = value(name, student, teacher, mask)
    found = value(name, np.float32(student), np.float32(teacher), mask)
    assert found == pytest.approx(exact, rel=1e-5)


@every_loss
def test_states_that_are_all_equal(name):
    student = tf.ones([1, 1, 6, 5]) * 0.1
    teacher = np.float32(DRAW.normal(size=(1, 1, 6, 8)))
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = loss_of(LOSSES[name](student, teacher, np.ones((1, 6))))
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
def test_eager_and_graph_of_unknown_shape_agree(name):
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, N, None, 4], tf.float64),
            tf.TensorSpec([None, N, None, 6], tf.float64),
            tf.TensorSpec([None, None], tf.int32),
        ]
    )
    def graph(student, teacher, mask):
        return loss_of(LOSSES[name](student, teacher, mask))

    assert float(graph(STUDENT, TEACHER, MASK)) == pytest.approx(
        value(name), rel=1e-10
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distance": "l1"}, "Unknown distance 'l1'. Known: cos, l2"),
        ({"penalty": "l2"}, "distance=cos does not go with penalty=l2.*kl"),
        ({"distance": "l2"}, "penalty=kl. Known: l1, l2, smooth_l1"),
        ({"normalise": True}, "is for distance=l2"),
    ],
)
def test_distances_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        word_distance(STUDENT, TEACHER, MASK, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"penalty": "kl"}, "Unknown penalty 'kl'. Known: l1, l2, smooth_l1"),
        ({"window": 4}, "window=4 is not an odd number"),
        ({"window": -1}, "window=-1 is not an odd number"),
        ({"reduction": "sum"}, "Unknown reduction 'sum'. Known: mean, orig"),
    ],
)
def test_windows_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        word_angle_window(STUDENT, TEACHER, MASK, **arguments)


@every_loss
@pytest.mark.parametrize(
    ("student", "teacher", "mask"),
    [
        (STUDENT[:, :1], TEACHER, MASK),
        (STUDENT, TEACHER[:, :, 1:], MASK),
        (STUDENT, TEACHER, MASK[:, 1:]),
        (STUDENT[:, 0], TEACHER[:, 0], MASK),
        (STUDENT[1:], TEACHER, MASK),
    ],
)
def test_shapes_that_do_not_fit(name, student, teacher, mask):
    with pytest.raises(ValueError, match="same B, N and L"):
        LOSSES[name](student, teacher, mask)
