"""Where the pieces of a line stand in it, counted in characters."""

from typing import NamedTuple

import numpy as np


class LocatedPieces(NamedTuple):
    """A line as pieces, n of them.

    Pieces of one character, as of a byte each, stand at the same place.

    Attributes:
        ids: `[n]`, as `Tokenizer.tokenize` gives them.
        starts: int64 `[n]`, the first character of each piece.
        ends: int64 `[n]`, the one behind its last; that of a piece which is
            blank is its start.
    """

    ids: list[int]
    starts: np.ndarray
    ends: np.ndarray


def characters_at(text: str, byte_offsets: np.ndarray) -> np.ndarray:
    """Turn offsets in the UTF-8 of a text into offsets in its characters.

    Args:
        text: The text.
        byte_offsets: int `[n]`, each the beginning of a character or the
            text's end.

    Returns:
        int64 `[n]`.
    """
    if text.isascii():
        return byte_offsets
    encoded = np.frombuffer(text.encode(), np.uint8)
    # All bytes of a character but the first are 10xxxxxx.
    is_first = (encoded & 0xC0) != 0x80
    return np.concatenate([[0], np.cumsum(is_first)])[byte_offsets]


def covering(
    pieces: LocatedPieces, start: int, end: int
) -> tuple[int, int] | None:
    """Returns the first and last piece that have characters of a span.

    Args:
        pieces: Of a line.
        start: First character of the span.
        end: The one behind its last.

    Returns:
        Indices of the pieces; None where no piece has any.
    """
    found = np.flatnonzero((pieces.ends > start) & (pieces.starts < end))
    return (int(found[0]), int(found[-1])) if len(found) else None
