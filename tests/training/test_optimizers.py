"""Optimizer and schedules against numbers worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdistill.training import SCHEDULES, Schedule, make_optimizer

START = [0.1, -0.2, -0.1]


def optimizer_for(variables, rate=0.01, decay=0.0):
    return make_optimizer(
        f"bert_adam(weight_decay={decay})",
        Schedule("constant", rate, 0, 1000),
        variables,
    )


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (0.0, [0.0683792, -0.1683782, -0.1]),
        (0.01, [0.0683692, -0.1683582, -0.09999]),
    ],
)
def test_first_update(decay, expected):
    w = keras.Variable(START, name="kernel")
    optimizer = optimizer_for({"kernel": w}, decay=decay)
    optimizer.apply([tf.constant([0.5, -1.0, 0.0])], [w])
    np.testing.assert_allclose(w.numpy(), expected, atol=5e-8)


def test_size_of_the_first_updates():
    w = keras.Variable([0.0, 0.0], name="kernel")
    optimizer = optimizer_for({"kernel": w}, rate=1.0)
    gradient = tf.constant([0.5, -1.0])
    optimizer.apply([gradient], [w])
    first = w.numpy()
    np.testing.assert_allclose(first, [-3.1620777, 3.1621777], rtol=1e-6)
    optimizer.apply([gradient], [w])
    np.testing.assert_allclose(
        w.numpy() - first, [-4.2494016, 4.2494966], rtol=1e-6
    )


def test_hundred_steps():
    x = tf.constant([0.4, 0.2, -0.5])
    w = keras.Variable(START, name="kernel")
    optimizer = optimizer_for({"kernel": w}, rate=0.2)
    for _ in range(100):
        optimizer.apply([2 * (w.value - x) / 3], [w])
    np.testing.assert_allclose(
        w.numpy(), [0.401646, 0.197824, -0.497824], atol=2e-6
    )


def test_norms_and_biases_are_not_decayed():
    names = [
        "encoder/word_embeddings/table",
        "encoder/layer_0/qkv/kernel",
        "encoder/layer_0/qkv/bias",
        "encoder/embeddings_layer_norm/gamma",
        "encoder/layer_0/output_layer_norm/beta",
        "output_bias",
    ]
    variables = {n: keras.Variable([1.0], name="v") for n in names}
    optimizer = optimizer_for(variables, rate=0.1, decay=0.5)
    zeros = [tf.zeros([1])] * len(names)
    optimizer.apply(zeros, list(variables.values()))
    decayed = [n for n, v in variables.items() if float(v.numpy()[0]) < 1]
    assert decayed == names[:2]


def test_adamw_corrects_its_bias():
    w = keras.Variable([0.0], name="kernel")
    schedule = Schedule("constant", 0.1, 0, 10)
    optimizer = make_optimizer("adamw(weight_decay=0)", schedule, {"k": w})
    optimizer.apply([tf.constant([3.0])], [w])
    np.testing.assert_allclose(w.numpy(), [-0.1], rtol=1e-5)


@pytest.mark.parametrize(
    ("peak", "warmup", "total", "expected"),
    [
        (
            5e-5,
            10_000,
            100_000,
            {
                0: 0.0,
                1: 5e-9,
                5000: 2.5e-5,
                9999: 4.9995e-5,
                10_000: 4.5e-5,
                55_000: 2.25e-5,
                100_000: 0.0,
                200_000: 0.0,
            },
        ),
        # Eight times the rate for an eighth of the steps.
        (
            4e-4,
            1250,
            12_500,
            {
                625: 2.0e-4,
                1249: 3.9968e-4,
                1250: 3.6e-4,
                6875: 1.8e-4,
                12_500: 0.0,
            },
        ),
    ],
)
def test_published_schedule(peak, warmup, total, expected):
    schedule = Schedule("bert_linear", peak, warmup, total)
    for step, rate in expected.items():
        np.testing.assert_allclose(
            float(schedule(step)), rate, rtol=2e-6, atol=1e-12
        )


def test_warmup_linear_joins_at_the_peak():
    schedule = Schedule("warmup_linear", 1.0, 10, 110)
    rates = [float(schedule(s)) for s in range(111)]
    assert max(rates) == rates[10] == 1.0
    np.testing.assert_allclose(np.abs(np.diff(rates[10:])), 0.01, atol=1e-6)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_every_schedule_without_warmup_starts_at_the_peak(kind):
    assert float(Schedule(kind, 0.5, 0, 100)(0)) == 0.5


def test_wrong_schedules_are_refused():
    with pytest.raises(ValueError, match="Known: bert_linear"):
        Schedule("cosine", 1.0, 0, 10)
    with pytest.raises(ValueError, match="num_warmup_steps=11"):
        Schedule("constant", 1.0, 11, 10)
    with pytest.raises(ValueError, match="Known: adamw, bert_adam"):
        make_optimizer("lamb", Schedule("constant", 1.0, 0, 10), {})


def test_clipping_of_the_worked_gradient():
    clipped, norm = tf.clip_by_global_norm([tf.constant([0.5, -1.0, 0.0])], 1.0)
    np.testing.assert_allclose(norm, 1.118034, rtol=1e-6)
    np.testing.assert_allclose(
        clipped[0], [0.4472136, -0.8944272, 0.0], rtol=1e-6
    )
