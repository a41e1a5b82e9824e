"""Tasks of one's own: classification and regression of any tables."""

import collections
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from tfdistill.config.options import Tables
from tfdistill.files import StrPath
from tfdistill.tasks.glue import GLUE, SentenceTask
from tfdistill.text.tables import Columns, read_header, read_table

OWN_TASKS = ("classification", "regression")
MOST_LABELS = 1000
_METRICS = {
    "classification": ("accuracy",),
    "regression": ("pearson", "spearman"),
}
_METRICS_OF_TWO_CLASSES = ("accuracy", "f1", "mcc")
_NUMBER = re.compile("-?[0-9]+")
_SUFFIXES = (".tsv", ".csv", ".jsonl")


def own_task(
    name: str,
    data_dir: StrPath,
    *,
    text_column: str,
    pair_column: str = "",
    label_column: str,
    labels: tuple[str, ...] = (),
) -> SentenceTask:
    """Describe the tables of a folder as a task.

    The folder has `train`, `dev` or `test` files, each `.tsv`, `.csv` or
    `.jsonl`. A test file may lack the labels.

    Args:
        name: "classification" or "regression".
        data_dir: The folder.
        text_column: Column of the first sentence: a name of the header or a
            key of JSON lines, or a number from 0, where -1 is the last one.
            Where columns have numbers, files have no header.
        pair_column: Column of the second sentence, "" if there is none.
        label_column: Column of the label or score.
        labels: The labels in the order of the classes. Without them, those
            of the train file, sorted; as numbers if all are integers.

    Raises:
        ValueError: There are two files of a split; some columns have names
            and others numbers, or are the same; labels are given of a
            regression; they are less than two, more than 1,000, or one
            stands twice; or the train file is needed and cannot be read as
            such.
        FileNotFoundError: There is no file, or the train file is needed and
            not there.
    """
    if name not in _METRICS:
        raise ValueError(
            f"Unknown task {name!r}. Known: {', '.join(_METRICS)}."
        )
    columns = own_columns(text_column, pair_column, label_column)
    files = _own_files(Path(data_dir))
    metrics = _METRICS[name]
    if name == "regression":
        if labels:
            raise ValueError("A regression has no labels, but some are given.")
    else:
        if not labels:
            labels = _labels_in(Path(data_dir), files, columns)
        if not 2 <= len(set(labels)) == len(labels) <= MOST_LABELS:
            raise ValueError(
                f"A classification has 2 to {MOST_LABELS:,} labels, and no "
                f"two are the same; here are {len(labels):,}, "
                f"{len(set(labels)):,} of them different."
            )
        if len(labels) == 2:
            metrics = _METRICS_OF_TWO_CLASSES
    return SentenceTask(
        name=name,
        folders=(),
        files=files,
        columns={
            split: dataclasses.replace(
                columns, optional=("label",) if split == "test" else ()
            )
            for split in files
        },
        labels=labels,
        spellings={},
        score_range=None,
        is_pair=bool(pair_column),
        metrics=metrics,
        submission="",
    )


def own_columns(text: str, pair: str, label: str = "") -> Columns:
    """Returns where a table of one's own has what.

    Args:
        text: Column of the first sentence, as in `own_task`.
        pair: That of the second one, "" if there is none.
        label: That of the label or score, "" if none is read.

    Raises:
        ValueError: Some have names and others numbers, or are the same.
    """
    given = [column for column in (text, pair, label) if column]
    are_numbers = [bool(_NUMBER.fullmatch(column)) for column in given]
    if any(are_numbers) and not all(are_numbers):
        raise ValueError(
            "Columns all have names or all have numbers, unlike "
            f"{', '.join(given)}."
        )
    first, *others = map(int, given) if all(are_numbers) else given
    return Columns(
        first=first,
        second=others[0] if pair else None,
        label=others[-1] if label else None,
        has_header=not all(are_numbers),
    )


def _own_files(folder: Path) -> dict[str, tuple[str, ...]]:
    files: dict[str, tuple[str, ...]] = {}
    for split in ("train", "dev", "test"):
        names = [f"{split}{suffix}" for suffix in _SUFFIXES]
        found = [name for name in names if (folder / name).is_file()]
        if len(found) > 1:
            raise ValueError(
                f"{folder} holds {' and '.join(found)}, expected one of them."
            )
        if found:
            files[split] = (found[0],)
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no train, dev or test file "
            f"({', '.join(_SUFFIXES)})."
        )
    return files


def _labels_in(
    folder: Path, files: Mapping[str, tuple[str, ...]], columns: Columns
) -> tuple[str, ...]:
    if "train" not in files:
        raise FileNotFoundError(
            f"{folder} holds no train file to take labels from, and none are "
            "given."
        )
    path = folder / files["train"][0]
    counts: collections.Counter[str] = collections.Counter()
    for row in read_table(path, columns):
        if not row.label:
            raise ValueError(f"{path}: line {row.line} has an empty label.")
        counts[row.label] += 1
        if len(counts) > MOST_LABELS:
            raise ValueError(
                f"{path}: more than {MOST_LABELS:,} different labels by line "
                f"{row.line}; are they scores, or in another column?"
            )
    first, *others = counts
    is_alone = counts[first] == 1 and all(counts[label] > 1 for label in others)
    if is_alone and others and read_header(path, columns) is None:
        raise ValueError(
            f"{path}: line 1 looks like a header, since its label {first!r} "
            "is there once only; name the columns, or give the labels."
        )
    if all(_NUMBER.fullmatch(label) for label in counts):
        return tuple(sorted(counts, key=lambda label: (int(label), label)))
    return tuple(sorted(counts))


def find_sentence_task(
    name: str, data_dir: StrPath, tables: Tables
) -> SentenceTask:
    """Returns a task of GLUE, or one of one's own.

    Args:
        name: As in `--task`.
        data_dir: The task's folder.
        tables: Where tables of one's own have what.

    Raises:
        ValueError: The task is not about sentences, or as `own_task`.
    """
    if name in GLUE:
        return GLUE[name]
    if name not in OWN_TASKS:
        known = ", ".join((*GLUE, *OWN_TASKS))
        raise ValueError(f"Unknown task {name!r} of sentences. Known: {known}.")
    return own_task(
        name,
        data_dir,
        text_column=tables.text_column,
        pair_column=tables.pair_column,
        label_column=tables.label_column,
        labels=tuple(tables.labels.split(",")) if tables.labels else (),
    )
