"""Tables with logits: out of knowledge records and back into them."""

import json
import re

import numpy as np
import pytest
from small_chain import call
from small_sentences import RECORDS, TEACHER, TRAIN, VOCABULARY, run

from tfdistill.records import open_record_set, read_feature

# Quotes, what looks like no value, and a text that stands twice.
ROWS = [
    ('the film was "fine', "1"),
    ('"dull" plot', "0"),
    ("NA", "0"),
    ("a very warm cast", "1"),
    ("a very warm cast", "1"),
    ("null", "1"),
]
EXPORT = "--task=sst2 --data_dir={c}/SST-2 --knowledge_records={c}/logits "
IMPORT = RECORDS + "--input={c}/joined.tsv --knowledge_records={new} "


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    """A folder with a table, a teacher, its logits, and both joined."""
    c = tmp_path_factory.mktemp("logits")
    (c / "SST-2").mkdir()
    lines = ["sentence\tlabel", *map("\t".join, ROWS)]
    (c / "SST-2/train.tsv").write_text("\n".join(lines) + "\n")
    (c / "vocab.txt").write_text("\n".join([*VOCABULARY, '"', "na"]) + "\n")
    run("make_records", RECORDS + "--records={c}/train", c=c)
    run(
        "finetune",
        f"{TRAIN} --model={TEACHER} --records={{c}}/train --num_train_steps=2 "
        "--run_dir={c}/teacher",
        c=c,
    )
    run(
        "extract_teacher",
        "--task=sst2 --records={c}/train --teacher={c}/teacher "
        "--knowledge_records={c}/logits",
        c=c,
    )
    run("export_logits", EXPORT + "--output={c}/joined.tsv", c=c)
    return c


def features(path):
    records = open_record_set(str(path))
    return {
        f.name: read_feature(records, f.name) for f in records.schema.features
    }


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)


def test_rows_stay_as_they_are_beside_their_logits(c):
    head, *lines = (c / "joined.tsv").read_text().splitlines()
    assert head == "sentence\tlabel\tlogits_0\tlogits_1"
    cells = [line.split("\t") for line in lines]
    assert [tuple(row[:2]) for row in cells] == ROWS
    stored = features(c / "logits")["teacher_logits"]
    found = np.array([row[2:] for row in cells], float).astype(np.float32)
    np.testing.assert_array_equal(found, stored)
    assert len(np.unique(found, axis=0)) == len(ROWS) - 1


def test_a_table_becomes_the_same_knowledge_again(c, tmp_path):
    made = run("make_records", IMPORT, c=c, new=tmp_path / "back")
    assert made["knowledge_records"] == str(tmp_path / "back")
    assert "records" not in made and made["examples"] == len(ROWS)
    assert_same(features(tmp_path / "back"), features(c / "logits"))
    assert open_record_set(str(tmp_path / "back")).knowledge == ("logits",)


def test_a_student_learns_the_same_from_both(c, tmp_path):
    run("make_records", IMPORT, c=c, new=tmp_path / "back")
    student = "bert(num_layers=1,hidden_dim=16,num_heads=2)"
    losses = []
    for name in (c / "logits", tmp_path / "back"):
        done = run(
            "distill",
            f"{TRAIN} --student={student} --objective=logit_mse "
            "--knowledge_records={k} --run_dir={new}",
            k=name,
            new=tmp_path / f"run-{name.name}",
        )
        losses.append(done["train"]["loss"])
    assert losses[0] == losses[1]


def test_logits_follow_their_row_whatever_the_order(c, tmp_path):
    """No line can shift: another order and fewer rows change nothing."""
    order = [3, 0, 5, 2]
    lines = ["sentence", *(ROWS[i][0] for i in order)]
    (tmp_path / "some.tsv").write_text("\n".join(lines) + "\n")
    run(
        "export_logits",
        EXPORT + "--input={new}/some.tsv --output={new}/out.tsv",
        c=c,
        new=tmp_path,
    )
    stored = features(c / "logits")["teacher_logits"]
    head, *lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert head == "sentence\tlogits_0\tlogits_1"
    for i, line in zip(order, lines, strict=True):
        text, *logits = line.split("\t")
        assert text == ROWS[i][0]
        np.testing.assert_array_equal(np.float32(logits), stored[i])


def test_a_published_table_is_read(c, tmp_path):
    """T10: labels first, five decimals, and a quote that nothing ends."""
    lines = ["label\tsentence\tlogits_0\tlogits_1"]
    lines += ['0\ta "very film\t1.23457\t-0.5', "1\tNA\t-3.0\t3.33333"]
    (tmp_path / "joined.tsv").write_text("\n".join(lines) + "\n")
    flags = IMPORT.replace("{c}/joined.tsv", "{new}.tsv")
    (tmp_path / "joined.tsv").rename(tmp_path / "set.tsv")
    run("make_records", flags, c=c, new=tmp_path / "set")
    found = features(tmp_path / "set")
    np.testing.assert_array_equal(
        found["teacher_logits"],
        np.array([[1.23457, -0.5], [-3.0, 3.33333]], np.float32),
    )
    assert found["labels"].tolist() == [0, 1]


def fail(command, flags, **folders):
    done = call(command, flags.format(**folders).split())
    assert done.status > 0 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfdistill.{command}: error: ")
    return line


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            "sentence\tlogits_0\na\t1\n",
            "has the columns logits_0, but the task",
        ),
        (
            "sentence\tlogits_0\tlogits_2\na\t1\t2\n",
            "but the task has logits_0",
        ),
        ("sentence\tlogits_0\tlogits_1\na\t1\tx\n", "line 2: the logits 1, x"),
        ("sentence\tlogits_0\tlogits_1\na\t1\tnan\n", "are not finite"),
        ("sentence\tlogits_0\tlogits_1\na\t1\n", "line 2 has 2 cells"),
    ],
)
def test_tables_that_are_refused(c, tmp_path, table, says):
    (tmp_path / "t.tsv").write_text(table)
    flags = f"{IMPORT} --input={tmp_path}/t.tsv"
    assert re.search(says, fail("make_records", flags, c=c, new=tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_knowledge_needs_a_folder(c, tmp_path):
    flags = IMPORT + "--knowledge_records= --records={new}"
    line = fail("make_records", flags, c=c, new=tmp_path / "x")
    assert "--knowledge_records is needed" in line


def test_what_cannot_be_joined(c, tmp_path):
    out = " --output={new}/out.tsv"
    (tmp_path / "other.tsv").write_text("sentence\nthe film\n")
    for flags, says in (
        ("--input={new}/other.tsv", "line 2 is not among the examples of"),
        ("--knowledge_records={c}/train", "holds no logits of classes"),
        ("--task=cola", "holds no train.tsv|was made for --task=sst2"),
    ):
        line = fail("export_logits", EXPORT + flags + out, c=c, new=tmp_path)
        assert re.search(says, line), line
    assert [path.name for path in tmp_path.iterdir()] == ["other.tsv"]
    assert json.loads((c / "logits/manifest.json").read_text())
