"""Any folder of tables is a task, if it is clear what is in it."""

import json

import pytest

from tfdistill.tasks.glue import label_of, path_of
from tfdistill.tasks.own_task import MOST_LABELS, own_task
from tfdistill.text.tables import read_table

NAMES = {"text_column": "text", "label_column": "label"}
NUMBERS = {"text_column": "1", "label_column": "0"}


def read_split(task, data_dir, split):
    return read_table(path_of(task, data_dir, split), task.columns[split])


@pytest.fixture
def tables(tmp_path):
    def write(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        return tmp_path

    return write


def labelled(*labels):
    rows = "".join(f"some text\t{label}\n" for label in labels)
    return f"text\tlabel\n{rows}"


def read(task, folder, split):
    path = path_of(task, folder, split)
    return [
        (row.first, row.second, label_of(task, row, path))
        for row in read_split(task, folder, split)
    ]


def test_classification_of_pairs(tables):
    folder = tables(
        train_csv='a,b,label\n"One, two",B,up\nC,D,down\nC,D,level\n',
        dev_jsonl=json.dumps({"label": "up", "b": "Y", "a": "X"}),
        test_tsv="b\ta\nY\tX\n",
    )
    task = own_task(
        "classification",
        folder,
        text_column="a",
        pair_column="b",
        label_column="label",
    )
    assert task.name == "classification"
    assert task.labels == ("down", "level", "up")
    assert task.metrics == ("accuracy",)
    assert task.is_pair
    assert task.submission == ""
    assert set(task.files) == set(task.columns) == {"train", "dev", "test"}
    assert read(task, folder, "train") == [
        ("One, two", "B", 2),
        ("C", "D", 0),
        ("C", "D", 1),
    ]
    assert read(task, folder, "dev") == [("X", "Y", 2)]
    assert read(task, folder, "test") == [("X", "Y", None)]


def test_only_the_test_file_may_lack_labels(tables):
    folder = tables(train_tsv=labelled("x", "y"), dev_tsv="text\nx\n")
    task = own_task("classification", folder, **NAMES)
    assert "test" not in task.files
    with pytest.raises(ValueError, match="no column 'label'"):
        read(task, folder, "dev")


def test_regression(tables):
    folder = tables(train_tsv="-3.5\tA\n1e2\tB\n", test_tsv="0\tX\n")
    task = own_task("regression", folder, **NUMBERS)
    assert task.labels == ()
    assert task.score_range is None
    assert task.metrics == ("pearson", "spearman")
    assert not task.is_pair
    assert read(task, folder, "train") == [
        ("A", None, -3.5),
        ("B", None, 100.0),
    ]
    assert read(task, folder, "test") == [("X", None, 0.0)]
    for score in ("nan", "1e39", "high"):
        tables(train_tsv=f"{score}\tA\n")
        with pytest.raises(ValueError, match=f"line 1: the score '{score}'"):
            read(task, folder, "train")
    with pytest.raises(ValueError, match="no labels"):
        own_task("regression", folder, **NUMBERS, labels=("0", "1"))


def test_labels_are_sorted_whatever_their_frequency(tables):
    folder = tables(train_tsv=labelled("b", "b", "b", "a", "B"))
    task = own_task("classification", folder, **NAMES)
    assert task.labels == ("B", "a", "b")
    tables(train_tsv=labelled("10", "10", "9", "-1"))
    task = own_task("classification", folder, **NAMES)
    assert task.labels == ("-1", "9", "10")
    tables(train_tsv=labelled("10", "9", "x"))
    task = own_task("classification", folder, **NAMES)
    assert task.labels == ("10", "9", "x")


def test_given_labels_keep_their_order_and_need_no_train_file(tables):
    folder = tables(dev_tsv=labelled("no", "yes"))
    task = own_task("classification", folder, **NAMES, labels=("yes", "no"))
    assert task.labels == ("yes", "no")
    assert task.metrics == ("accuracy", "f1", "mcc")
    assert [label for *_, label in read(task, folder, "dev")] == [1, 0]
    tables(dev_tsv=labelled("maybe"))
    with pytest.raises(ValueError, match=r"line 2.*'maybe'\. Known: yes, no"):
        read(task, folder, "dev")
    with pytest.raises(FileNotFoundError, match="no train file"):
        own_task("classification", folder, **NAMES)


def test_number_of_labels(tables):
    folder = tables(train_tsv=labelled(*range(MOST_LABELS)))
    task = own_task("classification", folder, **NAMES)
    assert task.labels[-1] == str(MOST_LABELS - 1)
    assert len(task.labels) == MOST_LABELS == 1000
    folder = tables(train_tsv=labelled(*range(MOST_LABELS + 1)))
    with pytest.raises(ValueError, match="more than 1,000 different labels"):
        own_task("classification", folder, **NAMES)
    tables(train_tsv=labelled("x", "x"))
    for labels in ((), ("x",), ("x", "y", "x")):
        with pytest.raises(ValueError, match="2 to 1,000 labels"):
            own_task("classification", folder, **NAMES, labels=labels)
    tables(train_tsv="x\tA\n")
    with pytest.raises(ValueError, match="2 to 1,000 labels"):
        own_task("classification", folder, **NUMBERS)
    tables(train_tsv=labelled("x", "", "y"))
    with pytest.raises(ValueError, match="line 3 has an empty label"):
        own_task("classification", folder, **NAMES)


def test_header_is_not_taken_for_a_row(tables):
    text = "label\ttext\n0\tA\n1\tB\n0\tC\n1\tD\n"
    folder = tables(train_tsv=text)
    with pytest.raises(ValueError, match="line 1 looks like a header"):
        own_task("classification", folder, **NUMBERS)
    task = own_task("classification", folder, **NAMES)
    assert len(read(task, folder, "train")) == 4
    tables(train_tsv=text.split("\n", 1)[1])
    task = own_task("classification", folder, **NUMBERS)
    assert task.labels == ("0", "1")
    tables(train_tsv="c\tA\na\tA\nb\tB\n")
    task = own_task("classification", folder, **NUMBERS)
    assert task.labels == ("a", "b", "c")
    # A table with names cannot have a header among its rows.
    tables(train_tsv=labelled("c", "a", "a"))
    assert own_task("classification", folder, **NAMES).labels == ("a", "c")
    (folder / "train.tsv").unlink()
    rows = [{"label": label, "text": "A"} for label in "caa"]
    tables(train_jsonl="\n".join(map(json.dumps, rows)))
    assert own_task("classification", folder, **NUMBERS).labels == ("a", "c")


def test_columns_are_all_named_or_all_numbered(tables):
    folder = tables(train_tsv=labelled("x", "y"))
    with pytest.raises(ValueError, match="unlike text, -1"):
        own_task(
            "classification", folder, text_column="text", label_column="-1"
        )
    with pytest.raises(ValueError, match="'text' is given twice"):
        own_task(
            "classification",
            folder,
            text_column="text",
            pair_column="text",
            label_column="label",
        )


def test_files(tables, tmp_path):
    with pytest.raises(FileNotFoundError, match="no train, dev or test file"):
        own_task("classification", tmp_path, **NAMES)
    tables(train_tsv=labelled("x", "y"), train_csv="text,label\n")
    with pytest.raises(ValueError, match=r"holds train\.tsv and train\.csv,"):
        own_task("classification", tmp_path, **NAMES)


def test_unknown_name(tmp_path):
    with pytest.raises(ValueError, match="Known: classification, regression"):
        own_task("ranking", tmp_path, **NAMES)
