"""Records of sentences and pairs: from a task's tables to shards."""

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import logging

from tfdistill.config.options import Examples
from tfdistill.files import StrPath, sha256_of
from tfdistill.progress import Progress
from tfdistill.records import (
    RecordSet,
    RecordSetWriter,
    Schema,
    sentence_features,
)
from tfdistill.tasks.glue import SentenceTask, label_of
from tfdistill.text.tables import Columns, Row, read_table
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.text.words import Words

_ROWS_AT_ONCE = 1024
_MASK = re.compile(r"(?<!\S)\[MASK\](?!\S)")


@dataclasses.dataclass(frozen=True)
class Split:
    """A table that was read through, and the records to make of it."""

    name: str
    path: str
    columns: Columns
    folder: str
    rows: int
    has_labels: bool
    fingerprint: str
    keeps_masks: bool


def find_split(
    task: SentenceTask,
    name: str,
    path: StrPath,
    columns: Columns,
    folder: str,
    *,
    keeps_masks: bool = False,
) -> Split:
    """Read a table through, checking every row.

    Args:
        task: Whose labels it has.
        name: "train", "dev" or "test".
        path: The table.
        columns: Where it has what.
        folder: Of the records.
        keeps_masks: Whether the word [MASK] is that piece, as in what rules
            have made.

    Raises:
        ValueError: A row or a label is wrong, or there is no such table.
    """
    rows = 0
    has_labels = False
    for row in read_table(path, columns):
        has_labels = label_of(task, row, path) is not None
        rows += 1
    return Split(
        name=name,
        path=str(path),
        columns=columns,
        folder=folder,
        rows=rows,
        has_labels=has_labels,
        fingerprint=sha256_of(path),
        keeps_masks=keeps_masks,
    )


def open_split(
    task: SentenceTask,
    split: Split,
    tokenizer: Tokenizer,
    words: Words | None,
    examples: Examples,
    *,
    examples_per_shard: int,
) -> RecordSetWriter:
    """Prepare to write the records of a split.

    Args:
        task: The task.
        split: Its table.
        tokenizer: Of the pieces.
        words: Whole words, to be stored beside them.
        examples: How long they are.
        examples_per_shard: In a shard, at most.

    Raises:
        ValueError: as `RecordSetWriter`.
    """
    num_shards = math.ceil(split.rows / examples_per_shard)
    num_classes = len(task.labels) or 1
    schema = Schema(
        sentence_features(
            examples.max_seq_length,
            len(tokenizer.vocabulary),
            num_classes,
            has_labels=split.has_labels,
            num_words=len(words.vocabulary) if words else 0,
            is_pair=task.is_pair,
        ),
        examples.record_layout,
        examples.record_compression,
    )
    return RecordSetWriter(
        split.folder,
        schema=schema,
        identity={
            "task": task.name,
            "split": split.name,
            "tokenizer": tokenizer.fingerprint,
            **tokenizer.settings,
            **_identity_of(words),
            "settings": dataclasses.asdict(examples)
            | {"examples_per_shard": examples_per_shard},
            "table": split.fingerprint,
            "keeps_masks": split.keeps_masks,
            "num_classes": num_classes,
            "labels": list(task.labels),
            "score_range": task.score_range,
            "metrics": list(task.metrics),
            "submission": task.submission,
        },
        shard_names=[
            f"{split.name}-{i:05d}-of-{num_shards:05d}.tfrecord"
            for i in range(num_shards)
        ],
        files=tokenizer.files() | (words.files() if words else {}),
    )


def write_split(
    task: SentenceTask,
    split: Split,
    writer: RecordSetWriter,
    tokenizer: Tokenizer,
    words: Words | None,
    examples: Examples,
    *,
    examples_per_shard: int,
) -> dict[str, int]:
    """Write the records of a split in the order of its table.

    Args: as `open_split`, which made the writer.

    Returns:
        `examples` and `shards`.
    """
    if writer.finished is not None:
        logging.info("%s is finished already.", split.folder)
        return _summary(writer.finished)
    missing = set(writer.missing())
    rows = read_table(split.path, split.columns)
    with Progress(
        f"making {split.name} records", split.rows, unit=" rows"
    ) as progress:
        for name in writer.shard_names:
            of_shard = itertools.islice(rows, examples_per_shard)
            if name not in missing:
                for _ in of_shard:
                    progress.advance(1)
                continue
            with writer.shard(name) as shard:
                for example in _examples(
                    task, split, of_shard, tokenizer, words, examples
                ):
                    shard.add(example)
                    progress.advance(1)
    return _summary(writer.finish())


def _examples(
    task: SentenceTask,
    split: Split,
    rows: Iterator[Row],
    tokenizer: Tokenizer,
    words: Words | None,
    examples: Examples,
) -> Iterator[dict[str, np.ndarray]]:
    most = examples.max_seq_length
    tokenize = tokenizer.tokenize
    if split.keeps_masks:
        tokenize = functools.partial(_with_masks, tokenizer)
    while some := list(itertools.islice(rows, _ROWS_AT_ONCE)):
        pieces = _joined(tokenizer, some, most, tokenize)
        whole = _joined(words, some, most, words.tokenize) if words else None
        for row, (ids, segments) in zip(some, pieces, strict=True):
            example = {"input_ids": ids, "segment_ids": segments}
            if whole is not None:
                example["word_ids"], places = next(whole)
                if task.is_pair:
                    example["word_segments"] = places
            label = label_of(task, row, "")
            if label is not None:
                kind = np.int64 if task.labels else np.float32
                example["labels"] = np.array([label], kind)
            yield example


def _joined(
    tokenizer: Tokenizer | Words,
    rows: list[Row],
    max_length: int,
    tokenize: Callable[[list[str]], list[list[int]]],
) -> Iterator[list[np.ndarray]]:
    """Yield ids and segments of each row."""
    lines = [row.first for row in rows]
    lines += [row.second for row in rows if row.second is not None]
    ids = iter(tokenize(lines))
    firsts = [next(ids) for _ in rows]
    for row, first in zip(rows, firsts, strict=True):
        second = None if row.second is None else next(ids)
        joined = tokenizer.join(first, second, max_length)
        # A sentence without words has a type, too.
        yield [np.array(values, np.int64) for values in joined]


def _with_masks(tokenizer: Tokenizer, lines: list[str]) -> list[list[int]]:
    """Tokenize lines in which the word [MASK] is that piece."""
    parts = [_MASK.split(line) for line in lines]
    ids = iter(tokenizer.tokenize([part for line in parts for part in line]))
    found = []
    for line in parts:
        joined = next(ids)
        for _ in line[1:]:
            joined = [*joined, tokenizer.mask_id, *next(ids)]
        found.append(joined)
    return found


def _identity_of(words: Words | None) -> dict[str, Any]:
    if words is None:
        return {}
    return {"words": {"fingerprint": words.fingerprint, **words.settings}}


def _summary(records: RecordSet) -> dict[str, int]:
    return {"examples": records.examples, "shards": len(records.shards)}
