"""Records that hold whole words beside pieces."""

import json

import numpy as np
import pytest
import tensorflow as tf
from model_folders import roberta_vocabulary

from tfdistill.agreement import words_of
from tfdistill.config.options import Examples
from tfdistill.records import (
    evaluation_batches,
    open_record_set,
    training_batches,
)
from tfdistill.tasks.glue import GLUE, path_of
from tfdistill.tasks.sentence_records import sentence_layout
from tfdistill.tasks.table_records import (
    find_split,
    open_split,
    write_split,
)
from tfdistill.text.byte_pairs import BytePair, parse_merges
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece
from tfdistill.text.words import RESERVED, Words

TOKENIZER = WordPiece([*SPECIAL_PIECES, *"abc", "##s"], do_lower_case=True)
WORDS = Words([*RESERVED, "a", "bs", "c"], do_lower_case=True)
UNKNOWN, MASK, A, BS, C = range(1, 6)
PAIRS = {
    "header": "index\tsentence1\tsentence2\tlabel",
    "rows": [
        "0\ta\tBs [MASK] c\tnot_entailment",
        "1\ta a a a a a a a a\tc c c c c c\tentailment",
        "2\tc\t\tentailment",
        "3\tb bs [mask]\ta\tentailment",
    ],
}


def make(
    tmp_path,
    header="sentence\tlabel",
    rows=("a\t0",),
    *,
    task="sst2",
    tokenizer=TOKENIZER,
    layout="packed",
    max_seq_length=8,
):
    """Write a table and its records."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.tsv").write_text("\n".join([header, *rows]) + "\n")
    task = GLUE[task]
    examples = Examples(max_seq_length=max_seq_length, record_layout=layout)
    split = find_split(
        task,
        "train",
        path_of(task, data, "train"),
        task.columns["train"],
        str(tmp_path / "records"),
    )
    made_of = (tokenizer, WORDS, examples)
    layout = sentence_layout(task, split, *made_of, examples_per_shard=100)
    writer = open_split(split, layout, examples_per_shard=100)
    write_split(split, layout, writer, examples_per_shard=100)
    return open_record_set(str(tmp_path / "records"))


def decoded(records):
    paths = [str(shard.path) for shard in records.shards]
    batch = records.schema.decode(
        tf.stack(list(tf.data.TFRecordDataset(paths)))
    )
    return {name: value.numpy().tolist() for name, value in batch.items()}


def padded(*rows):
    return [[*row, *[0] * (8 - len(row))] for row in rows]


@pytest.mark.parametrize("layout", ["packed", "plain"])
def test_single_sentences(tmp_path, layout):
    rows = ("A bs [MASK]\t1", "b\t0", "a a a a a a a a a\t0", "\u200b\t1")
    records = make(tmp_path, rows=rows, layout=layout)
    batch = decoded(records)
    assert batch["word_ids"] == padded([A, BS, MASK], [UNKNOWN], [A] * 8, [])
    assert batch["word_mask"] == padded([1] * 3, [1], [1] * 8, [])
    assert "word_segments" not in batch
    assert batch["labels"] == [1, 0, 0, 1]
    assert [sum(mask) for mask in batch["input_mask"]] == [8, 3, 8, 2]


@pytest.mark.parametrize("layout", ["packed", "plain"])
def test_pairs_are_cut_as_pieces_are(tmp_path, layout):
    records = make(tmp_path, **PAIRS, task="rte", layout=layout)
    batch = decoded(records)
    assert batch["word_ids"] == padded(
        [A, BS, MASK, C],
        [A] * 4 + [C] * 4,
        [C],
        [UNKNOWN, BS, UNKNOWN, UNKNOWN, UNKNOWN, A],
    )
    assert batch["word_segments"] == padded(
        [0, 1, 1, 1], [0] * 4 + [1] * 4, [0], [0] * 5 + [1]
    )


def test_the_words_are_kept_beside_the_records(tmp_path):
    records = make(tmp_path)
    assert records.identity["words"] == {
        "fingerprint": WORDS.fingerprint,
        "do_lower_case": True,
    }
    found = words_of(records)
    assert found.fingerprint == WORDS.fingerprint
    path = tmp_path / "records/words.txt"
    path.write_text(path.read_text() + "more\n")
    with pytest.raises(ValueError, match="with other words than it has now"):
        words_of(records)


def test_other_words_are_other_records(tmp_path):
    records = make(tmp_path)
    manifest = json.loads((tmp_path / "records/manifest.json").read_text())
    names = [f["name"] for f in manifest["schema"]["features"]]
    assert names == ["input_ids", "segment_ids", "word_ids", "labels"]
    split = find_split(
        GLUE["sst2"],
        "train",
        tmp_path / "data/train.tsv",
        GLUE["sst2"].columns["train"],
        records.path,
    )
    layout = sentence_layout(
        GLUE["sst2"],
        split,
        TOKENIZER,
        Words([*RESERVED, "a"], do_lower_case=True),
        Examples(max_seq_length=8),
        examples_per_shard=100,
    )
    with pytest.raises(ValueError, match="other input or settings"):
        open_split(split, layout, examples_per_shard=100)


def batches_of(records, kind, size):
    if kind == "evaluation":
        return evaluation_batches(
            records, batch_size=size, process_slice=(0, size)
        )
    return training_batches(
        records,
        batch_size=size,
        seed=1,
        shuffle_buffer_size=10,
        first_step=0,
        process_slice=(0, size),
    )


@pytest.mark.parametrize("layout", ["packed", "plain"])
@pytest.mark.parametrize("kind", ["training", "evaluation"])
def test_no_word_is_lost_where_pieces_are_fewer(tmp_path, kind, layout):
    """Byte-level pieces hold several words, so batches are as long as these."""
    merges = [". .", ".. ..", ".... ....", "........ ........"]
    tokenizer = BytePair(
        roberta_vocabulary(merges), parse_merges(merges, "the test")
    )
    dots = "." * 16
    records = make(
        tmp_path,
        rows=[f"{dots}{dots}\t0", "a\t1"],
        tokenizer=tokenizer,
        layout=layout,
        max_seq_length=64,
    )
    batch = next(batches_of(records, kind, 2))
    order = np.argsort(-batch["word_mask"].numpy().sum(1))
    pieces = batch["input_mask"].numpy()[order].sum(1)
    words = batch["word_mask"].numpy()[order].sum(1)
    assert words.tolist() == [32, 1] and pieces[0] == 4
    assert batch["word_ids"].shape == batch["input_ids"].shape == (2, 32)
    assert (batch["word_ids"].numpy()[order][0] == UNKNOWN).all()


def test_batches_are_no_longer_than_their_pieces(tmp_path):
    rows = [f"{' '.join(['a'] * n)}\t0" for n in (3, 12, 20)]
    records = make(tmp_path, rows=rows, max_seq_length=64)
    lengths = [
        (batch["word_ids"].shape[1], batch["input_ids"].shape[1])
        for batch in batches_of(records, "evaluation", 1)
    ]
    assert lengths == [(16, 16), (16, 16), (32, 32)]
