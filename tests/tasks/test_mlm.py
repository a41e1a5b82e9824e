"""Masks that are drawn while training, and the task's metrics."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.metrics import (
    masked_lm_metrics,
    masked_lm_sums,
    next_sentence_sums,
    teacher_sums,
)
from tfdistill.records import (
    RecordSetWriter,
    Schema,
    evaluation_batches,
    masked_lm_features,
    training_batches,
)
from tfdistill.tasks import MLM
from tfdistill.text.word_pieces import WordPiece

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES += [f"w{i}" for i in range(30)] + [f"##p{i}" for i in range(15)]
TOKENIZER = WordPiece(PIECES, do_lower_case=True)
L, P = 32, 6


@pytest.fixture(params=[False, True], ids=["pieces", "words"])
def records(request, tmp_path):
    writer = RecordSetWriter(
        str(tmp_path / "set"),
        schema=Schema(
            masked_lm_features(
                max_seq_length=L,
                max_predictions_per_seq=P,
                vocabulary_size=len(PIECES),
                is_masked=False,
                has_next_sentence=False,
            )
        ),
        identity={
            "settings": {
                "max_predictions_per_seq": P,
                "masked_lm_prob": 0.15,
                "do_whole_word_mask": request.param,
            }
        },
        shard_names=["0.tfrecord"],
        files={},
    )
    rng = np.random.default_rng(0)
    with writer.shard("0.tfrecord") as shard:
        for _ in range(12):
            length = int(rng.integers(10, L - 2))
            ids = np.concatenate([[2], rng.integers(5, 50, length), [3]])
            shard.add(
                {"input_ids": ids, "segment_ids": np.zeros(len(ids), int)}
            )
    return writer.finish()


def masked(records, *, first_step=0, process_slice=(0, 12), steps=1):
    stream = training_batches(
        records,
        batch_size=12,
        seed=1,
        shuffle_buffer_size=50,
        first_step=first_step,
        process_slice=process_slice,
        transform=MLM.transform(records, TOKENIZER, 5),
    )
    return [next(stream) for _ in range(steps)]


def restored(batch):
    """The inputs with the labels put back at the masked positions."""
    ids = batch["input_ids"].numpy().copy()
    for row in range(len(ids)):
        count = int(batch["masked_lm_weights"][row].numpy().sum())
        where = batch["masked_lm_positions"][row, :count].numpy()
        assert (np.diff(where) > 0).all()
        ids[row, where] = batch["masked_lm_ids"][row, :count].numpy()
    return ids


def test_masks_differ_from_epoch_to_epoch(records):
    first, second = masked(records, steps=2)
    ours, theirs = (
        {
            tuple(ids): tuple(m)
            for ids, m in zip(
                restored(b), b["input_ids"].numpy().tolist(), strict=True
            )
        }
        for b in (first, second)
    )
    assert set(ours) == set(theirs)
    assert sum(ours[k] != theirs[k] for k in ours) >= 10


def test_number_of_masks(records):
    (batch,) = masked(records)
    lengths = batch["input_mask"].numpy().sum(-1)
    counts = batch["masked_lm_weights"].numpy().sum(-1)
    wanted = [min(P, max(1, round(int(n) * 0.15))) for n in lengths]
    if records.identity["settings"]["do_whole_word_mask"]:
        assert (counts <= wanted).all() and (counts >= 1).all()
    else:
        np.testing.assert_array_equal(counts, wanted)


def test_specials_are_never_masked(records):
    (batch,) = masked(records)
    ids = restored(batch)
    for row, positions in enumerate(batch["masked_lm_positions"].numpy()):
        count = int(batch["masked_lm_weights"][row].numpy().sum())
        assert not np.isin(ids[row, positions[:count]], [0, 2, 3]).any()


def test_masks_do_not_depend_on_slices_or_resumes(records):
    whole = masked(records, steps=3)[2]
    halves = [
        masked(records, first_step=2, process_slice=(start, 6))[0]
        for start in (0, 6)
    ]
    for name in whole:
        parts = np.concatenate([h[name].numpy() for h in halves])
        np.testing.assert_array_equal(parts, whole[name], name)


def test_evaluation_masks_are_fixed(records):
    def batches():
        return list(
            evaluation_batches(
                records,
                batch_size=5,
                process_slice=(0, 5),
                transform=MLM.transform(records, TOKENIZER, 5),
            )
        )

    for one, two in zip(batches(), batches(), strict=True):
        np.testing.assert_array_equal(one["input_ids"], two["input_ids"])
    assert float(tf.reduce_sum(batches()[-1]["masked_lm_weights"][2:])) == 0


def test_metrics_against_counting():
    rng = np.random.default_rng(1)
    ours = rng.normal(size=(4, 3, 9)).astype(np.float32)
    theirs = rng.normal(size=(4, 3, 9)).astype(np.float32)
    labels = rng.integers(0, 9, (4, 3))
    weights = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], float)
    sums = masked_lm_sums(
        ours, tf.constant(labels, tf.int32), weights.astype(np.float32)
    )
    sums |= teacher_sums(ours, theirs, weights.astype(np.float32))
    pairs = rng.normal(size=(4, 2)).astype(np.float32)
    sums |= next_sentence_sums(
        pairs, tf.constant([0, 1, 1, 0]), tf.constant([1.0, 1.0, 1.0, 0.0])
    )
    found = masked_lm_metrics({k: float(v) for k, v in sums.items()})
    real = weights.astype(bool)
    p = np.exp(theirs) / np.exp(theirs).sum(-1, keepdims=True)
    q = np.exp(ours) / np.exp(ours).sum(-1, keepdims=True)
    loss = -np.log(np.take_along_axis(q, labels[..., None], -1))[..., 0]
    kl = (p * np.log(p / q)).sum(-1)
    expected = {
        "masked_accuracy": (ours.argmax(-1) == labels)[real].mean(),
        "masked_loss": loss[real].mean(),
        "perplexity": np.exp(loss[real].mean()),
        "next_sentence_accuracy": (pairs.argmax(-1) == [0, 1, 1, 0])[:3].mean(),
        "teacher_agreement": (ours.argmax(-1) == theirs.argmax(-1))[
            real
        ].mean(),
        "teacher_kl": kl[real].mean(),
    }
    assert found == pytest.approx(expected, rel=1e-5)
    assert set(found) == set(MLM.metrics)
    assert masked_lm_metrics({"masked_hits": 0.0, "masked_weights": 0.0}) == {}
