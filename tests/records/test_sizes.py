"""The sizes that records/README.md promises, as files on the disk."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.records import Schema, make_codec, masked_lm_features
from tfdistill.records.knowledge import Shapes
from tfdistill.records.writer import ShardWriter

# BERT's vocabulary and first lengths.
V, L, P = 30522, 128, 20
EXAMPLES = 24
RNG = np.random.default_rng(0)
# Pieces are about as frequent as Zipf says, the first at BERT's first words.
SHARES = np.roll(1 / np.arange(3, V + 3), 1996)
SHARES /= SHARES.sum()
CLS, SEP, MASK = 101, 102, 103


def full_example():
    """Two sentences and a mask in every place there is."""
    ids = RNG.choice(V, L, p=SHARES)
    second = RNG.integers(20, L - 20)
    ids[[0, second - 1, L - 1]] = CLS, SEP, SEP
    words = np.flatnonzero(ids > MASK)
    places = np.sort(RNG.choice(words, P, replace=False))
    masked = ids[places].copy()
    # As published; of the others half are kept, half drawn anew.
    fate = RNG.random(P)
    ids[places[fate < 0.8]] = MASK
    drawn = places[fate >= 0.9]
    ids[drawn] = RNG.integers(0, V, len(drawn))
    return {
        "input_ids": ids,
        "segment_ids": (np.arange(L) >= second).astype(int),
        "masked_lm_positions": places,
        "masked_lm_ids": masked,
        "next_sentence_labels": RNG.integers(0, 2, 1),
    }


@pytest.fixture(scope="module")
def said():
    """Examples, and what a teacher of some 4 nats says.

    It leans towards frequent pieces: what zlib saves hangs on it.
    """
    logits = 1.3 * np.log(SHARES) + 2.5 * RNG.normal(size=(EXAMPLES, P, V))
    return (
        [full_example() for _ in range(EXAMPLES)],
        {
            "logits": tf.constant(logits, tf.float32),
            "record_index": tf.range(EXAMPLES, dtype=tf.int64),
        },
    )


@pytest.fixture
def size_of(said, tmp_path):
    """Returns the bytes of a shard with such knowledge, or with none."""

    def size_of(layout, spec=None, compression="none"):
        examples, outputs = said
        schema = Schema(
            masked_lm_features(
                max_seq_length=L,
                max_predictions_per_seq=P,
                vocabulary_size=V,
                is_masked=True,
                has_next_sentence=True,
            ),
            layout,
            compression,
        )
        answers = {}
        if spec is not None:
            shapes = Shapes(
                layout=layout,
                max_seq_length=L,
                num_slots=P,
                vocabulary_size=V,
                num_classes=0,
            )
            codec = make_codec([spec], shapes)
            features = (*schema.features, *codec.features())
            schema = dataclasses.replace(schema, features=features)
            answers = {k: v.numpy() for k, v in codec.encode(outputs).items()}
        path = tmp_path / "shard.tfrecord"
        with ShardWriter(path, schema) as shard:
            for row, example in enumerate(examples):
                own = {name: v[row].ravel() for name, v in answers.items()}
                shard.add(example | own)
        return path.stat().st_size

    return size_of


@pytest.mark.parametrize(
    ("compression", "most"), [("none", 0.5), ("zlib", 0.4)]
)
def test_whole_records_against_the_plain_layout(size_of, compression, most):
    spec = "top_k(k=10)"
    ours = size_of("packed", spec, compression)
    assert ours <= most * size_of("plain", spec)


@pytest.mark.parametrize(
    ("spec", "most"), [("top_k(k=10)", 32), ("hybrid(k=4, samples=8)", 30)]
)
def test_knowledge_of_a_position(size_of, spec, most):
    added = size_of("packed", spec) - size_of("packed")
    assert added <= most * EXAMPLES * P
