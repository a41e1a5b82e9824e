"""What is done with finished runs: report, export, predict."""

import dataclasses
import html.parser
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import small_sentences
from small_chain import call
from small_sentences import CHAIN, ROWS, run

from tfdistill.records import open_record_set
from tfdistill.tasks.samples import show_samples, text_of
from tfdistill.text.word_pieces import WordPiece

STEPS = ("make_records", "finetune", "logits")


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    """A teacher and two students that differ in their seed."""
    c = tmp_path_factory.mktemp("after")
    small_sentences.write_tables(c)
    for step in STEPS:
        run(*CHAIN[step], c=c)
    command, flags = CHAIN["distill"]
    for seed in (1, 2):
        more = (
            " --eval_records={c}/dev --teacher={c}/teacher "
            f"--random_seed={seed}"
        )
        run(command, flags.replace("/student", f"/students/{seed}") + more, c=c)
    return c


def refused(command, flags, c):
    """The one line that a command prints which is refused."""
    done = call(command, flags.format(c=c).split())
    assert done.status not in (0, None)
    assert not done.stdout
    (line,) = [x for x in done.stderr.splitlines() if "error:" in x]
    return line


class Cells(html.parser.HTMLParser):
    """Collects the cells of tables by their label."""

    def __init__(self):
        super().__init__()
        self.rows, self.open, self.tags = [], None, []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append({})
        if tag == "td":
            self.open = dict(attributes)["data-label"]
            self.rows[-1][self.open] = ""

    def handle_endtag(self, tag):
        if tag == "td":
            self.open = None

    def handle_data(self, data):
        if self.open is not None:
            self.rows[-1][self.open] += data


def test_report_shows_what_was_measured(c):
    made = run(
        "report",
        "{c}/students --task=sst2 --eval_records={c}/dev "
        "--max_seq_length=16 --output={c}/report.html",
        c=c,
    )
    # The teacher was found by the flags of the students.
    assert (made["runs"], made["models"]) == (3, 2)
    page = (c / "report.html").read_text()
    assert made["bytes"] == (c / "report.html").stat().st_size
    cells = Cells()
    cells.feed(page)
    assert not {"script", "link", "img", "iframe"} & set(cells.tags)
    teacher, student = (row for row in cells.rows if "parameters" in row)
    results = [
        json.loads((c / f"{name}/result.json").read_text())
        for name in ("teacher", "students/1", "students/2")
    ]
    scores = [result["eval"]["accuracy"] for result in results]
    assert float(teacher["accuracy"]) == pytest.approx(scores[0], abs=1e-4)
    mean, spread = map(float, student["accuracy"].split("\u00a0±\u00a0"))
    assert mean == pytest.approx(sum(scores[1:]) / 2, abs=1e-4)
    assert spread == pytest.approx(
        abs(scores[1] - scores[2]) / 2**0.5, abs=1e-4
    )
    assert student["runs"] == "2"
    assert student["parameters"] == f"{results[1]['parameters']:,}"
    for row in teacher, student:
        one, many = (float(row[f"ms, batch {n}"]) for n in (1, 32))
        assert 0 < one < 32 * many
        assert float(row["examples/s"].replace(",", "")) > 0
    # The flagfile of each run stands there whole.
    for name in ("teacher", "students/1", "students/2"):
        for line in (c / name / "run.flags").read_text().splitlines():
            assert line.replace("'", "&#x27;") in page


def test_breakdowns_add_up(c):
    page = (c / "report.html").read_text()
    cells = Cells()
    cells.feed(page)
    (title,) = re.findall(r"<h3>(accuracy by length.*?)</h3>", page)
    by_length = [r for r in cells.rows if any("tokens" in key for key in r)]
    assert title and len(by_length) == 2
    scores = json.loads((c / "teacher/result.json").read_text())["eval"]
    total = right = 0.0
    for label, cell in by_length[0].items():
        if label:
            number = int(re.search(r"\((\d+)\)$", label)[1])
            total += number
            right += number * float(cell)
    assert total == ROWS["dev"]
    assert right / total == pytest.approx(scores["accuracy"], abs=1e-3)
    by_class = [r for r in cells.rows if any("0 (" in key for key in r)]
    assert len(by_class) == 2
    assert all(0 <= float(x) <= 1 for k, x in by_class[0].items() if k)


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--output={c}/x.html", "RUN… is needed. Example: python -m"),
        ("{c}/students", "--output is needed"),
        ("{c}/nowhere --output={c}/x.html", "There is no run directory"),
        ("{c}/SST-2 --output={c}/x.html", "holds no finished run"),
        ("{c}/students --output={c}", "is a folder, expected a file"),
        (
            "{c}/students --output={c}/x.html --eval_records={c}/train "
            "--task=sst2",
            "No run is of --task=sst2 and was evaluated on",
        ),
        (
            "{c}/students --output={c}/x.html --eval_records={c}/dev",
            "No run is of --task=mlm",
        ),
        ("{c}/students --output={c}/x.html --max_seq_length=0", "at least 8"),
    ],
)
def test_report_refuses(c, flags, message):
    assert message in refused("report", flags, c)
    assert not (c / "x.html").exists()


EXPORT = (
    "--task=sst2 --run_dir={c}/students/1 --eval_records={c}/dev "
    "--data_dir={c}/SST-2 "
)
FORMATS = ("preset", "saved_model", "tflite", "tflite_int8", "onnx")


def export(c, format):
    return run(
        "export", f"{EXPORT} --format={format} --output={{c}}/{format}", c=c
    )


@pytest.mark.parametrize("format", FORMATS)
def test_exports_say_what_the_model_says(c, format):
    made = export(c, format)
    assert made["examples"] == ROWS["dev"]
    assert made["labels"] == ["0", "1"]
    result = json.loads((c / "students/1/result.json").read_text())
    assert made["accuracy"] == pytest.approx(result["eval"]["accuracy"])
    if format != "tflite_int8":
        assert made["largest_difference"] < 1e-5
        assert made["exported_accuracy"] == made["accuracy"]
    files = [p for p in (c / format).rglob("*") if p.is_file()]
    assert made["bytes"] >= sum(p.stat().st_size for p in files)
    card = (c / format / "README.md").read_text()
    for part in (
        "1 is `1`",
        "`soft_targets`",
        "5 steps of 8 examples",
        "--objective=labels(weight=0.5)",
        f"| exported accuracy, of the trial | {made['exported_accuracy']:.6g}",
        "No licence is claimed here",
    ):
        assert part in card
    # It is not written over what is there.
    flags = f"{EXPORT} --format={format} --output={{c}}/{format}"
    assert "exists already" in refused("export", flags, c)


def run_python(program, cwd):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""},
    ).stdout


def test_exports_need_nothing_of_this_toolkit(c):
    """Texts in another process, which imports what the cards say."""
    for format in ("preset", "saved_model"):
        if not (c / format).exists():
            export(c, format)
    program = """
import json, sys
import keras_nlp, tensorflow as tf, tensorflow_text
model = keras_nlp.models.TextClassifier.from_preset("preset")
texts = ["the film was fine and so warm", "a very grim plot"]
theirs = model.predict(texts, verbose=0)
serve = tf.saved_model.load("saved_model").signatures["serving_default"]
ours = serve(text=tf.constant(texts))
print(json.dumps({
    "preset": theirs.tolist(),
    "saved_model": ours["logits"].numpy().tolist(),
    "probabilities": ours["probabilities"].numpy().sum(-1).tolist(),
    "label": [x.decode() for x in ours["label"].numpy()],
    "toolkit": "tfdistill" in sys.modules,
}))
"""
    found = json.loads(run_python(program, c).splitlines()[-1])
    assert not found["toolkit"]
    for ours, theirs in zip(found["saved_model"], found["preset"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert found["probabilities"] == pytest.approx([1, 1])
    assert found["label"] == [
        str(int(row[1] > row[0])) for row in found["preset"]
    ]


def test_an_export_that_differs_leaves_nothing_behind(c, monkeypatch):
    monkeypatch.setattr("tfdistill.exporting.parity.LARGEST_DIFFERENCE", -1.0)
    before = sorted(c.iterdir())
    line = refused("export", EXPORT + "--format=preset --output={c}/x", c)
    assert "logits differ by" in line and "it is not kept" in line
    assert sorted(c.iterdir()) == before


def test_export_refuses(c):
    (c / "moved").mkdir(exist_ok=True)
    (c / "moved/dev.tsv").write_text("sentence\tlabel\na film\t1\n")
    for flags, message in (
        ("--task=sst2 --run_dir={c}/students/1 --output={c}/x", "eval_records"),
        (EXPORT + "--format=coreml --output={c}/x", "coreml is not one of"),
        (EXPORT + "--run_dir={c}/SST-2 --output={c}/x", "no model folder"),
        (EXPORT + "--task=mlm --output={c}/x", "was made for --task=sst2"),
        (
            EXPORT + "--format=saved_model --data_dir= --output={c}/x",
            "--data_dir is needed",
        ),
        (
            EXPORT + "--format=saved_model --data_dir={c}/moved --output={c}/x",
            "is not the table that",
        ),
        (
            EXPORT + "--format=tflite_int8 --eval_records={c}/test "
            "--output={c}/x",
            "with labels are needed",
        ),
    ):
        assert message in refused("export", flags, c), flags
        assert not (c / "x").exists()


def predicted(done):
    """The rows that predict wrote to stdout, and its summary."""
    assert done.status == 0, done.stderr
    head, *lines = (x.split("\t") for x in done.stdout.splitlines())
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    return rows, json.loads(done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def of_records(c):
    """What predict writes for the test records."""
    run(
        "predict",
        "--task=sst2 --run_dir={c}/teacher --test_records={c}/test "
        "--predictions={c}/predictions",
        c=c,
    )
    lines = (c / "predictions/SST-2.tsv").read_text().splitlines()[1:]
    return [line.split("\t")[1] for line in lines]


PREDICT = "--run_dir={c}/teacher --max_seq_length=24 "


def test_texts_are_predicted_as_records_are(c, of_records):
    table = (c / "SST-2/test.tsv").read_text().splitlines()[1:]
    texts = [line.split("\t")[1] for line in table]
    (c / "lines.txt").write_text("\n".join(texts))
    (c / "rows.jsonl").write_text(
        "".join(
            json.dumps({"id": i, "s": x}) + "\n" for i, x in enumerate(texts)
        )
    )
    for flags, first_line in (
        ("--input={c}/SST-2/test.tsv", 2),
        ("--input={c}/lines.txt --predict_batch_size=4", 1),
    ):
        done = call("predict", (PREDICT + flags).format(c=c).split())
        rows, summary = predicted(done)
        assert [row["prediction"] for row in rows] == of_records
        assert summary["examples"] == len(rows) == ROWS["test"]
        numbers = [int(row["line"]) for row in rows]
        assert numbers == list(range(first_line, first_line + len(rows)))
        for row in rows:
            odds = [float(row[f"probability of {x}"]) for x in "01"]
            assert sum(odds) == pytest.approx(1, abs=1e-5)
            assert odds.index(max(odds)) == int(row["prediction"])
    summary = run(
        "predict",
        PREDICT + "--input={c}/rows.jsonl --text_column=s --output={c}/o.jsonl",
        c=c,
    )
    assert summary["output"] == str(c / "o.jsonl")
    found = [json.loads(x) for x in (c / "o.jsonl").open()]
    assert [x["prediction"] for x in found] == of_records
    assert found[0]["probabilities"].keys() == {"0", "1"}


def test_a_stream_is_answered_line_by_line(c, of_records):
    table = (c / "SST-2/test.tsv").read_text().splitlines()[1:]
    flags = PREDICT + "--input=- --input_format=jsonl --predict_batch_size=1"
    process = subprocess.Popen(
        [sys.executable, "-m", "tfdistill.predict", *flags.format(c=c).split()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for number, (line, expected) in enumerate(
        zip(table[:3], of_records, strict=False), 1
    ):
        sentence = json.dumps({"sentence": line.split("\t")[1]})
        process.stdin.write(sentence + "\n")
        process.stdin.flush()
        # It does not wait for the end of its input.
        answer = json.loads(process.stdout.readline())
        assert answer["prediction"] == expected
        assert answer["line"] == number
    out, err = process.communicate('{"sentence": [7]}\n', timeout=60)
    assert process.returncode == 1
    assert not out
    assert "standard input: line 4" in err.splitlines()[-1]


def test_predict_refuses_texts(c):
    (c / "empty.jsonl").write_text("")
    (c / "latin.txt").write_bytes(b"film\n\xe9t\xe9\n")
    for flags, message in (
        ("--input={c}/nowhere.txt", "No such file"),
        ("--input={c}/empty.jsonl", "is empty"),
        ("--input={c}/latin.txt", "line 2 is not UTF-8"),
        ("--input={c}/SST-2/test.tsv --text_column=x", "no column 'x'"),
        ("--input={c}/SST-2/test.tsv --text_column=1 --pair_column=b", "all"),
        ("--input={c}/latin.txt --pair_column=b", "A line of text is one"),
        ("--input=- --input_format=xml", "--input_format=xml is not one of"),
        ("", "--test_records is needed"),
        ("--test_records={c}/test", "--predictions is needed"),
        ("--input={c}/lines.txt --run_dir={c}/SST-2", "no model folder"),
    ):
        flags = f"{PREDICT} --output={{c}}/no.tsv {flags}"
        assert message in refused("predict", flags, c), flags
        assert not (c / "no.tsv").exists()


def test_tensorboard_shows_predictions_over_time(c):
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(
        str(c / "teacher/summaries/eval")
    )
    events.Reload()
    shown = events.Tensors("predictions")
    steps = [
        line["step"]
        for line in map(json.loads, (c / "teacher/metrics.jsonl").open())
        if line["kind"] == "eval"
    ]
    assert [event.step for event in shown] == steps
    (last,) = shown[-1].tensor_proto.string_val
    head, _, *rows = last.decode().splitlines()
    assert head == "| text | label | prediction | probability |"
    assert len(rows) == 8
    dev = (c / "SST-2/dev.tsv").read_text().splitlines()[1:]
    for row, line in zip(rows, dev, strict=False):
        text, label, prediction, odds = row.strip("| ").split(" | ")
        sentence, expected = line.split("\t")
        assert text == f"[CLS] {sentence} [SEP]"
        assert label == expected and prediction in "01"
        assert 0.5 <= float(odds) <= 1


def test_samples_of_scores_and_odd_texts(c):
    records = open_record_set(str(c / "test"))
    of_scores = {**records.identity, "labels": []}
    records = dataclasses.replace(records, identity=of_scores)
    tokenizer = WordPiece(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a|b", "##c", "d"],
        do_lower_case=True,
    )
    assert text_of([2, 5, 6, 7, 3], tokenizer) == "[CLS] a|bc d [SEP]"
    names = [f"|{i}" for i in range(len(small_sentences.VOCABULARY))]
    names[:5] = small_sentences.VOCABULARY[:5]
    rows = {"logits": np.arange(3.0)[:, None]}
    shown = show_samples(records, rows, WordPiece(names, do_lower_case=True))
    head, _, *lines = shown.splitlines()
    assert head == "| text | label | prediction |"
    # Three of them were gone through.
    assert [line.split(" | ")[-1] for line in lines] == ["0 |", "1 |", "2 |"]
    assert all(r"\|" in line for line in lines)
