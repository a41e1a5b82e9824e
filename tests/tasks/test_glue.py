"""Every official file is read; what does not fit the task is refused."""

import pathlib
import random

import pytest

from tfdistill.metrics import SENTENCE_METRICS
from tfdistill.tasks.glue import (
    GLUE,
    label_of,
    path_of,
    xnli,
)
from tfdistill.text.tables import read_table

NLI = ("contradiction", "entailment", "neutral")
MNLI_HEADER = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\t"
    "sentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\t"
    "sentence2"
)
MNLI_ROW = "0\t63735\t63735n\tslate\t( A )\t( B )\t(S A)\t(S B)\tA\tB "
STSB_HEADER = (
    "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\t"
    "sentence2"
)
STSB_ROW = "0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA\tB"
XNLI_HEADER = (
    "language\tgold_label\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tpromptID"
)

MRPC = "#1 ID\t#2 ID\t#1 String\t#2 String\r\n"

# Task, file, its text, and of each row the sentences, label and index.
FILES = [
    (
        "cola",
        "train.tsv",
        "gj04\t1\t\tOur friends won't.\ncj99\t0\t*\t\"As you\x85eat.\n",
        [
            ("Our friends won't.", None, 1, None),
            ('"As you\x85eat.', None, 0, None),
        ],
    ),
    (
        "cola",
        "dev.tsv",
        "gj04\t1\t\tThe sailors\tate.\r\ngj04\t0\t*\tX\r\n",
        # The first line has no say in how many cells there are.
        [("The sailors ate.", None, 1, None), ("X", None, 0, None)],
    ),
    (
        "cola",
        "dev.tsv",
        "gj04\t0\t*\tX\r\ngj04\t1\t\tThe sailors\tate.\r\n",
        [("X", None, 0, None), ("The sailors ate.", None, 1, None)],
    ),
    (
        "cola",
        "dev.tsv",
        "gj04\t1\tThe sailors\r\ngj04\t0\t*\tX\r\n",
        ": line 1 has 3 cells, expected 4.",
    ),
    (
        "cola",
        "train.tsv",
        "source\tlabel\tmark\tsentence\ngj04\t1\t\tX\n",
        ": line 1: unknown label 'label'. Known: 0, 1.",
    ),
    (
        "cola",
        "test.tsv",
        "index\tsentence\n0\tBill whistled\tpast.\n1\tX\n",
        [("Bill whistled past.", None, None, "0"), ("X", None, None, "1")],
    ),
    (
        "sst2",
        "train.tsv",
        'sentence\tlabel\nhide new secretions \t0\n"wit \t1\n',
        [
            ("hide new secretions ", None, 0, None),
            ('"wit ', None, 1, None),
        ],
    ),
    ("sst2", "dev.tsv", "sentence\tlabel\nx\ty\t1\n", [("x y", None, 1, None)]),
    ("sst2", "test.tsv", "index\tsentence\n0\tx\n", [("x", None, None, "0")]),
    (
        "mrpc",
        "train.tsv",
        f'\ufeffQuality\t{MRPC}1\t70\t71\t"A said.\tB \u2028"\r\n',
        [('"A said.', 'B \u2028"', 1, None)],
    ),
    (
        "mrpc",
        "msr_paraphrase_train.txt",
        f"\ufeffQuality\t{MRPC}0\t70\t71\tA\tB",
        [("A", "B", 0, None)],
    ),
    (
        "mrpc",
        "dev.tsv",
        f"Quality\t{MRPC}1\t70\t71\tA\ta\tB\r\n",
        ": line 2 has 6 cells, expected 5; a tab stands inside a cell, but "
        "which one is not known.",
    ),
    (
        "mrpc",
        "test.tsv",
        f"index\t{MRPC}0\t70\t71\tA\tB\r\n",
        [("A", "B", None, "0")],
    ),
    (
        "mrpc",
        "msr_paraphrase_test.txt",
        f"\ufeffQuality\t{MRPC}1\t70\t71\tA\tB\r\n",
        [("A", "B", 1, None)],
    ),
    (
        "qqp",
        "train.tsv",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        '3\t5\t6\t"How?\tWhy?\t0\n97931\t1\t2\tWho was he?\n'
        '"\tWas he real?\t0\n4\t7\t8\tA\tB\t1\n',
        [('"How?', "Why?", 0, "3"), ("A", "B", 1, "4")],
    ),
    (
        "qqp",
        "test.tsv",
        "id\tquestion1\tquestion2\n0\tA\tB\n",
        [("A", "B", None, "0")],
    ),
    (
        "stsb",
        "train.tsv",
        f"{STSB_HEADER}\tscore\n{STSB_ROW}\t5.000\n{STSB_ROW}\t.25\n",
        [("A", "B", 5.0, "0"), ("A", "B", 0.25, "0")],
    ),
    (
        "stsb",
        "test.tsv",
        f"{STSB_HEADER}\n{STSB_ROW}\n",
        [("A", "B", None, "0")],
    ),
    (
        "mnli",
        "train.tsv",
        f"{MNLI_HEADER}\tlabel1\tgold_label\n{MNLI_ROW}\tneutral\tneutral\n",
        [("A", "B ", 2, "0")],
    ),
    (
        "mnli",
        "dev_matched.tsv",
        f"{MNLI_HEADER}\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
        + MNLI_ROW
        + "\tneutral" * 5
        + "\tentailment\n",
        [("A", "B ", 1, "0")],
    ),
    (
        "mnli",
        "test_matched.tsv",
        f"{MNLI_HEADER}\n{MNLI_ROW}\n",
        [("A", "B ", None, "0")],
    ),
    (
        "mnli_mm",
        "dev_mismatched.tsv",
        f"{MNLI_HEADER}\tgold_label\n{MNLI_ROW}\tcontradiction\n",
        [("A", "B ", 0, "0")],
    ),
    (
        "mnli_mm",
        "test_mismatched.tsv",
        f"{MNLI_HEADER}\n{MNLI_ROW}\n",
        [("A", "B ", None, "0")],
    ),
    (
        "qnli",
        "dev.tsv",
        "index\tquestion\tsentence\tlabel\n0\tA?\tB\tentailment\n"
        "1\tA?\tB\tnot_entailment\n",
        [("A?", "B", 0, "0"), ("A?", "B", 1, "1")],
    ),
    (
        "rte",
        "train.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\tA\t\tnot_entailment\n",
        [("A", "", 1, "0")],
    ),
    (
        "wnli",
        "train.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n",
        [("A", "B", 1, "0")],
    ),
    (
        "wnli",
        "dev.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n",
        ": line 2: unknown label 'entailment'. Known: 0, 1.",
    ),
    (
        "ax",
        "diagnostic.tsv",
        "index\tsentence1\tsentence2\n0\tA\tB\n",
        [("A", "B", None, "0")],
    ),
    (
        "ax",
        "AX.tsv",
        "index\tsentence1\tsentence2\n0\tA\tB\n",
        [("A", "B", None, "0")],
    ),
    (
        "xnli",
        "multinli/multinli.train.zh.tsv",
        "premise\thypo\tlabel\n从 概念\t产品\tcontradictory\nA\tB\tneutral\n",
        [("从 概念", "产品", 0, None), ("A", "B", 2, None)],
    ),
    (
        "xnli",
        "XNLI-1.0/xnli.dev.tsv",
        f"{XNLI_HEADER}\nar\tneutral\t\t\t\t\tC\tD\t1\n"
        "zh\tentailment\t\t\t\t\tA\tB\t2\n",
        [("A", "B", 1, None)],
    ),
]


def read_split(task, data_dir, split):
    return read_table(path_of(task, data_dir, split), task.columns[split])


def split_of(task, name):
    return next(split for split, names in task.files.items() if name in names)


def write(folder, name, text):
    path = pathlib.Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def read(task, folder, split):
    path = path_of(task, folder, split)
    return [
        (row.first, row.second, label_of(task, row, path), row.index)
        for row in read_split(task, folder, split)
    ]


@pytest.mark.parametrize(
    ("name", "file", "text", "expected"),
    FILES,
    ids=[f"{i}-{name}-{file}" for i, (name, file, *_) in enumerate(FILES)],
)
def test_official_files(tmp_path, name, file, text, expected):
    task = GLUE[name]
    path = write(tmp_path, file, text)
    split = split_of(task, file)
    if isinstance(expected, list):
        rows = read(task, tmp_path, split)
        assert rows == expected
        kind = float if name == "stsb" else int
        assert all(type(label) is kind for *_, label, _ in rows if label)
    else:
        with pytest.raises(ValueError) as error:
            read(task, tmp_path, split)
        assert str(error.value) == f"{path}{expected}"


def test_every_file_is_tried_above():
    tried = {(name, split_of(GLUE[name], file)) for name, file, *_ in FILES}
    same = {
        ("stsb", "dev"): ("stsb", "train"),
        ("qqp", "dev"): ("qqp", "train"),
        ("qnli", "train"): ("qnli", "dev"),
        ("qnli", "test"): ("rte", "test"),
        ("rte", "dev"): ("rte", "train"),
        ("rte", "test"): ("wnli", "test"),
        ("wnli", "test"): ("ax", "test"),
    }
    for task in GLUE.values():
        for split in task.files:
            assert (task.name, split) in tried or (task.name, split) in same


def test_tasks():
    assert list(GLUE) == (
        [
            "cola",
            "sst2",
            "mrpc",
            "qqp",
            "stsb",
            "mnli",
            "mnli_mm",
            "qnli",
            "rte",
            "wnli",
            "ax",
            "xnli",
        ]
    )
    selection = {"cola": "mcc", "mrpc": "f1", "stsb": "spearman"}
    for name, task in GLUE.items():
        assert task.name == name
        assert set(task.files) == set(task.columns)
        assert task.metrics[0] == selection.get(name, "accuracy")
        assert set(task.metrics) <= set(SENTENCE_METRICS)
        assert task.is_pair == (name not in ("cola", "sst2"))
        assert bool(task.labels) == (name != "stsb")
        assert set(task.spellings.values()) <= set(task.labels)
    for name in ("mnli", "mnli_mm", "ax", "xnli"):
        assert GLUE[name].labels == NLI
    for name in ("qnli", "rte"):
        assert GLUE[name].labels == ("entailment", "not_entailment")
    for name in ("cola", "sst2", "mrpc", "qqp", "wnli"):
        assert GLUE[name].labels == ("0", "1")
    assert GLUE["stsb"].score_range == (0.0, 5.0)
    assert set(GLUE["mnli_mm"].files) == {"dev", "test"}
    assert set(GLUE["ax"].files) == {"test"}
    assert set(GLUE["xnli"].files) == {"train", "dev"}
    assert {task.submission for task in GLUE.values()} == {
        *[
            "CoLA.tsv",
            "SST-2.tsv",
            "MRPC.tsv",
            "QQP.tsv",
            "STS-B.tsv",
            "QNLI.tsv",
        ],
        *["MNLI-m.tsv", "MNLI-mm.tsv", "RTE.tsv", "WNLI.tsv", "AX.tsv"],
        "",
    }


def test_xnli_of_another_language(tmp_path):
    task = xnli("de")
    text = "premise\thypo\tlabel\nA\tB\tentailment\n"
    write(tmp_path, "XNLI-MT-1.0/multinli/multinli.train.de.tsv", text)
    dev = f"{XNLI_HEADER}\nzh\tneutral\t\t\t\t\tA\tB\t1\n"
    path = write(tmp_path, "xnli.dev.tsv", dev)
    assert read(task, tmp_path, "train") == [("A", "B", 1, None)]
    with pytest.raises(ValueError) as error:
        read(task, tmp_path, "dev")
    assert str(error.value) == f"{path} holds no rows with 'de' in 'language'."


def test_first_of_several_files_counts(tmp_path):
    task = GLUE["mrpc"]
    write(tmp_path, "msr_paraphrase_train.txt", "")
    path = write(tmp_path, "train.tsv", "")
    assert path_of(task, tmp_path, "train") == path


@pytest.mark.parametrize("folder", ["CoLA", "COLA"])
def test_parent_of_the_folder(tmp_path, folder):
    write(tmp_path, f"{folder}/train.tsv", "gj04\t1\t\tX\n")
    task = GLUE["cola"]
    assert read(task, tmp_path / folder, "train") == [("X", None, 1, None)]
    with pytest.raises(FileNotFoundError) as error:
        read_split(task, tmp_path, "train")
    assert str(error.value) == (
        f"{tmp_path} holds no train.tsv, the train file of the task cola. "
        f"Is {tmp_path / folder} meant?"
    )


def test_folder_without_the_file(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read_split(GLUE["mrpc"], tmp_path, "test")
    assert str(error.value) == (
        f"{tmp_path} holds no test.tsv or msr_paraphrase_test.txt, the test "
        "file of the task mrpc."
    )
    nowhere = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        read_split(GLUE["mrpc"], nowhere, "test")


def test_folder_of_another_task(tmp_path):
    path = write(tmp_path, "train.tsv", "sentence\tlabel\nx\t1\n")
    with pytest.raises(ValueError) as error:
        read(GLUE["rte"], tmp_path, "train")
    assert str(error.value) == (
        f"{path}: there is no column 'sentence1'. Known: 'sentence', 'label'."
    )


def test_split_that_a_task_lacks(tmp_path):
    with pytest.raises(ValueError, match=r"ax has no split 'dev'.*: test\."):
        read_split(GLUE["ax"], tmp_path, "dev")


@pytest.mark.parametrize("content", ["", f"{STSB_HEADER}\tscore\n"])
def test_empty_split(tmp_path, content):
    write(tmp_path, "dev.tsv", content)
    with pytest.raises(ValueError, match=r"dev\.tsv (is empty|holds no rows)"):
        read(GLUE["stsb"], tmp_path, "dev")


@pytest.mark.parametrize(
    "score", ["-0.001", "5.01", "nan", "inf", "", "4,5", "neutral", "1e999"]
)
def test_scores_out_of_range(tmp_path, score):
    row = f"{STSB_ROW}\t{score}\n"
    path = write(tmp_path, "dev.tsv", f"{STSB_HEADER}\tscore\n{row}")
    with pytest.raises(ValueError) as error:
        read(GLUE["stsb"], tmp_path, "dev")
    assert str(error.value) == (
        f"{path}: line 2: the score {score!r} is no number from 0.0 to 5.0."
    )


@pytest.mark.parametrize("label", ["", "2", "-1", "1 ", "x\x85" * 100])
def test_labels_outside_of_the_set(tmp_path, label):
    path = write(tmp_path, "dev.tsv", f"sentence\tlabel\na\t0\nx\t{label}\n")
    with pytest.raises(ValueError) as error:
        read(GLUE["sst2"], tmp_path, "dev")
    message = str(error.value)
    assert message.startswith(f"{path}: line 3: unknown label '")
    assert message.endswith("Known: 0, 1.")
    assert len(message.splitlines()) == 1
    assert len(message) < len(str(path)) + 120


@pytest.mark.parametrize("name", ["cola", "qqp", "stsb"])
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, name):
    rng = random.Random(name)
    task = GLUE[name]
    good = next(
        text
        for other, file, text, expected in FILES
        if other == name and file == "train.tsv" and type(expected) is list
    ).encode()
    num_refused = 0
    for _ in range(100):
        data = bytearray(good)
        start = rng.randrange(len(data))
        del data[start : start + rng.randrange(40)]
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path = tmp_path / "train.tsv"
        path.write_bytes(data)
        try:
            read(task, tmp_path, "train")
        except ValueError as error:
            assert len(str(error).splitlines()) == 1
            assert str(error).startswith(str(path))
            num_refused += 1
    assert num_refused > 10
