"""Tasks about sentences: what is in the files of GLUE and XNLI.

Files are those that the benchmarks publish. Where they have a header, columns
are found by name, so that the file of another task or layout is refused.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

from tfdistill.config.fields import LARGEST_FLOAT
from tfdistill.files import StrPath
from tfdistill.text.tables import Column, Columns, Row

# Whole sentences can stand where labels are expected.
_MOST_SHOWN = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentenceTask:
    """A task about sentences or pairs of them.

    Attributes:
        name: As in `--task`.
        folders: Official spellings of the folder's name.
        files: The names that the file of a split may have, the first that
            is there counts; by "train", "dev" and "test", as far as there
            is such a split.
        columns: Where the file of a split has what.
        labels: In the order of the classes; empty for regression.
        spellings: Labels by other spellings of them.
        score_range: Smallest and largest score of a regression, if known.
        is_pair: Whether the task is about pairs.
        metrics: What is reported; the first one chooses the best model. All
            of them are better when higher.
        submission: Official name of the file with predictions of the test
            split, "" if there is none.
    """

    name: str
    folders: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, Columns]
    labels: tuple[str, ...]
    spellings: Mapping[str, str]
    score_range: tuple[float, float] | None
    is_pair: bool
    metrics: tuple[str, ...]
    submission: str


def path_of(task: SentenceTask, data_dir: StrPath, split: str) -> Path:
    """Returns the file of a split.

    Args:
        task: The task.
        data_dir: The task's own folder, for instance `glue_data/SST-2`.
        split: "train", "dev" or "test".

    Raises:
        ValueError: The task has no such split.
        FileNotFoundError: The file is not there. The message names it and
            the folder, and the folder below that may be meant.
    """
    if split not in task.files:
        raise ValueError(
            f"The task {task.name} has no split {split!r}. "
            f"Known: {', '.join(task.files)}."
        )
    folder = Path(data_dir)
    for name in task.files[split]:
        if (folder / name).is_file():
            return folder / name
    problem = f"{folder} holds no {' or '.join(task.files[split])}"
    if not folder.is_dir():
        problem = f"{folder} is no folder"
    meant = [folder / name for name in task.folders if (folder / name).is_dir()]
    hint = f" Is {meant[0]} meant?" if meant else ""
    raise FileNotFoundError(
        f"{problem}, the {split} file of the task {task.name}.{hint}"
    )


def label_of(
    task: SentenceTask, row: Row, where: StrPath
) -> int | float | None:
    """Returns the class or the score of a row, None where it has no label.

    Args:
        task: The task.
        row: A row of it.
        where: The row's file, for messages.

    Returns:
        Of a classification an int, the index in `task.labels`. Of a
        regression a float in `task.score_range`, or a finite one.

    Raises:
        ValueError: The label is not one of the task's, or the score is no
            number or out of range. The message names file and line.
    """
    if row.label is None:
        return None
    shown = repr(row.label)
    if len(shown) > _MOST_SHOWN:
        shown = f"{shown[:_MOST_SHOWN]}…"
    if task.labels:
        label = task.spellings.get(row.label, row.label)
        if label in task.labels:
            return task.labels.index(label)
        known = ", ".join(task.labels[:20])
        more = ", …" if len(task.labels) > 20 else ""
        raise ValueError(
            f"{where}: line {row.line}: unknown label {shown}. "
            f"Known: {known}{more}."
        )
    low, high = task.score_range or (-LARGEST_FLOAT, LARGEST_FLOAT)
    try:
        score = float(row.label)
    except ValueError:
        score = math.nan
    if not low <= score <= high:
        wanted = f"from {low} to {high}" if task.score_range else "of float32"
        raise ValueError(
            f"{where}: line {row.line}: the score {shown} is no number "
            f"{wanted}."
        )
    return score


def _columns(
    first: Column,
    second: Column | None = None,
    label: Column = "label",
    index: Column = "index",
) -> dict[str, Columns]:
    """Columns of a task whose files all have a header, the test no labels."""
    labelled = Columns(
        first=first,
        second=second,
        label=label,
        index=index,
        optional=("index",),
    )
    return {
        "train": labelled,
        "dev": labelled,
        "test": dataclasses.replace(labelled, label=None),
    }


def _task(
    name: str,
    folders: tuple[str, ...],
    columns: Mapping[str, Columns],
    *,
    files: Mapping[str, tuple[str, ...]] | None = None,
    labels: tuple[str, ...] = ("0", "1"),
    spellings: Mapping[str, str] | None = None,
    score_range: tuple[float, float] | None = None,
    metrics: tuple[str, ...] = ("accuracy",),
    submission: str = "",
) -> SentenceTask:
    files = {split: (f"{split}.tsv",) for split in columns} | dict(files or {})
    return SentenceTask(
        name=name,
        folders=folders,
        files={split: files[split] for split in columns},
        columns=columns,
        labels=labels,
        spellings=spellings or {},
        score_range=score_range,
        is_pair=any(split.second is not None for split in columns.values()),
        metrics=metrics,
        submission=submission,
    )


def xnli(language: str = "zh") -> SentenceTask:
    """Returns XNLI in one language: machine-translated to train, human dev.

    Its folder has what the archives XNLI-MT-1.0 and XNLI-1.0 hold, or both of
    them unpacked.

    Args:
        language: Two letters, as in the names of the files.
    """
    train = f"multinli/multinli.train.{language}.tsv"
    return _task(
        "xnli",
        ("XNLI",),
        {
            "train": Columns(first="premise", second="hypo", label="label"),
            "dev": Columns(
                first="sentence1",
                second="sentence2",
                label="gold_label",
                only=("language", language),
            ),
        },
        files={
            "train": (train, f"XNLI-MT-1.0/{train}"),
            "dev": ("xnli.dev.tsv", "XNLI-1.0/xnli.dev.tsv"),
        },
        labels=_NLI,
        spellings={"contradictory": "contradiction"},
    )


_NLI = ("contradiction", "entailment", "neutral")
_ENTAILMENT = ("entailment", "not_entailment")
_PAIR = _columns("sentence1", "sentence2")
_MRPC = _columns("#1 String", "#2 String", label="Quality")
_QQP = _columns("question1", "question2", label="is_duplicate", index="id")
_MNLI = _columns("sentence1", "sentence2", label="gold_label")

GLUE: dict[str, SentenceTask] = {
    task.name: task
    for task in (
        _task(
            "cola",
            ("CoLA", "COLA"),
            _columns("sentence")
            # The only files without a header.
            | dict.fromkeys(
                ("train", "dev"),
                Columns(first=3, label=1, has_header=False, width=4),
            ),
            metrics=("mcc", "accuracy"),
            submission="CoLA.tsv",
        ),
        _task(
            "sst2",
            ("SST-2", "SST2"),
            _columns("sentence"),
            submission="SST-2.tsv",
        ),
        _task(
            "mrpc",
            ("MRPC",),
            # The test file of its authors has labels.
            _MRPC
            | {
                "test": dataclasses.replace(
                    _MRPC["train"], optional=("label", "index")
                )
            },
            files={
                "train": ("train.tsv", "msr_paraphrase_train.txt"),
                "test": ("test.tsv", "msr_paraphrase_test.txt"),
            },
            metrics=("f1", "accuracy", "accuracy_and_f1"),
            submission="MRPC.tsv",
        ),
        _task(
            "qqp",
            ("QQP",),
            # Questions with line ends and tabs in them are broken up.
            {
                "train": dataclasses.replace(_QQP["train"], num_cells=6),
                "dev": dataclasses.replace(_QQP["dev"], num_cells=6),
                "test": _QQP["test"],
            },
            metrics=("accuracy", "f1", "accuracy_and_f1"),
            submission="QQP.tsv",
        ),
        _task(
            "stsb",
            ("STS-B", "STSB"),
            _columns("sentence1", "sentence2", label="score"),
            labels=(),
            score_range=(0.0, 5.0),
            metrics=("spearman", "pearson", "pearson_and_spearman"),
            submission="STS-B.tsv",
        ),
        _task(
            "mnli",
            ("MNLI",),
            _MNLI,
            files={"dev": ("dev_matched.tsv",), "test": ("test_matched.tsv",)},
            labels=_NLI,
            submission="MNLI-m.tsv",
        ),
        _task(
            "mnli_mm",
            ("MNLI",),
            {split: _MNLI[split] for split in ("dev", "test")},
            files={
                "dev": ("dev_mismatched.tsv",),
                "test": ("test_mismatched.tsv",),
            },
            labels=_NLI,
            submission="MNLI-mm.tsv",
        ),
        _task(
            "qnli",
            ("QNLI",),
            _columns("question", "sentence"),
            labels=_ENTAILMENT,
            submission="QNLI.tsv",
        ),
        _task("rte", ("RTE",), _PAIR, labels=_ENTAILMENT, submission="RTE.tsv"),
        _task("wnli", ("WNLI",), _PAIR, submission="WNLI.tsv"),
        _task(
            "ax",
            ("AX", "diagnostic"),
            {"test": _PAIR["test"]},
            files={"test": ("diagnostic.tsv", "AX.tsv")},
            labels=_NLI,
            submission="AX.tsv",
        ),
        xnli(),
    )
}
