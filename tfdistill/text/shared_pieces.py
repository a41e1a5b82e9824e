"""Pieces that source and target share, and what makes text of them again.

The first four are the same in every such vocabulary. Pieces are known by
their strings, too: those that the vocabulary lacks can be copied to a text.
"""

import collections
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

SPECIAL = ("<unk>", "<blank>", "<s>", "</s>")
UNKNOWN_ID, PADDING_ID, START_ID, END_ID = range(4)
# Vocabularies are filled up to a multiple of this, as published.
_MULTIPLE = 8


class SharedPieces(Protocol):
    """Text to pieces, and pieces to text.

    `detokenize(split([text])[0])` is the text again, normalised, with single
    spaces, as far as all of its characters have pieces.

    Attributes:
        vocabulary: The pieces; a piece's id is its index, and the first ones
            are `SPECIAL`.
        settings: What its files do not say, as JSON values.
        fingerprint: Changes with anything that changes ids.
    """

    vocabulary: tuple[str, ...]
    settings: dict[str, Any]
    fingerprint: str

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Returns the pieces of each line, in the vocabulary or not."""
        ...

    def ids(self, pieces: Sequence[str]) -> list[int]:
        """Returns the ids of pieces, `UNKNOWN_ID` for those not there."""
        ...

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, without special pieces."""
        ...

    def detokenize(self, pieces: Sequence[str]) -> str:
        """Returns the text of pieces; special ones but `<unk>` say nothing."""
        ...

    def word_piece(self, piece: str) -> str:
        """Returns a piece as BERT writes it, with `##` inside of words."""
        ...

    def files(self) -> dict[str, bytes]:
        """Returns what a folder keeps of it: files by name."""
        ...


def shared_vocabulary(lines: Iterable[Sequence[str]]) -> list[str]:
    """Order the pieces of a text for a vocabulary.

    Args:
        lines: The pieces of each line.

    Returns:
        `SPECIAL`, then all pieces by falling count, those as frequent in
        alphabetical order, then fillers up to a multiple of 8.
    """
    counts: collections.Counter[str] = collections.Counter()
    for pieces in lines:
        counts.update(pieces)
    kept = counts.keys() - {*SPECIAL}
    found = [*SPECIAL, *sorted(kept, key=lambda piece: (-counts[piece], piece))]
    missing = -len(found) % _MULTIPLE
    return found + [f"averyunlikelytoken{i}" for i in range(missing)]
