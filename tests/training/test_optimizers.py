"""Optimizer and schedules against golden numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from golden import golden

from tfdistill.training import (
    SCHEDULES,
    Schedule,
    make_optimizer,
    scaled_rate,
)

GOLDEN = golden("transformer_distillation")
WORKED = GOLDEN["optimizer"]
# The kernel takes 1 - beta_2 of a float32 beta_2, 1.3e-5 less than 0.001; an
# update's size has half of that, and 1 - beta_1 a little.
OF_AN_UPDATE = 7e-6


def optimizer_for(variables, rate=0.01, decay=0.0):
    return make_optimizer(
        f"bert_adam(weight_decay={decay})",
        Schedule("constant", rate, 0, 1000),
        variables,
    )


@pytest.mark.parametrize("case", WORKED["after_one_update"])
def test_first_update(case):
    w = keras.Variable(WORKED["start"], name="kernel")
    optimizer = optimizer_for(
        {"kernel": w}, WORKED["learning_rate"], case["weight_decay"]
    )
    optimizer.apply([tf.constant(WORKED["gradient"])], [w])
    start = np.array(WORKED["start"])
    np.testing.assert_allclose(
        w.numpy() - start,
        np.array(case["weights"]) - start,
        rtol=OF_AN_UPDATE,
        atol=5e-8,
    )


def test_size_of_the_first_updates():
    w = keras.Variable([0.0, 0.0], name="kernel")
    optimizer = optimizer_for({"kernel": w}, rate=1.0)
    before = w.numpy()
    for sizes in WORKED["update_sizes"]:
        optimizer.apply([tf.constant(WORKED["gradient"][:2])], [w])
        np.testing.assert_allclose(
            np.abs(w.numpy() - before), sizes, rtol=OF_AN_UPDATE
        )
        before = w.numpy()


def test_hundred_steps():
    case = WORKED["hundred_steps"]
    x = tf.constant(case["target"])
    w = keras.Variable(WORKED["start"], name="kernel")
    optimizer = optimizer_for({"kernel": w}, rate=case["learning_rate"])
    for _ in range(100):
        optimizer.apply([2 * (w.value - x) / 3], [w])
    np.testing.assert_allclose(w.numpy(), case["weights"], atol=2e-6)


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


def test_adamw_is_keras_adamw():
    """Twenty updates, weights that decay and a bias that does not."""
    start = {"kernel": [0.5, -2.0, 1e-3], "bias": [0.1, 0.0, -1.0]}
    ours, theirs = (
        [keras.Variable(x, name=name) for name, x in start.items()]
        for _ in range(2)
    )
    optimizer = make_optimizer(
        "adamw(weight_decay=0.1)",
        Schedule("constant", 0.01, 0, 100),
        dict(zip(start, ours, strict=True)),
    )
    expected = keras.optimizers.AdamW(0.01, weight_decay=0.1, epsilon=1e-8)
    expected.exclude_from_weight_decay(var_names=["bias"])
    rng = np.random.default_rng(1)
    for _ in range(20):
        gradients = [
            tf.constant(x, tf.float32) for x in rng.normal(size=(2, 3))
        ]
        optimizer.apply(gradients, ours)
        expected.apply(gradients, theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            one.numpy(), other.numpy(), rtol=0, atol=20 * 0.01 * OF_AN_UPDATE
        )


@pytest.mark.parametrize(
    ("spec", "rate", "expected"),
    [
        ("adadelta", 1.0, [0.9955279088, 0.9909988465, 0.9864312470]),
        (
            "adadelta(rho=0.95, epsilon=1e-7)",
            1.0,
            [0.9985857879, 0.9971535596, 0.9957091445],
        ),
        ("adadelta", 5e-4, [0.9999977640]),
    ],
)
def test_first_updates_of_adadelta(spec, rate, expected):
    """As PyTorch's, of a gradient of 1."""
    w = keras.Variable([1.0], name="kernel")
    optimizer = make_optimizer(
        spec, Schedule("constant", rate, 0, 10), {"kernel": w}
    )
    for value in expected:
        optimizer.apply([tf.constant([1.0])], [w])
        # Of numbers near 1 float32 has no more digits.
        np.testing.assert_allclose(w.numpy(), [value], atol=6e-8)


@pytest.mark.parametrize("spec", ["adadelta(rho=1)", "adadelta(epsilon=0)"])
def test_adadelta_out_of_range(spec):
    with pytest.raises(ValueError, match=r"=[01] in 'adadelta.* is not "):
        make_optimizer(spec, Schedule("constant", 1.0, 0, 10), {})


@pytest.mark.parametrize("case", GOLDEN["schedule"])
def test_published_schedule(case):
    schedule = Schedule(
        "bert_linear",
        case["peak"],
        case["num_warmup_steps"],
        case["num_train_steps"],
    )
    for step, rate in case["rates"].items():
        np.testing.assert_allclose(
            float(schedule(int(step))), rate, rtol=2e-6, atol=1e-12
        )


@pytest.mark.parametrize(
    ("scaling", "factor"), [("none", 1.0), ("linear", 8.0), ("sqrt", 8**0.5)]
)
def test_rates_grow_with_the_batch(scaling, factor):
    assert scaled_rate(5e-5, scaling, 256 / 32) == 5e-5 * factor


def test_linear_scaling_is_that_of_the_source_with_eight_ranks():
    peaks = [case["peak"] for case in GOLDEN["schedule"]]
    found = scaled_rate(5e-5, "linear", 8 * 32 / 32)
    assert any(found == pytest.approx(peak) for peak in peaks)


def test_first_update_of_the_teachers_of_d_bert():
    """O2: a gradient clipped to length 1, no bias correction."""
    w = keras.Variable([0.0, 0.0], name="kernel")
    schedule = Schedule("constant", 1.0, 0, 10)
    optimizer = make_optimizer("bert_adam(weight_decay=0)", schedule, {"k": w})
    clipped = tf.clip_by_norm(tf.constant([3.0, 4.0]), 1.0)
    optimizer.apply([clipped], [w])
    np.testing.assert_allclose(w.numpy(), [-3.16211, -3.16215], rtol=1e-5)


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 0.0), (1, 0.1), (10, 1.0), (50, 0.5556), (99, 0.0111), (100, 0.0)],
)
def test_schedule_of_d_bert(step, factor):
    """O3: of 100 steps the first 10 are warm-up."""
    schedule = Schedule("warmup_linear", 1.0, 10, 100)
    assert float(schedule(step)) == pytest.approx(factor, abs=5e-5)


def test_warmup_linear_joins_at_the_peak():
    schedule = Schedule("warmup_linear", 1.0, 10, 110)
    rates = [float(schedule(s)) for s in range(111)]
    assert max(rates) == rates[10] == 1.0
    np.testing.assert_allclose(np.abs(np.diff(rates[10:])), 0.01, atol=1e-6)


def test_noam_is_the_published_one():
    """With factor 2, width 512 and 8,000 steps of warm-up; steps from 1."""
    peak = 2 / np.sqrt(512 * 8000)
    schedule = Schedule("noam", peak, 8000, 100_000)
    for step, rate in {
        1: 1.2352647e-7,
        4000: 4.9410588e-4,
        8000: 9.8821177e-4,
        16000: 6.9877124e-4,
        100_000: 2.7950850e-4,
    }.items():
        assert float(schedule(step - 1)) == pytest.approx(rate, rel=1e-5)


def test_warmup_linear_is_that_of_the_conditional_masked_lm():
    schedule = Schedule("warmup_linear", 5e-5, 5000, 100_000)
    for step, rate in {
        1: 1e-8,
        2500: 2.5e-5,
        5000: 5e-5,
        52500: 2.5e-5,
        100_000: 0,
    }.items():
        assert float(schedule(step)) == pytest.approx(rate, rel=1e-5)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_every_schedule_without_warmup_starts_at_the_peak(kind):
    assert float(Schedule(kind, 0.5, 0, 100)(0)) == 0.5


def test_wrong_schedules_are_refused():
    with pytest.raises(ValueError, match="Known: bert_linear"):
        Schedule("cosine", 1.0, 0, 10)
    with pytest.raises(ValueError, match="num_warmup_steps=11"):
        Schedule("constant", 1.0, 11, 10)
    with pytest.raises(ValueError, match="Known: adadelta, adamw, bert"):
        make_optimizer("lamb", Schedule("constant", 1.0, 0, 10), {})


def test_clipping_of_the_worked_gradient():
    gradient = tf.constant(WORKED["gradient"])
    clipped, norm = tf.clip_by_global_norm([gradient], 1.0)
    np.testing.assert_allclose(norm, WORKED["global_norm"], rtol=1e-6)
    np.testing.assert_allclose(clipped[0], WORKED["clipped_to_1"], rtol=1e-6)
