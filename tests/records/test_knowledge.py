"""Codecs against the distributions that they store."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.records import Schema, make_codec, masked_lm_features, truncate
from tfdistill.records.schema import Feature
from tfdistill.records.top_k import split_top_k

V, P = 50, 3
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, P, V)).astype(np.float32) * 3
LOG_PROBS = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
SLOTS = [3, 2]


def stored(spec, layout):
    """Put logits through a codec, a schema and back."""
    codec = make_codec(spec, V, layout)
    features = (
        *masked_lm_features(
            max_seq_length=8,
            max_predictions_per_seq=P,
            vocabulary_size=V,
            is_masked=True,
            has_next_sentence=False,
        ),
        *codec.features(P, V),
    )
    schema = Schema(features, layout)
    answers = {
        k: v.numpy() for k, v in codec.encode(tf.constant(LOGITS)).items()
    }
    serialized = []
    for row, slots in enumerate(SLOTS):
        kept = P if layout == "plain" else slots
        example = {
            "input_ids": np.arange(8),
            "segment_ids": np.zeros(8, int),
            "masked_lm_positions": np.arange(slots),
            "masked_lm_ids": np.arange(slots),
        }
        example |= {k: v[row, :kept].ravel() for k, v in answers.items()}
        serialized.append(schema.encode(example))
    batch = schema.decode(tf.constant(serialized))
    return codec.decode(batch), batch, serialized


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("k", [1, 4, V])
def test_top_k(layout, k):
    found, _, _ = stored(f"top_k(k={k})", layout)
    for row, slots in enumerate(SLOTS):
        for slot in range(slots):
            order = np.argsort(-LOG_PROBS[row, slot], kind="stable")[:k]
            ids = found.ids[row, slot].numpy()
            np.testing.assert_array_equal(ids, order)
            np.testing.assert_allclose(
                found.log_probs[row, slot],
                LOG_PROBS[row, slot, order],
                atol=1e-5,
            )
            rest = np.delete(np.exp(LOG_PROBS[row, slot]), order).sum()
            if layout == "packed":
                tail = np.exp(float(found.tail_log_mass[row, slot]))
                np.testing.assert_allclose(tail, rest, rtol=1e-4, atol=1e-30)
            # Acceptance: a probability is one, and dropped ones are smaller.
            probs = np.exp(found.log_probs[row, slot].numpy())
            assert (probs >= 0).all() and (probs <= 1).all()
            assert probs.sum() <= 1 + 1e-6
            assert len(set(ids.tolist())) == k
            assert ids[0] == LOG_PROBS[row, slot].argmax()


@pytest.mark.parametrize("layout", ["packed", "plain"])
def test_whole(layout):
    found, _, _ = stored("top_k(k=all)", layout)
    assert found.ids is None and found.tail_log_mass is None
    for row, slots in enumerate(SLOTS):
        np.testing.assert_allclose(
            found.log_probs[row, :slots], LOG_PROBS[row, :slots], atol=1e-5
        )
        total = np.exp(found.log_probs[row, :slots].numpy()).sum(-1)
        np.testing.assert_allclose(total, 1.0, atol=1e-4)


def test_tail_of_a_confident_teacher_is_no_rounding_noise():
    logits = np.zeros([1, 1, 200], np.float32)
    logits[..., :128] = 40.0
    codec = make_codec("top_k(k=128)", 200, "packed")
    tail = float(codec.encode(tf.constant(logits))["tail_log_mass"][0, 0])
    expected = np.log(72) - 40 - np.log(128 + 72 * np.exp(-40.0))
    assert abs(tail - expected) < 1e-4


def test_ties_at_the_edge_are_counted_in_the_tail():
    logits = np.log(np.array([[[0.4, 0.15, 0.15, 0.15, 0.15]]], np.float32))
    codec = make_codec("top_k(k=2)", 5, "packed")
    tail = codec.encode(tf.constant(logits))["tail_log_mass"]
    np.testing.assert_allclose(np.exp(tail), [[0.45]], rtol=1e-5)


def test_smaller_k_is_a_prefix():
    found, _, _ = stored("top_k(k=6)", "packed")
    less, _, _ = stored("top_k(k=2)", "packed")
    cut = truncate(found, 2)
    np.testing.assert_array_equal(cut.ids[0], less.ids[0])
    np.testing.assert_allclose(cut.log_probs[0], less.log_probs[0])
    np.testing.assert_allclose(
        cut.tail_log_mass[0], less.tail_log_mass[0], rtol=1e-4
    )
    with pytest.raises(ValueError, match="k=7 is more than the 6"):
        truncate(found, 7)


def test_plain_layout_has_the_source_systems_features():
    _, _, serialized = stored("top_k(k=4)", "plain")
    example = tf.train.Example.FromString(serialized[0])
    lengths = {
        name: len(getattr(f, f.WhichOneof("kind")).value)
        for name, f in example.features.feature.items()
    }
    assert lengths["truncated_masked_lm_probs"] == P * 4
    assert lengths["top_k_indices"] == P * 4


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("top_k(k=51)", "more than the 50"),
        ("top_k(k=0)", "neither positive"),
        ("top_k(k=most)", "neither positive"),
        ("top_k(k=2.5)", "neither positive"),
        ("top_k", "lacks k"),
        ("top_p(p=1)", "Known: top_k"),
        ("top_k(n=1)", "Known: k"),
    ],
)
def test_wrong_specs_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        make_codec(spec, V, "packed")


def test_packed_types_are_narrow():
    assert Feature(name="x", length=1, limit=256).stored.itemsize == 1
    assert Feature(name="x", length=1, limit=257).stored.itemsize == 2
    assert Feature(name="x", length=1, limit=65537).stored.itemsize == 4


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("width", [640, 3000, 30522])
def test_search_in_blocks_equals_a_full_search(k, width):
    logits = np.random.default_rng(k).normal(size=(4, 2, width)) * 5
    logits = tf.constant(logits, tf.float32)
    kept, ids, tail = split_top_k(logits, k)
    expected, expected_ids = tf.math.top_k(tf.nn.log_softmax(logits), k)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-6)
    rest = 1 - np.exp(kept.numpy().astype(np.float64)).sum(-1)
    np.testing.assert_allclose(np.exp(tail), rest, rtol=1e-3, atol=1e-6)
