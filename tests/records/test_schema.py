"""Examples come back as they were written, in both layouts."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.records import Feature, Schema, masked_lm_features
from tfdistill.records.examples import input_features


def schema(layout, vocabulary_size=30522, length=12, slots=4, **kinds):
    return Schema(
        masked_lm_features(
            max_seq_length=length,
            max_predictions_per_seq=slots,
            vocabulary_size=vocabulary_size,
            is_masked=kinds.get("is_masked", True),
            has_next_sentence=kinds.get("has_next_sentence", True),
        ),
        layout,
    )


EXAMPLE = {
    "input_ids": np.array([101, 2012, 103, 102, 30521, 5, 102]),
    "segment_ids": np.array([0, 0, 0, 0, 1, 1, 1]),
    "masked_lm_positions": np.array([2, 5]),
    "masked_lm_ids": np.array([2197, 0]),
    "next_sentence_labels": np.array([1]),
}
BATCH = {
    "input_ids": [101, 2012, 103, 102, 30521, 5, 102, 0, 0, 0, 0, 0],
    "input_mask": [1] * 7 + [0] * 5,
    "segment_ids": [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0],
    "masked_lm_positions": [2, 5, 0, 0],
    "masked_lm_ids": [2197, 0, 0, 0],
    "masked_lm_weights": [1.0, 1.0, 0.0, 0.0],
    "next_sentence_labels": 1,
}
BY_TOKEN = {"input_ids", "input_mask", "segment_ids"}


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("in_graph", [False, True])
def test_round_trip(layout, in_graph):
    made = schema(layout)
    serialized = [made.encode(EXAMPLE)] * 2
    if in_graph:
        dataset = tf.data.Dataset.from_tensor_slices(serialized).batch(2)
        batch = next(iter(dataset.map(made.decode)))
    else:
        batch = made.decode(tf.constant(serialized))
    assert set(batch) == set(BATCH)
    for name, expected in BATCH.items():
        np.testing.assert_array_equal(batch[name], [expected] * 2, name)
        assert batch[name].dtype in (tf.int32, tf.float32)


@pytest.mark.parametrize("vocabulary_size", [200, 30522, 65536, 65537, 250_000])
def test_largest_id_of_any_vocabulary(vocabulary_size):
    made = schema("packed", vocabulary_size)
    example = EXAMPLE | {
        "input_ids": np.array([vocabulary_size - 1] * 7),
        "masked_lm_ids": np.array([vocabulary_size - 1] * 2),
    }
    batch = made.decode(tf.constant([made.encode(example)]))
    assert int(batch["input_ids"][0, 6]) == vocabulary_size - 1
    assert int(batch["masked_lm_ids"][0, 1]) == vocabulary_size - 1


def test_plain_layout_has_the_published_features():
    example = tf.train.Example.FromString(schema("plain").encode(EXAMPLE))
    found = {
        name: (
            f.WhichOneof("kind"),
            len(getattr(f, f.WhichOneof("kind")).value),
        )
        for name, f in example.features.feature.items()
    }
    assert found == {
        "input_ids": ("int64_list", 12),
        "input_mask": ("int64_list", 12),
        "segment_ids": ("int64_list", 12),
        "masked_lm_positions": ("int64_list", 4),
        "masked_lm_ids": ("int64_list", 4),
        "masked_lm_weights": ("float_list", 4),
        "next_sentence_labels": ("int64_list", 1),
    }


def test_packed_is_smaller_than_plain():
    sizes = {}
    for layout in ("packed", "plain"):
        made = schema(layout, length=128, slots=20)
        example = EXAMPLE | {
            "input_ids": np.arange(1000, 1128),
            "segment_ids": np.repeat([0, 1], 64),
            "masked_lm_positions": np.arange(19),
            "masked_lm_ids": np.arange(2000, 2019),
        }
        sizes[layout] = len(made.encode(example))
    assert sizes["packed"] < 0.6 * sizes["plain"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": np.array([30522])}, r"'input_ids'.*\[0, 30522\)"),
        ({"input_ids": np.array([-1])}, r"'input_ids'.*\[0, 30522\)"),
        ({"input_ids": np.array([1.0])}, "'input_ids'.*float64"),
        ({"input_ids": np.zeros([1, 2], int)}, "'input_ids'.*1-D"),
        ({"masked_lm_ids": np.arange(5)}, "'masked_lm_ids' holds 5.*most 4"),
        ({"next_sentence_labels": np.array([0, 1])}, "holds 2 values"),
        ({"labels": np.array([1])}, "'labels' is not in the schema"),
        ({"input_ids": None}, "'input_ids' is missing"),
    ],
)
def test_wrong_example_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        schema("packed").encode(EXAMPLE | change)


def test_json_round_trip():
    made = schema("packed")
    assert Schema.from_json(made.to_json()) == made
    with pytest.raises(ValueError, match="no schema"):
        Schema.from_json({"features": []})


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("length", [7, 9, 12])
def test_padding_to_less_than_the_most(layout, length):
    """In a graph, where the length is a tensor, and out of it."""
    made = schema(layout)
    short = {"input_ids": np.array([9]), "segment_ids": np.array([1])}
    examples = tf.constant([made.encode(EXAMPLE), made.encode(EXAMPLE | short)])
    expected = {
        name: value[:length] if name in BY_TOKEN else value
        for name, value in BATCH.items()
    }
    for decode in (made.decode, tf.function(made.decode, autograph=False)):
        batch = decode(examples, tf.constant(length))
        assert set(batch) == set(BATCH)
        for name, value in expected.items():
            np.testing.assert_array_equal(batch[name][0], value, name)
        rest = [0] * (length - 1)
        assert batch["input_ids"][1].numpy().tolist() == [9, *rest]
        assert batch["input_mask"][1].numpy().tolist() == [1, *rest]
        assert batch["segment_ids"][1].numpy().tolist() == [1, *rest]


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("vocabulary_size", [200, 30522, 65537])
def test_tokens_and_places_are_counted(layout, vocabulary_size):
    made = schema(layout, vocabulary_size)
    examples = []
    # Id 0 is no padding, and an example may have no masks.
    for count, masked in ((12, 0), (1, 1), (5, 2)):
        inputs, slots = np.zeros(count, int), np.zeros(masked, int)
        change = {"input_ids": inputs, "segment_ids": inputs}
        change |= {"masked_lm_positions": slots, "masked_lm_ids": slots}
        examples.append(made.encode(EXAMPLE | change))
    tokens, places = made.counts(tf.constant(examples))
    assert tokens.dtype == places.dtype == tf.int32
    assert tokens.numpy().tolist() == [12, 1, 5]
    assert places.numpy().tolist() == [0, 1, 2]
    assert made.max_seq_length == 12


# Two heads, three dimensions or slots.
AXES = [("L", 3), (2, "L", 3), (2, "L", "L"), ("L", "L"), ("P", 3), (3,), (1,)]


def beside(axes, code="float32", layout="packed", length=12):
    """Inputs of at most 12 tokens and a feature of some axes beside them."""
    size = int(np.prod([{"L": length, "P": 4}.get(a, a) for a in axes]))
    feature = Feature(name="inside", length=size, axes=axes, code=code)
    slots = [
        f
        for f in schema(layout, 100, length, has_next_sentence=False).features
        if f.name.startswith("masked")
    ]
    return Schema((*input_features(length, 100), *slots, feature), layout)


def example_beside(values):
    tokens = np.arange(1, 1 + values[0])
    return {
        "input_ids": tokens,
        "segment_ids": np.zeros_like(tokens),
        "masked_lm_positions": np.arange(2),
        "masked_lm_ids": np.arange(2),
        "inside": values[1].ravel(),
    }


def drawn(axes, tokens, slots=2):
    """Values of an example's own tokens and slots."""
    shape = [{"L": tokens, "P": slots}.get(axis, axis) for axis in axes]
    return np.random.default_rng(tokens).normal(size=shape)


# How far what is read back may be from the largest value.
PRECISION = {"float32": 1e-7, "blocks16": 4e-5, "blocks8": 9e-3}


@pytest.mark.parametrize("code", PRECISION)
@pytest.mark.parametrize("axes", AXES, ids=str)
def test_features_with_axes(axes, code):
    made = beside(axes, code)
    stored = [(n, drawn(axes, n)) for n in (5, 1, 7)]
    serialized = [made.encode(example_beside(x)) for x in stored]
    for length in (7, 10, None):
        batch = made.decode(tf.constant(serialized), length)
        found = batch["inside"].numpy()
        assert found.dtype == np.float32
        sizes = {"L": length or 12, "P": 4}
        shape = [sizes.get(axis, axis) for axis in axes]
        for row, (_, values) in zip(found, stored, strict=True):
            expected = np.zeros(shape)
            expected[tuple(slice(n) for n in values.shape)] = values
            if "P" in axes:
                # These keep their flat form, which codecs know.
                row = row.reshape(shape)
            error = PRECISION[code] * np.abs(values).max() + 1e-6
            np.testing.assert_allclose(row, expected, rtol=0, atol=error)
        assert batch["input_ids"].shape == (3, sizes["L"])


def test_blocks_take_their_bits_and_no_more():
    sizes = {
        code: len(
            beside(("L", 50), code).encode(
                example_beside((7, drawn(("L", 50), 7)))
            )
        )
        for code in PRECISION
    }
    assert sizes["float32"] - sizes["blocks16"] == 7 * 50 * 2
    assert sizes["float32"] - sizes["blocks8"] == 7 * 50 * 3


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (1e9, r"'inside' holds 1e\+09, which does not fit in 16 bits"),
        (-1e30, r"'inside' holds 1e\+30, which does not fit"),
        (np.inf, "'inside' holds a value that is not finite"),
        (np.nan, "'inside' holds a value that is not finite"),
    ],
)
def test_what_blocks_cannot_hold_is_refused(value, says):
    values = np.array([1.0, value])
    with pytest.raises(ValueError, match=says):
        beside((2,), "blocks16").encode(example_beside((5, values)))
    beside((2,)).encode(example_beside((5, values)))


def test_lists_that_do_not_belong_together_are_refused():
    fewer = EXAMPLE | {"masked_lm_ids": np.array([2197])}
    with pytest.raises(
        ValueError, match=r"'masked_lm_ids' holds 1 .*expected 2"
    ):
        schema("packed").encode(fewer)


@pytest.mark.parametrize("change", [lambda x: x[:-1], lambda x: x + b"x"])
def test_an_example_of_other_length_is_refused(change):
    made = schema("packed")
    wrong = change(made.encode(EXAMPLE))
    expected = f"(?s)an example has.*{len(wrong)}.*bytes where"
    with pytest.raises(tf.errors.InvalidArgumentError, match=expected):
        made.decode(tf.constant([made.encode(EXAMPLE), wrong]))


def test_plain_layout_has_features_of_classes():
    made = beside((3,), layout="plain")
    values = np.array([1.5, -2.0, 0.0])
    serialized = tf.constant([made.encode(example_beside((5, values)))])
    batch = made.decode(serialized, 5)
    assert batch["inside"].numpy().tolist() == [values.tolist()]
    assert batch["input_ids"].numpy().tolist() == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_axes_are_kept_in_json(axes):
    made = beside(axes, "blocks16")
    stored = json.loads(json.dumps(made.to_json()))
    assert Schema.from_json(stored) == made
