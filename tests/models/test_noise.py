import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import FIELDS

WIDTH = 37


def draw(examples=16, *, seed=3, step=5, first=0, rate=0.25, places=1):
    noise = DropoutNoise(
        seed, tf.constant(step, tf.int64), tf.constant(first, tf.int64)
    )
    ones = tf.ones([examples * 2, WIDTH])
    drawn = [noise.drop(ones, rate, examples).numpy() for _ in range(places)]
    return [array.reshape(examples, 2 * WIDTH) for array in drawn]


@pytest.mark.parametrize("cuts", [(8,), (1, 2, 15), tuple(range(1, 16))])
def test_draws_do_not_depend_on_the_split(cuts):
    whole = draw(places=3)
    bounds = [0, *cuts, 16]
    slices = [
        draw(stop - start, first=start, places=3)
        for start, stop in itertools.pairwise(bounds)
    ]
    for place in range(3):
        np.testing.assert_array_equal(
            np.concatenate([s[place] for s in slices]), whole[place]
        )


# Draws have 16 bits; what is kept makes up for the share that is dropped.
@pytest.mark.parametrize(
    ("rate", "scale"), [(0.25, 1 / 0.75), (0.1, 65536 / (65536 - 6554))]
)
def test_kept_values_are_scaled(rate, scale):
    (drawn,) = draw(rate=rate)
    np.testing.assert_allclose(np.unique(drawn), [0, scale], rtol=1e-7)


def test_hardly_anything_is_kept():
    (drawn,) = draw(rate=0.9999999)
    assert set(np.unique(drawn)) <= {0, 65536}


def test_rate_zero_keeps_everything():
    np.testing.assert_array_equal(draw(rate=0.0)[0], 1)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_share_of_zeros(rate):
    (drawn,) = draw(examples=1000, rate=rate)
    deviation = np.sqrt(rate * (1 - rate) / drawn.size)
    assert abs((drawn == 0).mean() - rate) < 4 * deviation


def test_examples_places_steps_and_seeds_are_independent():
    first, second = draw(examples=400, rate=0.5, places=2)
    (later,) = draw(examples=400, rate=0.5, step=6)
    (reseeded,) = draw(examples=400, rate=0.5, seed=4)
    others = [second, later, reseeded, np.roll(first, 1, axis=0)]
    for other in others:
        agreement = ((first == 0) == (other == 0)).mean()
        # Four deviations of a fair coin thrown for every element.
        assert abs(agreement - 0.5) < 4 * 0.5 / np.sqrt(first.size)


def test_same_arguments_same_draws():
    np.testing.assert_array_equal(draw(), draw())


def test_model_gives_the_same_for_any_split(model, features):
    """In training mode too: with other dropout for every example."""
    reads = frozenset(FIELDS)

    def run(start, stop):
        noise = DropoutNoise(
            3, tf.constant(5, tf.int64), tf.constant(start, tf.int64)
        )
        batch = {name: f[start:stop] for name, f in features.items()}
        return model(batch, reads=reads, noise=noise)

    whole = run(0, 3)
    pieces = [run(0, 1), run(1, 3)]
    joined = tf.nest.map_structure(lambda *x: tf.concat(x, 0), *pieces)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        whole,
        joined,
    )
    plain = model(features, reads=reads)
    assert np.abs(whole["logits"] - plain["logits"]).max() > 0.1
