"""Hybrid knowledge: its expectation is the whole distribution."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.losses.soft_targets import soft_targets
from tfdistill.records import DISTRIBUTION, Shapes, drawn_pieces, make_codec
from tfdistill.records.sampling import systematic_draws, uniforms

V, P = 40, 2
SHAPES = Shapes(
    layout="packed",
    max_seq_length=8,
    num_slots=P,
    vocabulary_size=V,
    num_classes=0,
)
RNG = np.random.default_rng(1)
LOGITS = tf.constant(RNG.normal(size=[1, P, V]) * 2, tf.float32)
STUDENT = tf.constant(RNG.normal(size=[P, V]) * 2, tf.float32)


def encoded(spec, keys):
    """What is stored where the same logits stand at several places."""
    codec = make_codec([spec], SHAPES)
    many = tf.tile(LOGITS, [len(keys), 1, 1])
    index = tf.constant(keys, tf.int64)
    return codec, codec.encode({"logits": many, "record_index": index})


def distributions(spec, count):
    codec, stored = encoded(spec, range(count))
    return codec.decode(stored | {"masked_lm_weights": tf.ones([count, P])})[
        DISTRIBUTION
    ]


def gradient(distribution, count, **how):
    """Gradients `[count, P, V]` of a student's loss to its logits."""
    student = tf.tile(STUDENT[None], [count, 1, 1])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = tf.reduce_sum(soft_targets(student, *distribution, **how))
    return tape.gradient(loss, student).numpy()


def exact_gradient():
    """In closed form: softmax of the student less the teacher's."""
    return (tf.nn.softmax(STUDENT) - tf.nn.softmax(LOGITS[0])).numpy()


def test_draws_by_enumeration():
    """All offsets of a grid on which the shares lie: the mean is exact."""
    shares = np.array([5, 0, 11, 1, 0, 30, 17]) / 64
    grid = 1024
    offsets = (np.arange(grid) + 0.5) / grid
    for count in (1, 3, 8):
        masses = tf.constant(np.tile(shares, (grid, 1)), tf.float32)
        draws = systematic_draws(masses, tf.constant(offsets), count).numpy()
        assert draws.shape == (grid, count)
        times = (draws[:, :, None] == np.arange(7)).sum(1)
        np.testing.assert_array_equal(times.mean(0), shares * count)
        # Never further from its mean than rounding takes it.
        assert (np.abs(times - shares * count) < 1).all()


def test_draws_in_a_large_vocabulary():
    masses = RNG.exponential(size=[50, 1000]) ** 4
    masses[:, RNG.choice(1000, 400, replace=False)] = 0
    offsets = RNG.random(50)
    draws = systematic_draws(
        tf.constant(masses, tf.float32), tf.constant(offsets), 16
    ).numpy()
    for row, offset, found in zip(masses, offsets, draws, strict=True):
        ends = np.cumsum(row)
        points = (offset + np.arange(16)) / 16 * ends[-1]
        # The same points in one running sum over all pieces.
        assert (np.searchsorted(ends, points, side="right") == found).all()
        assert (row[found] > 0).all()


def test_a_row_without_mass_is_no_error():
    draws = systematic_draws(
        tf.zeros([2, 70]), tf.constant([0.0, 0.9], tf.float64), 4
    )
    assert (draws.numpy() >= 0).all() and (draws.numpy() < 70).all()


@pytest.mark.parametrize(
    "spec",
    [
        "hybrid(k=4, samples=8)",
        "hybrid(k=0, samples=6)",
        "hybrid(k=1,samples=1)",
    ],
)
def test_expected_gradient_is_that_of_the_whole_distribution(spec):
    """The mean over many places is within its standard error of exact."""
    count = 4000
    found = gradient(distributions(spec, count), count, tail="sampled")
    exact = exact_gradient()
    error = found.mean(0) - exact
    # A piece that is drawn a time or two, or never, shows no spread of its
    # own: its variance is at most its probability, and rounding is 1e-7.
    rare = np.sqrt(tf.nn.softmax(LOGITS[0]).numpy() / count) * 0.2
    standard_error = np.maximum(found.std(0) / np.sqrt(count), rare) + 1e-7
    scores = error / standard_error
    assert np.abs(scores).max() < 4.5
    assert (scores**2).mean() < 1.6


def test_top_k_is_not_right_in_expectation():
    """The test above can fail: it does for every rule on a cut tail."""
    codec, stored = encoded("top_k(k=4)", [0])
    known = codec.decode(stored | {"masked_lm_weights": tf.ones([1, P])})
    for tail in ("left_out", "renormalised", "bucket"):
        found = gradient(known[DISTRIBUTION], 1, tail=tail)[0]
        assert np.linalg.norm(found - exact_gradient()) > 0.02


def test_all_offsets_together_are_the_whole_distribution():
    """Exactly, by enumeration: head and tail mass unrounded, all draws."""
    codec = make_codec(["hybrid(k=3, samples=5)"], SHAPES)
    probs = tf.nn.softmax(LOGITS[0]).numpy().astype(np.float64)
    grid = 200_000
    for slot in range(P):
        head = np.argsort(-probs[slot])[:3]
        rest = probs[slot].copy()
        rest[head] = 0
        ends = np.cumsum(rest) / rest.sum() * codec.samples
        # Between two of these offsets the draws stay the same.
        edges = np.unique(np.concatenate([[0, 1], ends % 1]))
        middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        draws = systematic_draws(
            tf.constant(np.tile(rest, (len(middles), 1)), tf.float32),
            tf.constant(middles),
            codec.samples,
        ).numpy()
        shares = np.zeros(V)
        for row, width in zip(draws, widths, strict=True):
            np.add.at(shares, row, width / codec.samples)
        target = shares * rest.sum()
        target[head] = probs[slot, head]
        np.testing.assert_allclose(target, probs[slot], atol=1 / grid)


def test_values_are_right_in_expectation_too():
    count = 4000
    known = distributions("hybrid(k=4, samples=8)", count)
    student = tf.tile(STUDENT[None], [count, 1, 1])
    found = soft_targets(student, *known, tail="sampled").numpy()
    exact = soft_targets(STUDENT, tf.nn.log_softmax(LOGITS[0])).numpy()
    error = found.mean(0) - exact
    assert (np.abs(error) < 4 * found.std(0) / np.sqrt(count)).all()


def test_draws_belong_to_seed_place_and_slot():
    _, all_of_them = encoded("hybrid(k=2, samples=3)", [5, 9, 700])
    _, alone = encoded("hybrid(k=2, samples=3)", [9])
    for name, values in alone.items():
        np.testing.assert_array_equal(values[0], all_of_them[name][1])
    _, other = encoded("hybrid(k=2, samples=3, seed=1)", [9])
    name = "tail_sample_ids"
    assert (other[name].numpy() != alone[name].numpy()).any()
    numbers = uniforms(0, tf.constant(range(2000), tf.int64), 8).numpy()
    assert numbers.min() >= 0 and numbers.max() < 1
    assert len(np.unique(numbers)) == numbers.size
    assert np.abs(numbers.mean(0) - 0.5).max() < 0.03
    assert np.abs(np.corrcoef(numbers.T) - np.eye(8)).max() < 0.1


def test_thirty_bytes_a_position():
    codec = make_codec(
        ["hybrid(k=4, samples=8)"],
        Shapes(
            layout="packed",
            max_seq_length=128,
            num_slots=20,
            vocabulary_size=30522,
            num_classes=0,
        ),
    )
    size = sum(f.packing.size(f.length) for f in codec.features())
    assert size == 20 * 30
    assert drawn_pieces(codec) == 8


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hybrid(k=-1, samples=3)", "k is at least 0"),
        ("hybrid(k=4, samples=0)", "samples is at least 1"),
        ("hybrid(k=41, samples=1)", "more than the 40 pieces"),
        (
            "hybrid(k=4, samples=2, seed=x)",
            "seed=x .* no whole number|is not a whole",
        ),
    ],
)
def test_wrong_specs_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        make_codec([spec], SHAPES)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"temperature": 2.0}, "known at temperature 1 only"),
        ({"divergence": "reverse_kl"}, "needs more of the tail than draws"),
        ({"divergence": "kl"}, "goes with divergence=cross_entropy"),
    ],
)
def test_what_draws_cannot_tell_is_refused(how, message):
    known = distributions("hybrid(k=4, samples=8)", 1)
    with pytest.raises(ValueError, match=message):
        soft_targets(STUDENT[None], *known, tail="sampled", **how)
    with pytest.raises(ValueError, match="needs draws"):
        soft_targets(STUDENT[None], *known[:3], tail="sampled")
