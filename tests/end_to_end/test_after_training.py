"""What is done with finished runs: report, export, predict."""

import html.parser
import json
import re

import pytest
import small_sentences
from small_chain import call
from small_sentences import CHAIN, ROWS, run

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
