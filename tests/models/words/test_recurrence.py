"""Kernels against the plain equations, in NumPy and step by step."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.words import recurrence
from tfdistill.models.words.recurrence import Bidirectional, Recurrence

LENGTHS = (5, 3, 1, 4)
T, B, D, H = 5, len(LENGTHS), 3, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, h, c, w, u, b):
    i, f, n, o = np.split(x @ w + h @ u + b, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(n)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x, h, c, w, u, b):
    z_x, r_x, n_x = np.split(x @ w + b[0], 3, axis=-1)
    z_h, r_h, n_h = np.split(h @ u + b[1], 3, axis=-1)
    z, r = sigmoid(z_x + z_h), sigmoid(r_x + r_h)
    return z * h + (1 - z) * np.tanh(n_x + r * n_h), c


STEPS = {"lstm": lstm_step, "gru": gru_step}


def plain(layer, rnn, x, length, is_backward):
    """States of one sentence `[length, D]`, read one word after the other."""
    weights = [
        np.asarray(v, np.float64)
        for v in (layer.kernel, layer.recurrent_kernel, layer.bias)
    ]
    h = c = np.zeros(weights[1].shape[0])
    states = np.zeros([length, len(h)])
    order = range(length)
    for t in reversed(order) if is_backward else order:
        h, c = STEPS[rnn](x[t].astype(np.float64), h, c, *weights)
        states[t] = h
    return states, h


@pytest.fixture(params=["cpu", "gpu"])
def kernel(request, monkeypatch):
    """On a machine without GPUs, Keras's layer runs its own loop."""
    has_gpu = request.param == "gpu"
    monkeypatch.setattr(recurrence, "has_gpu", lambda: has_gpu)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(T, B, D)).astype(np.float32)


@pytest.mark.parametrize("rnn", STEPS)
def test_states_are_those_of_the_equations(kernel, rnn, x):
    layer = Bidirectional(rnn, D, H, seed=3)
    states, last = layer([tf.constant(x)], lengths=tf.constant(LENGTHS))
    for row, length in enumerate(LENGTHS):
        ahead, end = plain(layer.forward, rnn, x[:, row], length, False)
        back, start = plain(layer.backward, rnn, x[:, row], length, True)
        expected = np.concatenate([ahead, back], axis=-1)
        np.testing.assert_allclose(states[:length, row], expected, atol=1e-6)
        np.testing.assert_allclose(
            last[row], np.concatenate([end, start]), atol=1e-6
        )


@pytest.mark.parametrize("rnn", STEPS)
def test_gradients_are_those_of_the_equations(kernel, rnn, x):
    """A sum of random multiples of all states, by differences in float64."""
    layer = Bidirectional(rnn, D, H, seed=3)
    factors = np.random.default_rng(2).normal(size=(T, B, 2 * H))
    factors *= (np.arange(T)[:, None] < LENGTHS)[..., None]

    def loss(values):
        total = 0.0
        for row, length in enumerate(LENGTHS):
            for start, part in ((0, layer.forward), (H, layer.backward)):
                fake = type("Layer", (), dict(values[part.name]))
                states, _ = plain(fake, rnn, x[:, row], length, start > 0)
                mine = factors[:length, row, start : start + H]
                total += (states * mine).sum()
        return total

    values = {
        part.name: {
            name: np.array(getattr(part, name), np.float64)
            for name in ("kernel", "recurrent_kernel", "bias")
        }
        for part in (layer.forward, layer.backward)
    }
    variables = {
        (part.name, name): getattr(part, name).value
        for part in (layer.forward, layer.backward)
        for name in values[part.name]
    }
    with tf.GradientTape() as tape:
        states, _ = layer([tf.constant(x)], lengths=tf.constant(LENGTHS))
        total = tf.reduce_sum(states * tf.constant(factors, tf.float32))
    found = tape.gradient(total, variables)
    rng = np.random.default_rng(3)
    for (part, name), gradient in found.items():
        array = values[part][name]
        for _ in range(12):
            place = tuple(rng.integers(array.shape))
            kept = array[place]
            array[place] = kept + 1e-5
            above = loss(values)
            array[place] = kept - 1e-5
            slope = (above - loss(values)) / 2e-5
            array[place] = kept
            np.testing.assert_allclose(
                gradient[place], slope, atol=2e-6, err_msg=f"{part} {name}"
            )


@pytest.mark.parametrize("rnn", STEPS)
def test_padding_gives_and_takes_nothing(kernel, rnn, x):
    layer = Bidirectional(rnn, D, H, seed=3)
    lengths = tf.constant(LENGTHS)
    is_word = (np.arange(T + 3)[:, None] < LENGTHS)[..., None]
    padded = np.pad(x, [(0, 3), (0, 0), (0, 0)])
    results = []
    for value in (0.0, 9.0):
        inputs = tf.constant(np.where(is_word, padded, value), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            states, last = layer([inputs], lengths=lengths)
            kept = tf.where(is_word, states, 0.0)
            total = tf.reduce_sum(kept) + tf.reduce_sum(last**2)
        gradient = tape.gradient(total, inputs).numpy()
        assert not gradient[~is_word[..., 0]].any()
        results.append((kept.numpy(), last.numpy(), gradient))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    _, last = layer([tf.constant(x)], lengths=lengths)
    np.testing.assert_allclose(last, results[0][1], atol=1e-6)


def test_worked_lstm(kernel):
    """One input, one state, all weights 0.5."""
    layer = Bidirectional("lstm", 1, 1, seed=0)
    for part in (layer.forward, layer.backward):
        part.kernel.assign(tf.fill([1, 4], 0.5))
        part.recurrent_kernel.assign(tf.fill([1, 4], 0.5))
        part.bias.assign(tf.zeros([4]))
    x = tf.constant([[[1.0], [1.0]], [[-1.0], [0.0]]])
    _, last = layer([x], lengths=tf.constant([2, 1]))
    np.testing.assert_allclose(
        last,
        [[-0.0163650838, 0.0980342090], [0.1742697187, 0.1742697187]],
        atol=1e-7,
    )
    # The same, if the padding counted.
    _, last = layer([x], lengths=tf.constant([2, 2]))
    np.testing.assert_allclose(last[1, 0], 0.1006940303, atol=1e-7)


@pytest.mark.parametrize("rnn", STEPS)
def test_weights_start_as_published(rnn):
    layer = Recurrence(rnn, 20, 16, 1, "forward")
    other = Recurrence(rnn, 20, 16, 1, "backward")
    for name in ("kernel", "recurrent_kernel", "bias"):
        array = np.array(getattr(layer, name))
        assert np.abs(array).max() <= 0.25
        assert np.abs(array).max() > 0.23
        assert abs(array.mean()) < 0.05
        assert (array != np.array(getattr(other, name))).any()
