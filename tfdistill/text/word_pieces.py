"""BERT's WordPiece tokenizer.

Pieces come from tensorflow-text's C++ tokenizer. Its own lower-casing folds
compatibility characters too, which BERT's does not, so text is normalised
here first, the way BERT's published code does.

Reference: Devlin et al., 2019, and the `tokenization.py` that they published.
"""

import functools
import hashlib
import itertools
import pathlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfdistill.text.joining import cut_to
from tfdistill.text.offsets import LocatedPieces, characters_at

SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = "vocab.txt"
# A longer word is unknown; the limit of the published pre-training code.
MAX_WORD_LENGTH = 200


def read_vocabulary(path: str | pathlib.Path) -> tuple[str, ...]:
    """Read a vocabulary file, one piece per line; line n has id n.

    Raises:
        ValueError: It is empty or not UTF-8, or a piece appears twice.
        OSError: It cannot be read.
    """
    try:
        text = pathlib.Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} cannot be decoded."
        ) from None
    # Only newlines end a piece; some pieces are other line separators.
    pieces = tuple(
        line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")
    )
    if not text:
        raise ValueError(f"{path} is empty, expected a vocabulary.")
    if len(set(pieces)) != len(pieces):
        seen: set[str] = set()
        twice = next(p for p in pieces if p in seen or seen.add(p))  # type: ignore[func-returns-value]
        raise ValueError(f"{path} holds the piece {twice!r} twice.")
    return pieces


class WordPiece:
    """Text to WordPiece ids, laid out as `[CLS] A [SEP] B [SEP]`.

    Text that spells a special piece is text: `[MASK]` there is three pieces
    or more.

    Attributes:
        vocabulary: The pieces; a piece's id is its index.
        settings: `do_lower_case`: whether text is lower-cased and stripped
            of accents.
        cls_id, sep_id, mask_id: Ids of the special pieces.
        continues_word: bool `[V]`, true for pieces inside a word (`##…`).
        fingerprint: Hash of the vocabulary and the casing.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        do_lower_case: bool,
        source: str = "the vocabulary",
    ) -> None:
        """Make a tokenizer.

        Args:
            vocabulary: The pieces in the order of their ids.
            do_lower_case: Whether text is lower-cased and stripped of
                accents.
            source: Where the pieces are from, for messages.

        Raises:
            ValueError: A special piece is missing, or [PAD] is not id 0.
        """
        missing = [p for p in SPECIAL_PIECES if p not in vocabulary]
        if missing:
            raise ValueError(f"{source} lacks the piece {missing[0]}.")
        if vocabulary[0] != "[PAD]":
            raise ValueError(
                f"{source} begins with {vocabulary[0]!r}; [PAD] must be its "
                "first piece, as padding is zeros."
            )
        self.vocabulary = tuple(vocabulary)
        self.settings: dict[str, Any] = {"do_lower_case": do_lower_case}
        ids = {piece: i for i, piece in enumerate(self.vocabulary)}
        self.cls_id = ids["[CLS]"]
        self.sep_id = ids["[SEP]"]
        self.mask_id = ids["[MASK]"]
        self.continues_word = np.array(
            [p.startswith("##") for p in self.vocabulary]
        )
        text = "\n".join([*self.vocabulary, f"do_lower_case={do_lower_case}"])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    @functools.cached_property
    def _pieces(self) -> Any:
        import tensorflow_text

        return tensorflow_text.FastBertTokenizer(
            list(self.vocabulary), max_bytes_per_word=MAX_WORD_LENGTH
        )

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, without special pieces."""
        if not lines:
            return []
        lines = [normalize(x, self.settings["do_lower_case"]) for x in lines]
        ragged = self._pieces.tokenize(lines)
        ids = ragged.values.numpy().tolist()
        ends = ragged.row_splits.numpy().tolist()
        return [ids[start:end] for start, end in itertools.pairwise(ends)]

    def tokenize_with_offsets(
        self, lines: Sequence[str]
    ) -> list[LocatedPieces]:
        """Returns the ids of each line and where their pieces stand in it.

        An accent that is stripped belongs to the piece of its letter; other
        characters that are dropped belong to none unless they are inside.
        """
        if not lines:
            return []
        lower = self.settings["do_lower_case"]
        normalized = [normalize_with_places(line, lower) for line in lines]
        ragged = self._pieces.tokenize_with_offsets([x[0] for x in normalized])
        ids, starts, ends = (x.values.numpy() for x in ragged)
        splits = itertools.pairwise(ragged[0].row_splits.numpy())
        found = []
        for (text, first, behind), (a, b) in zip(
            normalized, splits, strict=True
        ):
            found.append(
                LocatedPieces(
                    ids[a:b].tolist(),
                    first[characters_at(text, starts[a:b])],
                    behind[characters_at(text, ends[a:b]) - 1],
                )
            )
        return found

    def join(
        self,
        first: Sequence[int],
        second: Sequence[int] | None,
        max_length: int,
    ) -> tuple[list[int], list[int]]:
        """Lay out one sentence or two for a model; see `Tokenizer.join`."""
        num_special = 2 if second is None else 3
        a, b = cut_to(first, second, max_length - num_special)
        ids = [self.cls_id, *a, self.sep_id]
        segments = [0] * len(ids)
        if second is not None:
            ids += [*b, self.sep_id]
            segments += [1] * (len(b) + 1)
        return ids, segments

    def files(self) -> dict[str, bytes]:
        """Returns `vocab.txt`."""
        text = "".join(f"{piece}\n" for piece in self.vocabulary)
        return {VOCABULARY: text.encode()}


def normalize(line: str, do_lower_case: bool) -> str:
    """Drop control characters and, for uncased models, case and accents."""
    if not (line.isascii() and line.isprintable()):
        line = line.translate(_WITHOUT_CONTROLS)
    if do_lower_case:
        line = line.lower()
        if not line.isascii():
            line = unicodedata.normalize("NFD", line).translate(
                _WITHOUT_ACCENTS
            )
    return line


def normalize_with_places(
    line: str, do_lower_case: bool
) -> tuple[str, np.ndarray, np.ndarray]:
    """Normalize a line and note where its characters come from.

    Returns:
        The line as `normalize` gives it, n characters; for each of them the
        place in the original line of the character that it comes from, and
        that behind it and all accents on it, int64 `[n]`.
    """
    if line.isascii() and line.isprintable():
        places = np.arange(len(line))
        return normalize(line, do_lower_case), places, places + 1
    behind = list(range(1, len(line) + 1))
    kept = [(c, i) for i, c in enumerate(line) if not _is_dropped(c)]
    if do_lower_case:
        # What a character becomes may hang on others, but not its length.
        lowered = "".join(c for c, _ in kept).lower()
        sources = [i for c, i in kept for _ in c.lower()]
        kept = [
            (part, i)
            for c, i in zip(lowered, sources, strict=True)
            for part in unicodedata.normalize("NFD", c)
        ]
        kept = [
            (c, i) for c, i in _in_canonical_order(kept) if not _is_accent(c)
        ]
        for i in range(len(line) - 1, 0, -1):
            if _is_accent(line[i]):
                behind[i - 1] = behind[i]
    origins = np.array([i for _, i in kept], np.int64)
    ends = np.array(behind, np.int64)[origins]
    return "".join(c for c, _ in kept), origins, ends


def _in_canonical_order(
    characters: list[tuple[str, int]],
) -> Iterator[tuple[str, int]]:
    """Yield decomposed characters with their marks in Unicode's order."""

    def mark_class(character: tuple[str, int]) -> int:
        return unicodedata.combining(character[0])

    for _, run in itertools.groupby(characters, lambda c: mark_class(c) > 0):
        yield from sorted(run, key=mark_class)


def _is_dropped(character: str) -> bool:
    if character in "\t\n\r":
        return False
    return character in "\x00\ufffd" or unicodedata.category(character) in (
        "Cc",
        "Cf",
    )


def _is_accent(character: str) -> bool:
    return unicodedata.category(character) == "Mn"


class _Without(dict[int, int | None]):
    """A table for `str.translate`, which asks about each character once."""

    def __init__(self, is_dropped: Callable[[str], bool]) -> None:
        self._is_dropped = is_dropped

    def __missing__(self, code: int) -> int | None:
        self[code] = None if self._is_dropped(chr(code)) else code
        return self[code]


_WITHOUT_CONTROLS = _Without(_is_dropped)
_WITHOUT_ACCENTS = _Without(_is_accent)
