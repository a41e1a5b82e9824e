"""Numbers come back within the bounds that each code states."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.records.blocks import Blocks
from tfdistill.records.codes import Integers
from tfdistill.records.log_probs import NO_MASS, LogProbs, dithered

RNG = np.random.default_rng(0)
COUNTS = (0, 1, 7, 8, 63, 64, 65, 127, 128, 130, 700)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_integers(width):
    most = 2 ** min(8 * width, 31) - 1
    rows = [np.array([most, 0, 1]), np.array([most // 3]), np.array([], int)]
    code = Integers(width)
    packed = [code.pack(row) for row in rows]
    assert [len(x) for x in packed] == [code.size(len(row)) for row in rows]
    for length in (3, tf.constant(5)):
        found = code.unpack(tf.constant(packed), length).numpy()
        for row, values in zip(rows, found, strict=True):
            padded = [*row, *[0] * (int(length) - len(row))]
            assert values.tolist() == padded


@pytest.mark.parametrize(("bits", "most"), [(8, 0.0044), (16, 1.7e-5)])
@pytest.mark.parametrize("length", [700, 705, 768])
def test_blocks(bits, most, length):
    """Whatever the sizes of the numbers, in a graph, in any padding."""
    code = Blocks(bits)
    rows = [
        RNG.normal(size=n) * 10.0 ** RNG.integers(-2, 4, size=n // 64 + 1)[-1]
        for n in COUNTS
    ]
    packed = [code.pack(row) for row in rows]
    assert [len(x) for x in packed] == [code.size(n) for n in COUNTS]
    unpack = tf.function(code.unpack)
    found = unpack(tf.constant(packed), tf.constant(length)).numpy()
    assert found.shape == (len(COUNTS), length)
    for row, values in zip(rows, found, strict=True):
        # Less than eight numbers are filled up to eight.
        assert not values[max(len(row), 8) :].any()
        edges = [*range(0, max(len(row) // 64, 1) * 64, 64), len(row)]
        for begin, end in itertools.pairwise(edges):
            block = row[begin:end]
            if not len(block):
                continue
            error = np.abs(values[begin:end] - block)
            bound = most * np.abs(block).max() + 2.0**-21
            # Eight numbers carry the scale, and may be off by twice as much.
            assert error[:8].max() <= 2.02 * bound
            assert error[8:].max(initial=0) <= 1.01 * bound


def test_blocks_take_no_room_for_scales():
    assert Blocks(8).size(768) == 768
    assert Blocks(16).size(768) == 2 * 768


def test_blocks_keep_zeros_and_signs():
    values = np.array([0.0] * 70 + [-1.0, 1.0])
    found = Blocks(8).unpack(tf.constant([Blocks(8).pack(values)]), 72)[0]
    np.testing.assert_allclose(found, values, atol=0.01)


@pytest.mark.parametrize("bits", [8, 16])
def test_log_probs(bits):
    code, top = LogProbs(bits), 2**bits - 2
    exact = -np.concatenate([RNG.exponential(4.0, 3000), [0, 23.99, 24, 60]])
    packed = code.pack(exact)
    assert len(packed) == code.size(len(exact))
    found = code.unpack(tf.constant([packed]), len(exact)).numpy()[0]
    held = np.maximum(exact, -24)
    bound = np.sqrt(-24 * held) / top + 6 / top**2
    assert (np.abs(found - held) <= bound + 1e-6).all()
    error = np.abs(np.exp(found) - np.exp(exact)).max()
    assert error < (0.009 if bits == 8 else 4e-5)


def test_no_mass_stays_none():
    for bits in (8, 16):
        packed = LogProbs(bits).pack(np.array([NO_MASS, -24.0]))
        found = LogProbs(bits).unpack(tf.constant([packed]), 2).numpy()[0]
        assert found[0] == np.float32(NO_MASS) and found[1] == -24


@pytest.mark.parametrize("value", [np.nan, 0.5])
def test_what_is_no_log_probability_is_refused(value):
    with pytest.raises(ValueError, match="no log-probability"):
        LogProbs(8).pack(np.array([-1.0, value]))


@pytest.mark.parametrize("bits", [8, 16])
def test_dither_keeps_every_probability_in_the_mean(bits):
    """Over a fine grid of chances the mean is exact, not only about right."""
    exact = np.array([0, -1e-5, -0.3, -2.7, -11.2, -23.999, -26.0, NO_MASS])
    chances = (np.arange(20_000) + 0.5) / 20_000
    rounded = dithered(
        tf.constant(np.tile(exact, (len(chances), 1))),
        tf.constant(np.tile(chances[:, None], (1, len(exact)))),
        bits,
    ).numpy()
    mean = np.exp(rounded.astype(np.float64)).mean(0)
    # A step of the grid is worth 1/20,000 of the gap between two levels.
    np.testing.assert_allclose(mean, np.exp(exact), rtol=1e-5, atol=1e-15)
    code = LogProbs(bits)
    flat = rounded[:50].ravel()
    again = code.unpack(tf.constant([code.pack(flat)]), len(flat)).numpy()[0]
    np.testing.assert_array_equal(again, flat)
