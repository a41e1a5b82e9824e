"""Gradients that travel as 16 bits arrive nearly as they were."""

import numpy as np
import pytest
import tensorflow as tf
from mirrored import two_mirrored

from tfdistill.replicas import COMPRESSIONS, OneDevice, sum_compressed

# Relative error of one rounding; two values are rounded, then their sum.
ROUNDING = {"none": 0.0, "fp16": 2.0**-11, "bf16": 2.0**-8}


@pytest.fixture(scope="module")
def replicas():
    return two_mirrored()


def tensors(scale, seed):
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=shape) * scale).astype(np.float32)
        for shape in ((3, 5), (7,), ())
    ]


def summed(replicas, first, second, compression):
    """The sum over two replicas that hold `first` and `second`."""
    both = [np.stack(pair) for pair in zip(first, second, strict=True)]

    def step(batch):
        mine = [batch[str(i)][0] for i in range(len(both))]
        return sum_compressed(replicas, mine, compression)

    return replicas.compile(step)(
        {str(i): tf.constant(x) for i, x in enumerate(both)}
    )


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e5])
def test_sums_are_near(replicas, compression, scale):
    first, second = tensors(scale, 1), tensors(scale, 2)
    found = summed(replicas, first, second, compression)
    largest = max(np.abs(x).max() for x in (*first, *second))
    for x, a, b in zip(found, first, second, strict=True):
        error = np.abs(x - (a + b))
        # Below 2**-24 of the largest, float16 has steps of equal size.
        allowed = 3 * ROUNDING[compression] * (np.abs(a) + np.abs(b))
        assert (error <= allowed + largest * 2.0**-24 * 2).all()
        assert x.dtype == tf.float32
        if compression != "none":
            assert (error > 0).any() or not x.shape.rank


def test_sums_in_float16_do_not_overflow(replicas):
    ones = [np.full([4], 60_000.0, np.float32)]
    (found,) = summed(replicas, ones, ones, "fp16")
    np.testing.assert_array_equal(found, np.full([4], 120_000.0))


def test_what_is_no_number_stays_none(replicas):
    bad = [np.array([np.nan, 1.0], np.float32)]
    (found,) = summed(replicas, bad, bad, "fp16")
    assert np.isnan(found[0])


def test_nothing_is_rounded_where_nothing_travels():
    x = tf.constant([1.0 + 2.0**-20])
    (found,) = sum_compressed(OneDevice(), [x], "bf16")
    np.testing.assert_array_equal(found, x)
