"""MNLI and what GLUE asks of its models, from tables to a submission."""

import zipfile

import pytest
from small_sentences import STUDENT, TRAIN, VOCABULARY, run, sentence

LABELS = ("contradiction", "entailment", "neutral")
SIZES = {"train": 30, "dev_matched": 9, "dev_mismatched": 12}
TESTS = {
    "mnli": ("MNLI", "test_matched", 7, "MNLI-m.tsv"),
    "mnli_mm": ("MNLI", "test_mismatched", 8, "MNLI-mm.tsv"),
    "ax": ("AX", "diagnostic", 5, "AX.tsv"),
}
RECORDS = "--vocab_file={c}/vocab.txt --max_seq_length=48 --data_dir={c}/"


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    """A folder with tables, and a model of MNLI."""
    c = tmp_path_factory.mktemp("entailment")
    (c / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    for folder in ("MNLI", "AX"):
        (c / folder).mkdir()
    for name, size in SIZES.items():
        rows = [f"{i}\t{sentence(i)}\t{sentence(i + 1)}" for i in range(size)]
        labelled = [f"{row}\t{LABELS[i % 3]}" for i, row in enumerate(rows)]
        head = "index\tsentence1\tsentence2\tgold_label"
        (c / f"MNLI/{name}.tsv").write_text("\n".join([head, *labelled, ""]))
    for folder, name, size, _ in TESTS.values():
        rows = [f"{i}\t{sentence(i)}\t{sentence(i + 1)}" for i in range(size)]
        head = "index\tsentence1\tsentence2"
        (c / f"{folder}/{name}.tsv").write_text("\n".join([head, *rows, ""]))
    run(
        "make_records",
        RECORDS + "MNLI --task=mnli --records={c}/train --eval_records={c}/m",
        c=c,
    )
    run(
        "finetune",
        f"{TRAIN} --task=mnli --model={STUDENT.replace('24', '48')} "
        "--records={c}/train --eval_records={c}/m --run_dir={c}/model",
        c=c,
    )
    return c


def test_mismatched_pairs_are_scored(c):
    run(
        "make_records",
        RECORDS + "MNLI --task=mnli_mm --eval_records={c}/mm",
        c=c,
    )
    for task, records, examples in (("mnli", "m", 9), ("mnli_mm", "mm", 12)):
        found = run(
            "evaluate",
            f"--task={task} --run_dir={{c}}/model --eval_records={{c}}/{records}",
            c=c,
        )
        assert found["examples"] == examples
        hits = found["accuracy"] * examples
        assert hits == pytest.approx(round(hits))


def test_one_model_fills_three_files_of_a_submission(c):
    lacking = []
    for task, (folder, _, size, name) in TESTS.items():
        run(
            "make_records",
            f"{RECORDS}{folder} --task={task} --test_records={{c}}/{task}-test",
            c=c,
        )
        done = run(
            "predict",
            f"--task={task} --run_dir={{c}}/model "
            f"--test_records={{c}}/{task}-test --predictions={{c}}/said",
            c=c,
        )
        lacking.append(len(done["submission_lacks"]))
        head, *rows = (c / "said" / name).read_text().splitlines()
        assert head == "index\tprediction"
        said = [row.split("\t") for row in rows]
        assert [number for number, _ in said] == [str(i) for i in range(size)]
        assert {label for _, label in said} <= set(LABELS)
    assert lacking == [10, 9, 8]
    with zipfile.ZipFile(c / "said" / "submission.zip") as archive:
        assert set(archive.namelist()) == {name for *_, name in TESTS.values()}
