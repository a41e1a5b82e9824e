"""What a model says of texts, in a stream: line by line or row by row."""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO, cast

import numpy as np
import tensorflow as tf

from tfdistill.files import write_atomically
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import LoadedModel
from tfdistill.text.table_formats import (
    STANDARD_INPUT,
    kind_of,
    open_input,
    read_lines,
)
from tfdistill.text.tables import Columns, read_table
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.text.words import Words

_SUFFIXES = (".tsv", ".csv", ".jsonl", ".json")
_SHORTEST = 8


@dataclasses.dataclass(frozen=True)
class Text:
    """A sentence or a pair, and the line that it stands in, from 1."""

    line: int
    first: str
    second: str | None = None


@dataclasses.dataclass(frozen=True)
class Said:
    """What a model says of a text.

    Attributes:
        line: Where the text stands.
        logits: float32 `[C]`; of a score `[1]`.
    """

    line: int
    logits: np.ndarray


def format_of(path: str, given: str) -> str:
    """Returns "text", "tsv", "csv" or "jsonl".

    Args:
        path: The input.
        given: One of them, or "auto".
    """
    if given != "auto":
        return given
    suffix = pathlib.Path(path).suffix.lower()
    return kind_of(path) if suffix in _SUFFIXES else "text"


def read_texts(path: str, kind: str, columns: Columns) -> Iterator[Text]:
    """Yield texts as they arrive, in constant memory.

    Args:
        path: A file, or "-" for standard input.
        kind: "text": each line is a sentence, also an empty one; or "tsv",
            "csv" or "jsonl".
        columns: Where a table has what.

    Raises:
        ValueError: as `read_table`; or texts of lines are to be pairs.
        OSError: It cannot be read.
    """
    if kind != "text":
        for row in read_table(path, columns, kind=kind):
            yield Text(row.line, row.first, row.second)
        return
    if columns.second is not None:
        raise ValueError(
            "A line of text is one sentence; pairs stand in tables "
            "(--input_format)."
        )
    name, file = open_input(path)
    with file:
        for number, line in enumerate(read_lines(name, file), 1):
            yield Text(number, line.removesuffix("\n").removesuffix("\r"))


def predict_texts(
    loaded: LoadedModel,
    texts: Iterator[Text],
    *,
    length: int,
    batch_size: int,
) -> Iterator[Said]:
    """Yield what a classifier says of each text, batch by batch.

    Args:
        loaded: A model with a classifier.
        texts: Sentences, or pairs.
        length: Tokens of an example; what is longer is cut as in training.
        batch_size: Texts that are waited for before they are predicted.
    """
    model = loaded.model
    # Only models of pieces and of words have a classifier.
    tokenizer = cast(Tokenizer | Words, loaded.tokenizer)
    if isinstance(model.config, BertConfig):
        length = min(length, model.config.max_sequence_length)

    @tf.function(reduce_retracing=False)
    def run(features: dict[str, tf.Tensor]) -> tf.Tensor:
        return model(features, reads=frozenset({"logits"}))["logits"]

    while some := list(itertools.islice(texts, batch_size)):
        # Graphs are made for few shapes: rows and lengths are filled up.
        filled = some + some[:1] * (batch_size - len(some))
        ids = tokenizer.tokenize([text.first for text in filled])
        seconds: Sequence[list[int] | None] = [None] * batch_size
        if some[0].second is not None:
            seconds = tokenizer.tokenize([t.second or "" for t in filled])
        rows = [
            tokenizer.join(first, second, length)
            for first, second in zip(ids, seconds, strict=True)
        ]
        features = _features(model.config, rows, length)
        logits = run(features).numpy()
        for text, values in zip(some, logits, strict=False):
            yield Said(text.line, values)


def _features(
    config: object,
    rows: Sequence[tuple[list[int], list[int]]],
    most: int,
) -> dict[str, tf.Tensor]:
    longest = max(len(ids) for ids, _ in rows)
    length = _SHORTEST
    while length < longest:
        length *= 2
    length = min(length, most)
    features = np.zeros([3, len(rows), length], np.int32)
    for i, (ids, segments) in enumerate(rows):
        features[0, i, : len(ids)] = ids
        features[1, i, : len(ids)] = 1
        features[2, i, : len(ids)] = segments
    names = ("input_ids", "input_mask", "segment_ids")
    if not isinstance(config, BertConfig):
        names = ("word_ids", "word_mask", "word_segments")
    return {n: tf.constant(x) for n, x in zip(names, features, strict=True)}


def write_said(
    said: Iterator[Said], output: str, kind: str, labels: Sequence[str]
) -> int:
    """Write predictions, each as soon as it is there; returns their number.

    Args:
        said: The predictions.
        output: A file, which appears when it is whole; empty or "-":
            standard output.
        kind: "jsonl": objects with `line`, `prediction` and `probabilities`;
            else a TSV with these columns.
        labels: Names of the classes; empty for scores.

    Raises:
        OSError: It cannot be written, or nobody reads it any more.
    """
    if output not in ("", STANDARD_INPUT):
        with (
            write_atomically(output) as temporary,
            open(temporary, "w", encoding="utf-8") as file,
        ):
            return _write(said, file, kind, labels)
    with standard_output() as file:
        return _write(said, file, kind, labels)


@contextlib.contextmanager
def standard_output() -> Iterator[TextIO]:
    """Give a block standard output to write to.

    Raises:
        OSError: Nobody reads it any more.
    """
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError("standard output was closed before the end.") from None


def _write(
    said: Iterator[Said], file: TextIO, kind: str, labels: Sequence[str]
) -> int:
    line_of: Callable[[Said, Sequence[str]], str] = (
        _json if kind == "jsonl" else _tsv
    )
    if kind != "jsonl":
        heads = [f"probability of {label}" for label in labels]
        file.write("\t".join(["line", "prediction", *heads]) + "\n")
    number = 0
    for one in said:
        file.write(line_of(one, labels) + "\n")
        file.flush()
        number += 1
    return number


def _tsv(one: Said, labels: Sequence[str]) -> str:
    if not labels:
        return f"{one.line}\t{one.logits[0]:.6g}"
    odds = _odds(one.logits)
    cells = [str(one.line), labels[int(odds.argmax())]]
    return "\t".join([*cells, *(f"{x:.6f}" for x in odds)])


def _json(one: Said, labels: Sequence[str]) -> str:
    found: dict[str, Any] = {"line": one.line}
    if labels:
        odds = _odds(one.logits)
        rounded = [round(float(x), 6) for x in odds]
        found["prediction"] = labels[int(odds.argmax())]
        found["probabilities"] = dict(zip(labels, rounded, strict=True))
    else:
        found["prediction"] = round(float(one.logits[0]), 6)
    return json.dumps(found, ensure_ascii=False)


def _odds(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()
