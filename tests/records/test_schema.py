"""Examples come back as they were written, in both layouts."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.records import Schema, masked_lm_features


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
