"""Records hold what a task's tables hold, in their order."""

import pytest
import tensorflow as tf
from small_records import unfinish

from tfdistill.config.options import Examples
from tfdistill.records import open_record_set
from tfdistill.tasks import table_records
from tfdistill.tasks.glue import GLUE, path_of
from tfdistill.tasks.own_task import own_task
from tfdistill.tasks.sentence_records import sentence_layout
from tfdistill.tasks.table_records import (
    find_split,
    open_split,
    write_split,
)
from tfdistill.text.word_pieces import WordPiece

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##s"]
TOKENIZER = WordPiece(PIECES, do_lower_case=True)
CLS, SEP, A, B, C, S = (
    PIECES.index(p) for p in ("[CLS]", "[SEP]", *"abc", "##s")
)
EXAMPLES = Examples(max_seq_length=8)


def write_table(folder, name, *lines):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def make(
    task, data, folder, split="train", *, examples=EXAMPLES, per_shard=100
):
    """Make the records of a split; returns the summary and the set."""
    columns = task.columns[split]
    found = find_split(
        task, split, path_of(task, data, split), columns, str(folder)
    )
    layout = sentence_layout(
        task, found, TOKENIZER, None, examples, examples_per_shard=per_shard
    )
    writer = open_split(found, layout, examples_per_shard=per_shard)
    summary = write_split(found, layout, writer, examples_per_shard=per_shard)
    return summary, open_record_set(str(folder))


def decoded(records):
    """The batch of all examples."""
    paths = [str(shard.path) for shard in records.shards]
    examples = list(tf.data.TFRecordDataset(paths))
    batch = records.schema.decode(tf.stack(examples))
    return {name: value.numpy().tolist() for name, value in batch.items()}


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_sentences(tmp_path):
    data = write_table(
        tmp_path / "SST-2", "train.tsv", "sentence\tlabel", "A bs\t1", "c\t0"
    )
    summary, records = make(GLUE["sst2"], data, tmp_path / "records")
    assert summary == {"examples": 2, "shards": 1}
    batch = decoded(records)
    assert batch == {
        "input_ids": [
            [CLS, A, B, S, SEP, 0, 0, 0],
            [CLS, C, SEP, 0, 0, 0, 0, 0],
        ],
        "input_mask": [[1, 1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0]],
        "segment_ids": [[0] * 8] * 2,
        "labels": [1, 0],
    }
    assert records.identity["task"] == "sst2"
    assert records.identity["labels"] == ["0", "1"]
    assert records.identity["num_classes"] == 2
    assert records.identity["metrics"] == ["accuracy"]
    assert records.identity["submission"] == "SST-2.tsv"
    assert records.identity["tokenizer"] == TOKENIZER.fingerprint
    files = {path.name for path in (tmp_path / "records").iterdir()}
    assert files == {
        "train-00000-of-00001.tfrecord",
        "manifest.json",
        "vocab.txt",
    }


@pytest.mark.parametrize("layout", ["packed", "plain"])
def test_pairs(tmp_path, layout):
    data = write_table(
        tmp_path / "RTE",
        "train.tsv",
        "index\tsentence1\tsentence2\tlabel",
        "0\ta\tb c\tnot_entailment",
        "1\ta a a a\tb b b b\tentailment",
        "2\t\tc\tentailment",
    )
    examples = Examples(max_seq_length=8, record_layout=layout)
    _, records = make(GLUE["rte"], data, tmp_path / "set", examples=examples)
    batch = decoded(records)
    assert batch["input_ids"] == [
        [CLS, A, SEP, B, C, SEP, 0, 0],
        # Of eight tokens three are special; the second loses more.
        [CLS, A, A, A, SEP, B, B, SEP],
        [CLS, SEP, C, SEP, 0, 0, 0, 0],
    ]
    assert batch["segment_ids"] == [
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 1, 1, 0, 0, 0, 0],
    ]
    assert records.schema.layout == layout
    # Entailment is the first of the task's labels.
    assert batch["labels"] == [1, 0, 0]


def test_scores(tmp_path):
    data = write_table(
        tmp_path / "STS-B",
        "dev.tsv",
        "sentence1\tsentence2\tscore",
        "a\tb\t3.75",
        "c\ta\t0",
    )
    _, records = make(GLUE["stsb"], data, tmp_path / "set", "dev")
    batch = decoded(records)
    assert batch["labels"] == [3.75, 0.0]
    assert batch["input_ids"][0] == [CLS, A, SEP, B, SEP, 0, 0, 0]
    assert records.schema.feature("labels").packing.size(1) == 4
    assert records.identity["labels"] == []
    assert records.identity["num_classes"] == 1
    assert records.identity["score_range"] == [0, 5]


@pytest.mark.parametrize(
    ("name", "rows", "labels"),
    [
        ("mnli", ["neutral", "contradiction", "entailment"], [2, 0, 1]),
        ("xnli", ["neutral", "contradictory", "entailment"], [2, 0, 1]),
        ("qnli", ["not_entailment", "entailment"], [1, 0]),
        ("classification", ["up", "10", "down", "9"], [3, 0, 2, 1]),
    ],
)
def test_labels_are_in_canonical_order(tmp_path, name, rows, labels):
    """Whatever order they come in."""
    header = {
        "mnli": "sentence1\tsentence2\tgold_label",
        "xnli": "premise\thypo\tlabel",
        "qnli": "question\tsentence\tlabel",
        "classification": "x\ty\tlabel",
    }[name]
    data, folder = tmp_path / "data", tmp_path / "data"
    data.mkdir()
    if name == "xnli":
        folder = data / "multinli"
    file = "multinli.train.zh.tsv" if name == "xnli" else "train.tsv"
    write_table(folder, file, header, *(f"a\tb\t{label}" for label in rows))
    task = GLUE.get(name) or own_task(
        name, data, text_column="x", pair_column="y", label_column="label"
    )
    _, records = make(task, data, tmp_path / "set")
    assert decoded(records)["labels"] == labels
    assert [records.identity["labels"][i] for i in labels] == [
        {"contradictory": "contradiction"}.get(label, label) for label in rows
    ]


@pytest.mark.parametrize(
    "name", ["sst2", "mrpc", "classification", "regression"]
)
def test_a_test_split_without_labels(tmp_path, name):
    """In the order of its table, over several shards."""
    header = {"mrpc": "#1 String\t#2 String"}.get(name, "index\tsentence")
    words = ["a", "b", "c", "a a", "b b", "c c", "a b"]
    lines = [
        f"{word}\tb" if name == "mrpc" else f"{i}\t{word}"
        for i, word in enumerate(words)
    ]
    data = write_table(tmp_path / "data", "test.tsv", header, *lines)
    columns = {"text_column": "sentence", "label_column": "label"}
    if name == "classification":
        columns["labels"] = ("no", "yes")
    task = GLUE.get(name) or own_task(name, data, **columns)
    summary, records = make(task, data, tmp_path / "set", "test", per_shard=3)
    assert summary == {"examples": 7, "shards": 3}
    assert [shard.examples for shard in records.shards] == [3, 3, 1]
    batch = decoded(records)
    assert "labels" not in batch
    ids = [[PIECES.index(word) for word in line.split()] for line in words]
    found = [
        row[1 : 1 + len(x)]
        for row, x in zip(batch["input_ids"], ids, strict=True)
    ]
    assert found == ids


@pytest.mark.parametrize(
    ("indices", "line", "says"),
    [
        ("021", 3, "'2', expected 1"),
        ("123", 2, "'1', expected 0"),
        ("0113", 4, "'1', expected 2"),
    ],
)
def test_rows_to_predict_are_in_the_order_of_their_numbers(
    tmp_path, indices, line, says
):
    """A submission's numbers are the rows' places."""
    rows = [f"{index}\ta" for index in indices]
    data = write_table(tmp_path / "SST-2", "test.tsv", "index\tsentence", *rows)
    with pytest.raises(ValueError) as error:
        make(GLUE["sst2"], data, tmp_path / "set", "test")
    assert str(error.value) == (
        f"{data}/test.tsv: line {line} has the index {says}: rows are "
        "numbered from 0, in their order."
    )
    assert not (tmp_path / "set").exists()
    # What nobody asks predictions for may have any numbers.
    rows = [f"{index}\ta\t1" for index in indices]
    header = "index\tsentence\tlabel"
    write_table(data, "dev.tsv", header, *rows)
    _, records = make(GLUE["sst2"], data, tmp_path / "set", "dev")
    assert records.examples == len(indices)


def test_labels_of_a_test_split_that_has_them(tmp_path):
    data = write_table(
        tmp_path / "MRPC",
        "msr_paraphrase_test.txt",
        "Quality\t#1 String\t#2 String",
        "1\ta\tb",
        "0\ta\tc",
    )
    _, records = make(GLUE["mrpc"], data, tmp_path / "set", "test")
    assert decoded(records)["labels"] == [1, 0]


@pytest.fixture
def ten_rows(tmp_path):
    lines = [f"{'abc'[i % 3]} {'a' * (i % 4)}\t{i % 2}" for i in range(10)]
    return write_table(tmp_path / "SST-2", "dev.tsv", "sentence\tlabel", *lines)


def test_shards_hold_so_many_examples(ten_rows, tmp_path):
    summary, records = make(
        GLUE["sst2"], ten_rows, tmp_path / "many", "dev", per_shard=4
    )
    assert summary == {"examples": 10, "shards": 3}
    assert [(s.path.name, s.examples) for s in records.shards] == [
        ("dev-00000-of-00003.tfrecord", 4),
        ("dev-00001-of-00003.tfrecord", 4),
        ("dev-00002-of-00003.tfrecord", 2),
    ]
    _, whole = make(GLUE["sst2"], ten_rows, tmp_path / "one", "dev")
    assert len(whole.shards) == 1
    assert decoded(records) == decoded(whole)


def test_a_killed_writer_goes_on(ten_rows, tmp_path):
    def write(folder):
        return make(GLUE["sst2"], ten_rows, folder, "dev", per_shard=4)

    write(tmp_path / "whole")
    write(tmp_path / "cut")
    cut = tmp_path / "cut"
    # As it is after a kill: a shard is missing, there is no manifest yet.
    unfinish(cut)
    (cut / "dev-00001-of-00003.tfrecord").unlink()
    kept = cut / "dev-00002-of-00003.tfrecord"
    written = kept.stat().st_mtime_ns
    summary, _ = write(cut)
    assert summary == {"examples": 10, "shards": 3}
    assert contents(cut) == contents(tmp_path / "whole")
    assert kept.stat().st_mtime_ns == written


def test_a_finished_set_is_left_alone(ten_rows, tmp_path):
    first, _ = make(GLUE["sst2"], ten_rows, tmp_path / "set", "dev")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "set").iterdir()}
    again, _ = make(GLUE["sst2"], ten_rows, tmp_path / "set", "dev")
    assert again == first
    assert before == {
        p: p.stat().st_mtime_ns for p in (tmp_path / "set").iterdir()
    }
    with (ten_rows / "dev.tsv").open("a") as file:
        file.write("a\t1\n")
    with pytest.raises(ValueError, match="settings: the table differs"):
        make(GLUE["sst2"], ten_rows, tmp_path / "set", "dev")


def test_rows_at_once_change_nothing(tmp_path, monkeypatch):
    data = write_table(
        tmp_path / "RTE",
        "train.tsv",
        "sentence1\tsentence2\tlabel",
        *(f"a {'b ' * i}\tc {'s' * i}\tentailment" for i in range(7)),
    )
    make(GLUE["rte"], data, tmp_path / "all")
    monkeypatch.setattr(table_records, "_ROWS_AT_ONCE", 3)
    make(GLUE["rte"], data, tmp_path / "three")
    assert contents(tmp_path / "three") == contents(tmp_path / "all")


def test_a_wrong_row_is_found_before_anything_is_written(tmp_path):
    data = write_table(
        tmp_path / "SST-2", "train.tsv", "sentence\tlabel", "a\t1", "b\t2"
    )
    with pytest.raises(ValueError, match=r"train\.tsv: line 3: unknown label"):
        make(GLUE["sst2"], data, tmp_path / "set")
    assert not (tmp_path / "set").exists()
