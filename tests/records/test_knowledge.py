"""Codecs against what they store: distributions, logits, features."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.records import (
    DISTRIBUTION,
    Distribution,
    Feature,
    Schema,
    Shapes,
    make_codec,
    masked_lm_features,
    sentence_features,
    stored_pieces,
    truncate,
)
from tfdistill.records.top_k import split_top_k

V, P = 50, 3
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, P, V)).astype(np.float32) * 3
LOG_PROBS = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
SLOTS = [3, 2]


def shapes(layout="packed", size=V):
    return Shapes(
        layout=layout,
        max_seq_length=8,
        num_slots=P,
        vocabulary_size=size,
        num_classes=0,
    )


def stored(spec, layout):
    """Put logits through a codec, a schema and back."""
    codec = make_codec([spec], shapes(layout))
    features = (
        *masked_lm_features(
            max_seq_length=8,
            max_predictions_per_seq=P,
            vocabulary_size=V,
            is_masked=True,
            has_next_sentence=False,
        ),
        *codec.features(),
    )
    schema = Schema(features, layout)
    answers = {
        k: v.numpy()
        for k, v in codec.encode({"logits": tf.constant(LOGITS)}).items()
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
    return codec.decode(batch)[DISTRIBUTION], batch, serialized


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("k", [1, 4, V])
def test_top_k(layout, k):
    found, _, _ = stored(f"top_k(k={k})", layout)
    for row, slots in enumerate(SLOTS):
        for slot in range(slots):
            order = np.argsort(-LOG_PROBS[row, slot], kind="stable")[:k]
            ids = found.ids[row, slot].numpy()
            np.testing.assert_array_equal(ids, order)
            exact = LOG_PROBS[row, slot, order]
            # The bound that `records.log_probs` states.
            error = np.sqrt(-24 * exact) / 254 + 6 / 254**2
            if layout == "plain":
                error = 1e-5
            stored_ = found.log_probs[row, slot]
            assert (np.abs(stored_ - exact) <= error).all()
            rest = np.delete(np.exp(LOG_PROBS[row, slot]), order).sum()
            if layout == "packed":
                tail = np.exp(float(found.tail_log_mass[row, slot]))
                np.testing.assert_allclose(tail, rest, rtol=2e-4, atol=1e-10)
            # Acceptance: a probability is one, and dropped ones are smaller.
            probs = np.exp(found.log_probs[row, slot].numpy())
            assert (probs >= 0).all() and (probs <= 1).all()
            assert probs.sum() <= (1.05 if layout == "packed" else 1 + 1e-6)
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
    codec = make_codec(["top_k(k=128)"], shapes(size=200))
    answers = codec.encode({"logits": tf.constant(logits)})
    tail = float(answers["tail_log_mass"][0, 0])
    expected = np.log(72) - 40 - np.log(128 + 72 * np.exp(-40.0))
    assert abs(tail - expected) < 1e-4


def test_ties_at_the_edge_are_counted_in_the_tail():
    logits = np.log(np.array([[[0.4, 0.15, 0.15, 0.15, 0.15]]], np.float32))
    codec = make_codec(["top_k(k=2)"], shapes(size=5))
    tail = codec.encode({"logits": tf.constant(logits)})["tail_log_mass"]
    np.testing.assert_allclose(np.exp(tail), [[0.45]], rtol=1e-5)


def test_smaller_k_is_a_prefix():
    found, _, _ = stored("top_k(k=6, bits=32)", "packed")
    less, _, _ = stored("top_k(k=2, bits=32)", "packed")
    cut = truncate(found, 2)
    np.testing.assert_array_equal(cut.ids[0], less.ids[0])
    np.testing.assert_allclose(cut.log_probs[0], less.log_probs[0])
    np.testing.assert_allclose(
        cut.tail_log_mass[0], less.tail_log_mass[0], rtol=1e-4
    )
    with pytest.raises(ValueError, match="k=7 is more than the 6"):
        truncate(found, 7)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_whole_distributions_are_cut_as_sorted_ones(scale):
    rng = np.random.default_rng(1)
    logits = scale * rng.normal(size=(3, 4, 600)).astype(np.float32)
    whole = tf.nn.log_softmax(logits)
    # As they are, even where few bits do not add up to 1.
    whole -= np.float32(0.01)
    cut = truncate(Distribution(whole), 5)
    order = np.argsort(-whole.numpy(), axis=-1)
    ordered = np.take_along_axis(whole.numpy(), order, -1)
    np.testing.assert_array_equal(cut.ids, order[..., :5])
    np.testing.assert_allclose(cut.log_probs, ordered[..., :5], atol=2e-6)
    np.testing.assert_allclose(
        cut.tail_log_mass,
        tf.reduce_logsumexp(ordered[..., 5:], -1),
        rtol=1e-6,
        atol=2e-6,
    )


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
        ("top_p(p=1)", "Known: .*top_k"),
        ("top_k(n=1)", "Known: k"),
    ],
)
def test_wrong_specs_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        make_codec([spec], shapes())


# Of a teacher with N layers of D numbers and H heads, on sentences of C
# classes, of which these examples have so many tokens.
N, D, H, C = 3, 6, 2, 4
TOKENS = [8, 3, 5]


def of_sentences(layout="packed", num_classes=C):
    return Shapes(
        layout=layout,
        max_seq_length=8,
        num_slots=0,
        vocabulary_size=V,
        num_classes=num_classes,
        num_layers=N,
        hidden_dim=D,
        num_heads=H,
    )


def said(length=8, num_classes=C):
    """What a teacher says of a batch, also of the padding in it."""

    def layers(count, *shape):
        return {
            i: RNG.normal(size=[len(TOKENS), *shape]).astype(np.float32)
            for i in range(count)
        }

    by_head = (H, length, D // H)
    return {
        "logits": RNG.normal(size=[len(TOKENS), num_classes]),
        "hidden_states": layers(N + 1, length, D),
        "attention_scores": layers(N, H, length, length),
        "queries": layers(N, *by_head),
        "keys": layers(N, *by_head),
        "values": layers(N, *by_head),
    }


def stored_beside_sentences(codec, outputs, layout="packed", length=None):
    """Put outputs through a codec, a schema and back; returns both ends."""
    inputs = sentence_features(8, V, C, has_labels=True)
    schema = Schema((*inputs, *codec.features()), layout)
    answers = codec.encode(
        tf.nest.map_structure(lambda x: tf.constant(x, tf.float32), outputs)
    )
    serialized = []
    for row, count in enumerate(TOKENS):
        own = {"L": slice(count)}
        example = {
            "input_ids": np.arange(count),
            "segment_ids": np.zeros(count, int),
            "labels": np.array([row]),
        }
        for feature in codec.features():
            cut = tuple(own.get(axis, slice(None)) for axis in feature.axes)
            example[feature.name] = (
                answers[feature.name][row].numpy()[cut].ravel()
            )
        serialized.append(schema.encode(example))
    batch = schema.decode(tf.constant(serialized), length)
    return codec.decode(batch), batch


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("num_classes", [1, C])
def test_logits(layout, num_classes):
    codec = make_codec(["logits"], of_sentences(layout, num_classes))
    assert codec.gives == {"logits", DISTRIBUTION}
    assert codec.reads == {"logits"}
    outputs = said(num_classes=num_classes)
    found, batch = stored_beside_sentences(codec, outputs, layout)
    expected = outputs["logits"].astype(np.float32)
    np.testing.assert_array_equal(found["logits"], expected)
    probs = np.exp(expected) / np.exp(expected).sum(-1, keepdims=True)
    distribution = found[DISTRIBUTION]
    np.testing.assert_allclose(np.exp(distribution.log_probs), probs, rtol=1e-5)
    assert distribution.ids is None and distribution.tail_log_mass is None
    assert batch["labels"].numpy().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("bits", "error"), [("", 9e-3), (", bits=16", 4e-5), (", bits=32", 0)]
)
@pytest.mark.parametrize("length", [8, 10])
def test_features(bits, error, length):
    """The teacher's batch was padded to 8 tokens, the student's to more."""
    spec = (
        "features(hidden_states=[0, 3], attention_scores=[2], queries=[1], "
        f"keys=[0, 1], values=[2]{bits})"
    )
    codec = make_codec([spec], of_sentences())
    names = {
        *("hidden_states/0", "hidden_states/3", "attention_scores/2"),
        *("queries/1", "keys/0", "keys/1", "values/2"),
    }
    assert codec.gives == codec.reads == names
    assert {feature.name for feature in codec.features()} == names
    outputs = said()
    found, _ = stored_beside_sentences(codec, outputs, length=length)
    for name in names:
        field, number = name.split("/")
        full = found[field][int(number)].numpy()
        expected = np.zeros_like(full)
        for row, count in enumerate(TOKENS):
            one = outputs[field][int(number)][row]
            # Tokens are the axes of 8; the others are 2, 3 and 6.
            own = tuple(slice(count if n == 8 else n) for n in one.shape)
            expected[row][own] = one[own]
        sizes = [length if n == 8 else n for n in one.shape]
        assert full.shape == (len(TOKENS), *sizes)
        largest = np.abs(expected).max()
        np.testing.assert_allclose(full, expected, rtol=0, atol=error * largest)
    assert {field: set(numbers) for field, numbers in found.items()} == {
        "hidden_states": {0, 3},
        "attention_scores": {2},
        "queries": {1},
        "keys": {0, 1},
        "values": {2},
    }


def test_a_layer_that_is_named_twice_is_stored_once():
    spec = "features(hidden_states=[1, 1, 0])"
    names = [f.name for f in make_codec([spec], of_sentences()).features()]
    assert names == ["hidden_states/1", "hidden_states/0"]


def test_several_codecs_together():
    codec = make_codec(
        [
            "logits",
            "features(hidden_states=[1], bits=32)",
            "features(hidden_states=[2], keys=[0], bits=32)",
        ],
        of_sentences(),
    )
    layers = {"hidden_states/1", "hidden_states/2", "keys/0"}
    assert codec.reads == layers | {"logits"}
    assert codec.gives == layers | {"logits", DISTRIBUTION}
    assert stored_pieces(codec) is None
    outputs = said()
    found, _ = stored_beside_sentences(codec, outputs)
    assert set(found) == {"logits", DISTRIBUTION, "hidden_states", "keys"}
    np.testing.assert_allclose(found["logits"], outputs["logits"], rtol=1e-6)
    assert set(found["hidden_states"]) == {1, 2}
    for field, number in (
        ("hidden_states", 1),
        ("hidden_states", 2),
        ("keys", 0),
    ):
        np.testing.assert_array_equal(
            found[field][number][0], outputs[field][number][0]
        )


def test_distributions_and_features_together():
    both = dataclasses.replace(
        shapes(), num_layers=N, hidden_dim=D, num_heads=H
    )
    codec = make_codec(["top_k(k=4)", "features(values=[0])"], both)
    assert codec.gives == {DISTRIBUTION, "values/0"}
    assert codec.reads == {"logits", "values/0"}
    assert stored_pieces(codec) == 4
    assert stored_pieces(make_codec(["top_k(k=all)"], both)) is None


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["features(hidden_states=[4])"], r"\[4\]\): the teacher's are 0 to 3"),
        (["features(hidden_states=[-1])"], "the teacher's are 0 to 3"),
        (["features(attention_scores=[0, 3])"], "teacher's are 0 to 2"),
        (["features(keys=[3])"], r"keys=\[3\]\): the teacher's are 0 to 2"),
        (["features(queries=[1.0])"], "the teacher's are 0 to 2"),
        (["features(values=[True])"], "the teacher's are 0 to 2"),
        (["features(hidden_states=2)"], r"=2\) is no list such as \[0, 2\]"),
        (["features(keys=all)"], r"keys=all\) is no list such as"),
        (["features"], "name some of hidden_states, attention_scores, queries"),
        (["features(bits=32)"], "name some of hidden_states"),
        (["features(hidden_states=[0], bits=4)"], "bits=4.*8, 16 or 32"),
        (["features(logits=[0])"], "Known: hidden_states, .*, bits"),
        (["logits", "logits"], "logits, logits: stored twice"),
        (
            ["features(keys=[0, 1])", "features(keys=[1])"],
            r"keys=\[1\]\): stored twice",
        ),
        (["top_k(k=2)"], "masked positions, which these records do not have"),
        (["top_k(k=all)"], "masked positions, which these records do not have"),
        (["logits(k=2)"], "Known: none"),
    ],
)
def test_wrong_specs_for_sentences_are_refused(specs, message):
    with pytest.raises(ValueError, match=message):
        make_codec(specs, of_sentences())


def test_what_does_not_go_with_the_records_is_refused():
    with pytest.raises(ValueError, match=r"features: .* packed records only"):
        make_codec(["features(keys=[0])"], of_sentences("plain"))
    with pytest.raises(ValueError, match=r"for pieces there is top_k\(k=all\)"):
        make_codec(["logits"], shapes())


def test_packed_types_are_narrow():
    for limit, width in (
        *((2, 1), (256, 1), (257, 2), (1 << 16, 2)),
        *((65537, 3), (1 << 24, 3), ((1 << 24) + 1, 4)),
    ):
        assert Feature(name="x", length=1, limit=limit).packing.size(1) == width


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


@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize(("most", "size"), [(1, 1), (2000, 2), (5000, 7)])
def test_logits_are_gone_over_in_parts(monkeypatch, k, most, size):
    """As many rows of 640 as fit in, and go into 14."""
    logits = np.random.default_rng(k).normal(size=(2, 7, 640)) * 5
    logits = tf.constant(logits, tf.float32)
    name = "tfdistill.records.top_k._MOST_AT_ONCE"
    at_once = []

    def top_k(rows, k):
        at_once.append(rows.shape[0])
        return tf.math.top_k(rows, k)

    monkeypatch.setattr("tfdistill.records.top_k.top_k", top_k)
    whole = split_top_k(logits, k)
    monkeypatch.setattr(name, most)
    parts = split_top_k(logits, k)
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert at_once == [14, *[size] * (14 // size)]
