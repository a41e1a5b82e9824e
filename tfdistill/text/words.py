"""Whole words, for models that read word vectors.

Text is split as BERT splits it before it looks for pieces, so that a word is
what its pieces make up. A special piece that stands alone between spaces,
such as the `[MASK]` of a transfer set, is a word like others.

Reference: Devlin et al., 2019, `BasicTokenizer` of the `tokenization.py` that
    they published; Tang et al., "Distilling Task-Specific Knowledge from BERT
    into Simple Neural Networks", 2019.
"""

import collections
import functools
import hashlib
import itertools
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfdistill.text.joining import cut_to
from tfdistill.text.word_pieces import (
    SPECIAL_PIECES,
    normalize,
    read_vocabulary,
)

RESERVED = ("[PAD]", "[UNK]", "[MASK]")
WORDS = "words.txt"
# Strings between spaces that are remembered, and split at a time.
_MOST_STRINGS = 1_000_000
_STRINGS_AT_ONCE = 20_000
_LINES_AT_ONCE = 1024


class WordSplitter:
    """Splits text into words and marks; what stood alone is remembered."""

    def __init__(self, do_lower_case: bool) -> None:
        """Choose whether text is lower-cased and stripped of accents."""
        self._do_lower_case = do_lower_case
        self._known: dict[str, list[str]] = {}

    @functools.cached_property
    def _basic(self) -> Any:
        from tensorflow_text.python.ops.bert_tokenizer import BasicTokenizer

        return BasicTokenizer(lower_case=False)

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Returns the words of each line."""
        # Control characters go first, as they may stand for spaces.
        rows = [normalize(line, False).split() for line in lines]
        if len(self._known) > _MOST_STRINGS:
            self._known.clear()
        new = {string for row in rows for string in row} - self._known.keys()
        special = new.intersection(SPECIAL_PIECES)
        self._known |= {piece: [piece] for piece in special}
        strings = sorted(new - special)
        for start in range(0, len(strings), _STRINGS_AT_ONCE):
            some = strings[start : start + _STRINGS_AT_ONCE]
            plain = [normalize(x, self._do_lower_case) for x in some]
            found = self._basic.tokenize(plain).to_list()
            for string, words in zip(some, found, strict=True):
                self._known[string] = [word.decode() for word in words]
        return [
            [word for string in row for word in self._known[string]]
            for row in rows
        ]


def count_words(
    lines: Iterable[str], do_lower_case: bool
) -> collections.Counter[str]:
    """Count the words of some lines."""
    splitter = WordSplitter(do_lower_case)
    counts: collections.Counter[str] = collections.Counter()
    lines = iter(lines)
    while some := list(itertools.islice(lines, _LINES_AT_ONCE)):
        for words in splitter.split(some):
            counts.update(words)
    return counts


def word_vocabulary(counts: Mapping[str, int], min_count: int = 1) -> list[str]:
    """Order words for a vocabulary; equal counts give equal vocabularies.

    Args:
        counts: How often each word occurs.
        min_count: Words that are rarer are left out.

    Returns:
        `[PAD]`, `[UNK]`, `[MASK]`, then words by falling count, those as
        frequent in alphabetical order.
    """
    kept = {w for w, n in counts.items() if n >= min_count} - {*RESERVED}
    return [*RESERVED, *sorted(kept, key=lambda word: (-counts[word], word))]


class Words:
    """Text to the ids of whole words.

    Attributes:
        vocabulary: The words; a word's id is its index. `[PAD]` is id 0, and
            what is not among them is `[UNK]`: both are words like others.
        settings: `do_lower_case`: whether text is lower-cased and stripped
            of accents.
        fingerprint: Hash of the words and the casing.
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
            vocabulary: The words in the order of their ids.
            do_lower_case: Whether text is lower-cased and stripped of
                accents.
            source: Where the words are from, for messages.

        Raises:
            ValueError: They do not begin with `[PAD]`, `[UNK]`, `[MASK]`.
        """
        if tuple(vocabulary[: len(RESERVED)]) != RESERVED:
            raise ValueError(
                f"{source} is no vocabulary of words: it does not begin with "
                f"{', '.join(RESERVED)}."
            )
        self.vocabulary = tuple(vocabulary)
        self.settings: dict[str, Any] = {"do_lower_case": do_lower_case}
        self._ids = {word: i for i, word in enumerate(self.vocabulary)}
        self._unknown = self._ids["[UNK]"]
        self._splitter = WordSplitter(do_lower_case)
        text = "\n".join([*self.vocabulary, f"words {do_lower_case=}"])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line."""
        return [
            [self._ids.get(word, self._unknown) for word in words]
            for words in self._splitter.split(lines)
        ]

    def join(
        self,
        first: Sequence[int],
        second: Sequence[int] | None,
        max_length: int,
    ) -> tuple[list[int], list[int]]:
        """Lay out one sentence or two, with nothing between or around them.

        Args:
            first: Ids.
            second: Those of the other sentence, or None.
            max_length: Words at most; cut as `Tokenizer.join` cuts.

        Returns:
            Ids, and 0 for each of the first sentence and 1 for each of the
            second, both `[length]`.
        """
        a, b = cut_to(first, second, max_length)
        return [*a, *b], [0] * len(a) + [1] * len(b)

    def files(self) -> dict[str, bytes]:
        """Returns `words.txt`."""
        text = "".join(f"{word}\n" for word in self.vocabulary)
        return {WORDS: text.encode()}


def read_words(path: str | pathlib.Path, settings: Mapping[str, Any]) -> Words:
    """Read a vocabulary of words.

    Args:
        path: A file with a word on each line, or a folder with `words.txt`.
        settings: May hold `do_lower_case` (true if not), and anything else.

    Raises:
        ValueError: The file holds no vocabulary of words.
        OSError: It cannot be read.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path /= WORDS
    return Words(
        read_vocabulary(path),
        do_lower_case=settings.get("do_lower_case", True),
        source=str(path),
    )
