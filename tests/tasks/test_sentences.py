"""Metrics of sentences come from the rows of real examples alone."""

import types

import numpy as np
import pytest
import tensorflow as tf
from mirrored import two_mirrored

from tfdistill.models.configuration import BertConfig
from tfdistill.records import (
    RecordSetWriter,
    Schema,
    open_record_set,
    sentence_features,
)
from tfdistill.replicas import OneDevice
from tfdistill.scoring import examine
from tfdistill.tasks import find_task
from tfdistill.text.word_pieces import WordPiece

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
TOKENIZER = WordPiece(PIECES, do_lower_case=True)
# What models say of the examples; not all of it is right.
LOGITS = np.array(
    [[2, 1], [0, 3], [0, 1], [1, 0], [4, 0], [0, 2], [1, 3]], np.float32
)
LABELS = [1, 1, 1, 0, 0, 0, 1]
SCORES = np.array([[1], [3], [-2], [0.5], [4], [2], [5]], np.float32)
GIVEN = [3.0, 2.5, -1.0, 0.0, 5.0, 2.0, 4.0]


def write(folder, *, labels, num_classes, metrics, task="classification"):
    """Records whose second token is their number, over two shards."""
    features = sentence_features(
        8, len(PIECES), num_classes, has_labels=labels is not None
    )
    names = ["0.tfrecord", "1.tfrecord"]
    writer = RecordSetWriter(
        str(folder),
        schema=Schema(features),
        identity={
            "task": task,
            "num_classes": num_classes,
            "labels": ["no", "yes"] if num_classes == 2 else [],
            "metrics": metrics,
        },
        shard_names=names,
        files={},
    )
    for name, rows in zip(names, (range(3), range(3, 7)), strict=True):
        with writer.shard(name) as shard:
            for i in rows:
                ids = np.array([TOKENIZER.cls_id, 5 + i, TOKENIZER.sep_id])
                example = {"input_ids": ids, "segment_ids": np.zeros(3, int)}
                if labels is not None:
                    example["labels"] = np.array([labels[i]])
                shard.add(example)
    return writer.finish()


class Says:
    """A model that knows the examples by heart."""

    config = BertConfig(vocabulary_size=len(PIECES), max_sequence_length=8)

    def __init__(self, logits):
        self._logits = logits

    def __call__(self, batch, reads, noise):
        assert reads == {"logits"} and noise is None
        return {"logits": tf.gather(self._logits, batch["input_ids"][:, 1] - 5)}


def find_out(records, logits, *, teacher=None, replicas=None, batch_size=4):
    task = find_task(records.identity["task"], records)
    found = examine(
        Says(logits),
        frozenset({"encoder", "pooler", "classifier"}),
        None if teacher is None else Says(teacher),
        records,
        TOKENIZER,
        task,
        replicas or OneDevice(),
        batch_size=batch_size,
    )()
    return task, found


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes") / "set"
    return write(
        folder, labels=LABELS, num_classes=2, metrics=["f1", "accuracy"]
    )


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    return write(
        tmp_path_factory.mktemp("scores") / "set",
        labels=GIVEN,
        num_classes=1,
        metrics=["pearson", "spearman"],
        task="regression",
    )


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


# Of seven examples, the last batch is filled up, or it is not.
@pytest.mark.parametrize(
    ("kind", "batch_size"), [("one", 4), ("one", 7), ("two", 4), ("two", 3)]
)
def test_classes(classes, kind, batch_size):
    replicas = OneDevice() if kind == "one" else two_mirrored()
    task, found = find_out(
        classes, LOGITS, replicas=replicas, batch_size=batch_size
    )
    np.testing.assert_array_equal(found.rows["logits"], LOGITS)
    assert found.rows["labels"].tolist() == LABELS
    assert set(found.rows) == {"logits", "labels"}
    loss = -log_softmax(LOGITS)[range(7), LABELS].mean()
    # Three of the four that are 1 are found, beside one that is not.
    assert task.finish(*found) == pytest.approx(
        {
            "f1": 2 * 3 / (2 * 3 + 1 + 1),
            "accuracy": 5 / 7,
            "label_loss": loss,
        }
    )
    assert task.best_metric == "f1"
    assert task.metrics["f1"] and not task.metrics["label_loss"]
    assert set(task.finish(*found)) <= set(task.metrics)


def test_a_teacher_to_compare_with(classes):
    teacher = -LOGITS
    teacher[:3] = 2 * LOGITS[:3]
    task, found = find_out(classes, LOGITS, teacher=teacher)
    p, q = log_softmax(teacher), log_softmax(LOGITS)
    kl = (np.exp(p) * (p - q)).sum(-1).mean()
    metrics = task.finish(*found)
    assert metrics["teacher_agreement"] == pytest.approx(3 / 7)
    assert metrics["teacher_kl"] == pytest.approx(kl, rel=1e-5)
    assert set(metrics) == set(task.metrics)


@pytest.mark.parametrize("batch_size", [4, 7])
def test_scores(scores, batch_size):
    task, found = find_out(
        scores, SCORES, teacher=SCORES, batch_size=batch_size
    )
    np.testing.assert_array_equal(found.rows["logits"], SCORES)
    assert found.rows["labels"].tolist() == GIVEN
    ours, given = SCORES[:, 0], np.array(GIVEN)
    ranks = (x.argsort().argsort() for x in (ours, given))
    # Scores have no distribution in which a teacher could agree.
    assert task.finish(*found) == pytest.approx(
        {
            "pearson": np.corrcoef(ours, given)[0, 1],
            "spearman": np.corrcoef(*ranks)[0, 1],
            "label_loss": ((ours - given) ** 2).mean(),
        }
    )
    assert task.targets["labels"].is_score
    assert task.example_labels == ""


def test_records_without_labels_have_rows_and_no_metrics(tmp_path):
    records = write(
        tmp_path / "set", labels=None, num_classes=2, metrics=["accuracy"]
    )
    task, found = find_out(records, LOGITS)
    np.testing.assert_array_equal(found.rows["logits"], LOGITS)
    assert set(found.rows) == {"logits"}
    with pytest.raises(ValueError, match=r"hold no labels, .*predict is for"):
        task.finish(*found)


def test_the_task_is_that_of_the_records(classes):
    records = open_record_set(classes.path)
    assert find_task("classification", records).num_classes == 2
    with pytest.raises(ValueError, match="made for --task=classification, not"):
        find_task("sst2", records)
    with pytest.raises(ValueError, match="made for --task=classification, not"):
        find_task("mlm", records)
    with pytest.raises(
        ValueError, match=r"Unknown task 'glue'\. Known: mlm, causal_lm, cola"
    ):
        find_task("glue", records)
    # Those of BERT's own scripts do not say what they are for.
    foreign = types.SimpleNamespace(path="", identity={})
    assert find_task("mlm", foreign).name == "mlm"
    with pytest.raises(ValueError, match="made for --task=mlm, not for sst2"):
        find_task("sst2", foreign)
