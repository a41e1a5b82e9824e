"""Records of a task on sentences or pairs: pieces, words, labels, logits."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfdistill.config.options import Examples
from tfdistill.records import Schema, make_codec, sentence_features
from tfdistill.records.knowledge import Shapes
from tfdistill.records.schema import Example
from tfdistill.tasks.glue import SentenceTask, label_of
from tfdistill.tasks.logit_columns import LogitColumns
from tfdistill.tasks.table_records import Layout, Split
from tfdistill.text.masking import tokenize_with_masks
from tfdistill.text.tables import Row
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.text.words import Words


def sentence_layout(
    task: SentenceTask,
    split: Split,
    tokenizer: Tokenizer,
    words: Words | None,
    examples: Examples,
    *,
    examples_per_shard: int,
    logits: LogitColumns | None = None,
) -> Layout:
    """Describe the records of a task.

    Args:
        task: The task.
        split: Its table.
        tokenizer: Of the pieces.
        words: Whole words, to be stored beside them.
        examples: How long they are.
        examples_per_shard: In a shard, at most.
        logits: Columns with a teacher's logits, which become knowledge.
    """
    num_classes = len(task.labels) or 1
    features = sentence_features(
        examples.max_seq_length,
        len(tokenizer.vocabulary),
        num_classes,
        has_labels=split.has_labels,
        num_words=len(words.vocabulary) if words else 0,
        is_pair=task.is_pair,
    )
    knowledge: dict[str, Any] = {}
    if logits is not None:
        shapes = Shapes(
            layout=examples.record_layout,
            max_seq_length=examples.max_seq_length,
            num_slots=0,
            vocabulary_size=len(tokenizer.vocabulary),
            num_classes=num_classes,
        )
        features += make_codec(("logits",), shapes).features()
        # Who has said it is not known; the table stands for the teacher.
        knowledge = {"knowledge": ["logits"], "teacher": split.fingerprint}

    def encode(rows: list[Row]) -> Iterator[Example]:
        most = examples.max_seq_length
        pieces = laid_out(tokenizer, rows, most, split.keeps_masks)
        whole = _joined(words, rows, most, words.tokenize) if words else None
        for row, (ids, segments) in zip(rows, pieces, strict=True):
            example = {"input_ids": ids, "segment_ids": segments}
            if whole is not None:
                example["word_ids"], places = next(whole)
                if task.is_pair:
                    example["word_segments"] = places
            label = label_of(task, row, "")
            if label is not None:
                kind = np.int64 if task.labels else np.float32
                example["labels"] = np.array([label], kind)
            if logits is not None:
                example["teacher_logits"] = logits.of(row)
            yield example

    return Layout(
        schema=Schema(
            features, examples.record_layout, examples.record_compression
        ),
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
            **knowledge,
        },
        files=tokenizer.files() | (words.files() if words else {}),
        encode=encode,
    )


def laid_out(
    tokenizer: Tokenizer,
    rows: list[Row],
    max_length: int,
    keeps_masks: bool = False,
) -> Iterator[list[np.ndarray]]:
    """Yield ids and segments of each row as a model reads it, int64.

    Args:
        tokenizer: Of the pieces.
        rows: The rows.
        max_length: Tokens at most, special ones included.
        keeps_masks: Whether the word [MASK] is that piece.
    """
    tokenize = tokenizer.tokenize
    if keeps_masks:
        tokenize = functools.partial(tokenize_with_masks, tokenizer)
    return _joined(tokenizer, rows, max_length, tokenize)


def _joined(
    tokenizer: Tokenizer | Words,
    rows: list[Row],
    max_length: int,
    tokenize: Callable[[list[str]], list[list[int]]],
) -> Iterator[list[np.ndarray]]:
    lines = [row.first for row in rows]
    lines += [row.second for row in rows if row.second is not None]
    ids = iter(tokenize(lines))
    firsts = [next(ids) for _ in rows]
    for row, first in zip(rows, firsts, strict=True):
        second = None if row.second is None else next(ids)
        found = tokenizer.join(first, second, max_length)
        # A sentence without words has a type, too.
        yield [np.array(values, np.int64) for values in found]


def _identity_of(words: Words | None) -> dict[str, Any]:
    if words is None:
        return {}
    return {"words": {"fingerprint": words.fingerprint, **words.settings}}
