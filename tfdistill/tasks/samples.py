"""Some predictions for people to read, as a Markdown table."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfdistill.records import RecordSet, evaluation_batches
from tfdistill.text.tokenizer import Tokenizer

_MOST = 8
_LONGEST = 200
# What marks where words go on in WordPiece, and begin in byte-level BPE.
_MARKS = ("##", "Ġ")


def show_samples(
    records: RecordSet, rows: Mapping[str, np.ndarray], tokenizer: Tokenizer
) -> str:
    """Show what a model says of the first examples.

    Args:
        records: Of sentences or pairs.
        rows: `logits` `[N, C]` and, where records have them, `labels`, in
            the order of the records.
        tokenizer: Of the records.

    Returns:
        A table with the text, the label, the prediction and its probability;
        of scores without the latter.
    """
    count = min(_MOST, records.examples)
    first = next(
        evaluation_batches(records, batch_size=count, process_slice=(0, count))
    )
    names = records.identity["labels"]
    heads = ["text", "label", "prediction", *(["probability"] if names else [])]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for i in range(min(count, len(rows["logits"]))):
        length = int(first["input_mask"][i].numpy().sum())
        ids = first["input_ids"][i].numpy()[:length]
        label = rows["labels"][i] if "labels" in rows else None
        cells = [
            text_of(ids, tokenizer),
            *_said(rows["logits"][i], label, names),
        ]
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines)


def text_of(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """Returns pieces as they are read, words apart by spaces."""
    parts = []
    for i in ids:
        piece = tokenizer.vocabulary[i]
        for mark in _MARKS:
            piece = piece.removeprefix(mark)
        parts.append(piece if tokenizer.continues_word[i] else f" {piece}")
    return "".join(parts).strip()


def _said(
    logits: np.ndarray, label: np.ndarray | None, names: Sequence[str]
) -> list[str]:
    if not names:
        known = "" if label is None else f"{label:.3g}"
        return [known, f"{logits[0]:.3g}"]
    odds = np.exp(logits - logits.max())
    odds /= odds.sum()
    known = "" if label is None else names[int(label)]
    return [known, names[int(odds.argmax())], f"{odds.max():.3f}"]


def _cell(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    # A bar would end the cell.
    return short.replace("|", "\\|").replace("\n", " ")
