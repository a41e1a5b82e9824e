"""What a masked LM would put in a word's place, for many words at a time.

Reference: Jiao et al., "TinyBERT: Distilling BERT for natural language
understanding", 2020, algorithm 1. The model sees the sentence with the word
masked, and beside it the sentence as it is.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece

# Sequences are padded to a multiple of this, and so are batches.
_LENGTH_STEP = 16
_ROWS_STEP = 16
_BLOCKS_PER_CANDIDATE = 32


class Ask(Protocol):
    """A masked LM."""

    def __call__(
        self,
        *,
        input_ids: np.ndarray,
        input_mask: np.ndarray,
        segment_ids: np.ndarray,
        positions: np.ndarray,
    ) -> np.ndarray:
        """Ask for one position of each sequence.

        Args:
            input_ids: int32 `[B, L]`, padded with 0.
            input_mask: int32 `[B, L]`, 1 for tokens, 0 for padding.
            segment_ids: int32 `[B, L]`.
            positions: int32 `[B]`, in [0, L).

        Returns:
            Logits float32 `[B, V]`.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """A sentence and a piece of it to be masked.

    Attributes:
        pieces: Ids of the sentence's pieces, without special ones.
        place: Index of the piece.
    """

    pieces: Sequence[int]
    place: int


def candidate_words(
    queries: Sequence[Query],
    ask: Ask,
    tokenizer: WordPiece,
    *,
    count: int,
    batch_size: int,
    max_seq_length: int,
) -> list[list[str]]:
    """Find the likeliest words for the masked pieces.

    Every call of the model has as many rows, and a length that depends on
    the query alone; spare rows repeat one. For the last bits of a product
    depend on its shape, and in odd shapes on where a row stands, while here
    a query gets the same answer whatever the others are. Rounding logits
    would not do that: it moves the places where a last bit decides.

    Args:
        queries: What to ask.
        ask: The model. It reads [CLS] masked [SEP] sentence [SEP], from the
            left as long as it can.
        tokenizer: Its tokenizer.
        count: Pieces to take of each distribution, the largest logits; of
            equal ones those with smaller ids.
        batch_size: Rows of each call, rounded up to a multiple of 16.
        max_seq_length: Longest sequence that the model takes.

    Returns:
        For each query its words in the order of their ids, so that close
        logits cannot change places; at most `count`, as what continues a
        word or is a special piece is left out, and none for a piece that
        lies beyond the model's longest sequence.

    Raises:
        ValueError: Logits are not finite.
    """
    by_length: dict[int, list[int]] = {}
    for number, query in enumerate(queries):
        if query.place + 1 < max_seq_length:
            steps = -(-(2 * len(query.pieces) + 3) // _LENGTH_STEP)
            length = min(steps * _LENGTH_STEP, max_seq_length)
            by_length.setdefault(length, []).append(number)
    batch_size = -(-batch_size // _ROWS_STEP) * _ROWS_STEP
    words: list[list[str]] = [[] for _ in queries]
    for length in sorted(by_length):
        numbers = by_length[length]
        for start in range(0, len(numbers), batch_size):
            some = numbers[start : start + batch_size]
            rows = some + some[:1] * (batch_size - len(some))
            batch = _batch([queries[i] for i in rows], tokenizer, length)
            logits = np.asarray(ask(**batch))[: len(some)]
            if not np.isfinite(logits).all():
                raise ValueError(
                    "The masked LM's logits are not finite numbers."
                )
            for number, ids in zip(some, _largest(logits, count), strict=True):
                pieces = (tokenizer.vocabulary[i] for i in ids)
                words[number] = whole_words(pieces)
    return words


def whole_words(pieces: Iterable[str]) -> list[str]:
    """Returns the pieces that neither continue a word nor are special."""
    return [
        piece
        for piece in pieces
        if not piece.startswith("##") and piece not in SPECIAL_PIECES
    ]


def _batch(
    queries: Sequence[Query], tokenizer: WordPiece, length: int
) -> dict[str, np.ndarray]:
    shape = (len(queries), length)
    input_ids = np.zeros(shape, np.int32)
    input_mask = np.zeros(shape, np.int32)
    segment_ids = np.zeros(shape, np.int32)
    sep_id = tokenizer.sep_id
    for row, query in enumerate(queries):
        pieces = query.pieces
        ids = [tokenizer.cls_id, *pieces, sep_id, *pieces, sep_id][:length]
        ids[query.place + 1] = tokenizer.mask_id
        input_ids[row, : len(ids)] = ids
        input_mask[row, : len(ids)] = 1
        segment_ids[row, len(pieces) + 2 : len(ids)] = 1
    return {
        "input_ids": input_ids,
        "input_mask": input_mask,
        "segment_ids": segment_ids,
        "positions": np.array([q.place + 1 for q in queries], np.int32),
    }


def _largest(logits: np.ndarray, count: int) -> Iterator[list[int]]:
    """Yield the ids of the `count` largest of each row, in their order."""
    count = min(count, logits.shape[1])
    # As many blocks have a maximum of at least `bound`, so the largest are
    # not below it, and few others reach it.
    width = max(1, logits.shape[1] // (_BLOCKS_PER_CANDIDATE * count))
    starts = np.arange(0, logits.shape[1], width)
    maxima = np.maximum.reduceat(logits, starts, axis=1)
    last = len(starts) - count
    bounds = np.partition(maxima, last, axis=1)[:, last]
    for row, bound in zip(logits, bounds, strict=True):
        ids = np.flatnonzero(row >= bound)
        order = np.argsort(-row[ids], kind="stable")
        yield sorted(ids[order[:count]].tolist())
