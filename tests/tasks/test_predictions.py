"""Predictions in files: the layouts of GLUE, and of tables of one's own."""

import zipfile

import numpy as np
import pytest

from tfdistill.records import RecordSet, Schema
from tfdistill.tasks.glue import GLUE
from tfdistill.tasks.predictions import write_predictions


def records_of(task, labels=("0", "1"), **more):
    """Records of which the identity alone matters."""
    known = GLUE.get(task)
    identity = {
        "task": task,
        "split": "test",
        "labels": list(known.labels if known else labels),
        "score_range": known.score_range if known else None,
        "submission": known.submission if known else "",
        **more,
    }
    return RecordSet("", Schema(()), (), identity, "")


def written(records, logits, folder):
    found = write_predictions(
        records, np.array(logits, np.float32), str(folder)
    )
    with open(found["predictions"], encoding="utf-8", newline="") as file:
        return found, file.read()


def test_classes_by_their_names(tmp_path):
    logits = [[1, 3, 2], [5, 0, 0], [-3, -2, -1]]
    found, text = written(records_of("mnli"), logits, tmp_path)
    assert found["predictions"] == str(tmp_path / "MNLI-m.tsv")
    assert text == (
        "index\tprediction\n0\tentailment\n1\tcontradiction\n2\tneutral\n"
    )


@pytest.mark.parametrize(
    ("task", "file"), [("sst2", "SST-2.tsv"), ("cola", "CoLA.tsv")]
)
def test_classes_by_their_numbers(tmp_path, task, file):
    found, text = written(records_of(task), [[0, 1], [1, 0]], tmp_path)
    assert found["predictions"] == str(tmp_path / file)
    assert text == "index\tprediction\n0\t1\n1\t0\n"


def test_scores_are_clipped_and_have_three_decimals(tmp_path):
    logits = [[2.34567], [-0.5], [7.0], [0.0004], [5.0]]
    _, text = written(records_of("stsb"), logits, tmp_path)
    assert text == (
        "index\tprediction\n0\t2.346\n1\t0.000\n2\t5.000\n3\t0.000\n4\t5.000\n"
    )


def test_own_scores_are_not_clipped(tmp_path):
    found, text = written(
        records_of("regression", labels=()), [[-12.5], [1e3]], tmp_path
    )
    assert found == {"predictions": str(tmp_path / "predictions.tsv")}
    assert text == "index\tprediction\n0\t-12.500\n1\t1000.000\n"


def test_own_classes_have_probabilities(tmp_path):
    probs = np.array([[0.5, 0.125, 0.375], [0.1, 0.7, 0.2]])
    logits = np.log(probs) - np.array([[3.0], [40.0]])
    records = records_of("classification", labels=("ça va", "no", "yes"))
    found, text = written(records, logits, tmp_path)
    assert found == {"predictions": str(tmp_path / "predictions.tsv")}
    assert text == (
        "index\tprediction\tprobability of ça va\tprobability of no\t"
        "probability of yes\n"
        "0\tça va\t0.500000\t0.125000\t0.375000\n"
        "1\tno\t0.100000\t0.700000\t0.200000\n"
    )


def test_probabilities_sum_to_1_whatever_the_logits(tmp_path):
    logits = np.random.default_rng(0).normal(size=(50, 5)) * 100
    logits[0] = [1e4, -1e4, 0, 0, 1e4]
    records = records_of("classification", labels=tuple("abcde"))
    _, text = written(records, logits, tmp_path)
    for line, row in zip(text.splitlines()[1:], logits, strict=True):
        _, label, *odds = line.split("\t")
        odds = np.array(odds, float)
        assert (odds >= 0).all()
        assert odds.sum() == pytest.approx(1, abs=5e-6)
        assert label == "abcde"[odds.argmax()] == "abcde"[row.argmax()]


def test_the_archive_holds_the_files_that_there_are(tmp_path):
    one, text = written(records_of("sst2"), [[0, 1]], tmp_path)
    assert one["submission"] == str(tmp_path / "submission.zip")
    lacks = one["submission_lacks"]
    assert "SST-2.tsv" not in lacks and len(lacks) == len(set(lacks)) == 10
    # Files of one's own are no part of the benchmark.
    written(records_of("classification"), [[0, 1]], tmp_path)
    two, other = written(records_of("stsb"), [[2.5]], tmp_path)
    assert set(two["submission_lacks"]) == set(lacks) - {"STS-B.tsv"}
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["SST-2.tsv", "STS-B.tsv"]
        assert archive.read("SST-2.tsv").decode() == text
        assert archive.read("STS-B.tsv").decode() == other
    assert {path.name for path in tmp_path.iterdir()} == {
        *("SST-2.tsv", "STS-B.tsv", "predictions.tsv", "submission.zip")
    }


@pytest.mark.parametrize("split", ["train", "dev"])
def test_other_splits_are_not_submitted(tmp_path, split):
    found, text = written(records_of("sst2"), [[0, 1]], tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    records = records_of("sst2", split=split)
    found, text = written(records, [[1, 0], [0, 1]], tmp_path)
    assert found == {"predictions": str(tmp_path / f"SST-2.{split}.tsv")}
    assert text == "index\tprediction\n0\t0\n1\t1\n"
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after == before | {f"SST-2.{split}.tsv": text.encode()}
    # Nor are they when a file is added to the archive later.
    written(records_of("cola"), [[0, 1]], tmp_path)
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["CoLA.tsv", "SST-2.tsv"]


def test_the_same_predictions_are_the_same_bytes(tmp_path):
    """Also of the archive, whatever the order and the time."""
    for folder, tasks in (("one", ("sst2", "cola")), ("two", ("cola", "sst2"))):
        for task in tasks:
            written(records_of(task), [[0, 1], [1, 0]], tmp_path / folder)
    files = {
        folder: {p.name: p.read_bytes() for p in (tmp_path / folder).iterdir()}
        for folder in ("one", "two")
    }
    assert files["one"] == files["two"]
    with zipfile.ZipFile(tmp_path / "one/submission.zip") as archive:
        assert {e.date_time[0] for e in archive.infolist()} == {1980}
    written(records_of("cola"), [[1, 0], [1, 0]], tmp_path / "two")
    changed = (tmp_path / "two/submission.zip").read_bytes()
    assert changed != files["one"]["submission.zip"]


def test_all_tasks_of_the_benchmark_make_a_whole_submission(tmp_path):
    for name, task in GLUE.items():
        if "test" in task.files:
            logits = [[0.0] * (len(task.labels) or 1)]
            found, _ = written(records_of(name), logits, tmp_path)
    assert found["submission_lacks"] == []
