"""What a tokenizer is, and where its files are read."""

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tfdistill.text import byte_pairs, join_marks, word_pieces
from tfdistill.text import sentence_pieces as sentence
from tfdistill.text.byte_pairs import read_byte_pairs
from tfdistill.text.causal import CausalTokenizer, read_causal_tokenizer
from tfdistill.text.offsets import LocatedPieces
from tfdistill.text.shared_pieces import SharedPieces
from tfdistill.text.word_pieces import WordPiece, read_vocabulary


class Tokenizer(Protocol):
    """Text to ids, and ids to what a model reads.

    Attributes:
        vocabulary: The pieces; a piece's id is its index.
        settings: What its files do not say, as JSON values by the names
            that `read_tokenizer` looks for.
        cls_id, sep_id, mask_id: Ids of the special pieces.
        continues_word: bool `[V]`, true for pieces inside a word.
        fingerprint: Changes with anything that changes ids.
    """

    vocabulary: tuple[str, ...]
    settings: dict[str, Any]
    cls_id: int
    sep_id: int
    mask_id: int
    continues_word: np.ndarray
    fingerprint: str

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, without special pieces."""
        ...

    def tokenize_with_offsets(
        self, lines: Sequence[str]
    ) -> list[LocatedPieces]:
        """Returns the ids of each line and where their pieces stand in it.

        Places are characters of the line as it was given, whatever is
        normalised away, so that a piece's text can be cut out of it.
        """
        ...

    def join(
        self,
        first: Sequence[int],
        second: Sequence[int] | None,
        max_length: int,
    ) -> tuple[list[int], list[int]]:
        """Lay out one sentence or two for a model.

        What is too long is cut at its end: a pair loses one token at a time
        from the longer sentence, or from the second if both are as long.

        Args:
            first: Ids without special pieces.
            second: Those of the other sentence, or None; an empty one is
                laid out as a pair.
            max_length: Tokens at most, special ones included.

        Returns:
            Ids and segment ids, both `[length]`.

        Raises:
            ValueError: The special pieces alone are longer.
        """
        ...

    def files(self) -> dict[str, bytes]:
        """Returns what a folder keeps of it: files by name."""
        ...


def read_tokenizer(
    path: str | pathlib.Path, settings: Mapping[str, Any]
) -> Tokenizer:
    """Read a tokenizer from its files.

    Args:
        path: A folder with `vocab.txt`, or with `vocab.json` and
            `merges.txt`; or a vocabulary itself, where one named `….json`
            has its `merges.txt` beside it.
        settings: May hold `do_lower_case` (true if not), `add_prefix_space`
            (false if not), and anything else.

    Raises:
        ValueError: The files hold no vocabulary with the special pieces.
        OSError: They cannot be read.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        is_byte_level = (path / byte_pairs.VOCABULARY).exists()
        path /= (
            byte_pairs.VOCABULARY if is_byte_level else word_pieces.VOCABULARY
        )
    if path.suffix == ".json":
        return read_byte_pairs(
            path, add_prefix_space=bool(settings.get("add_prefix_space"))
        )
    return WordPiece(
        read_vocabulary(path),
        do_lower_case=settings.get("do_lower_case", True),
        source=str(path),
    )


# Of any task: what models of BERT, of texts to be written, and of language read.
Pieces = Tokenizer | SharedPieces | CausalTokenizer


def read_pieces(
    path: str | pathlib.Path, settings: Mapping[str, Any]
) -> Pieces:
    """Read the pieces of any task from their files.

    Args:
        path: As `read_tokenizer`; or a folder with `pieces.model`, or with
            `pieces.txt` and `vocab.txt`; or a file named `….model`, or
            `…pieces.txt` with `vocab.txt` beside it; of a language model as
            `read_causal_tokenizer`.
        settings: As `read_tokenizer`, and `is_moses_tokenized` and
            `is_causal`, which is that of a language model, and
            `is_conditional`, of second sentences (both false if not there).

    Raises:
        ValueError: The files hold no vocabulary with the special pieces.
        OSError: They cannot be read.
    """
    if settings.get("is_causal"):
        return read_causal_tokenizer(
            path, is_conditional=bool(settings.get("is_conditional"))
        )
    path = pathlib.Path(path)
    for name in (sentence.MODEL, join_marks.PIECES):
        if path.is_dir() and (path / name).exists():
            path /= name
    do_lower_case = settings.get("do_lower_case", True)
    if path.suffix == pathlib.Path(sentence.MODEL).suffix:
        return sentence.read_sentence_pieces(path, do_lower_case=do_lower_case)
    if path.name.endswith(join_marks.PIECES):
        return join_marks.read_join_marks(
            path,
            do_lower_case=do_lower_case,
            is_moses_tokenized=bool(settings.get("is_moses_tokenized")),
        )
    return read_tokenizer(path, settings)


def shared_tokenizer(
    path: str | pathlib.Path, settings: Mapping[str, Any]
) -> Tokenizer:
    """Returns what `read_tokenizer` does, read once in a process."""
    return _read_once(str(path), json.dumps(dict(settings), sort_keys=True))


@functools.cache
def _read_once(path: str, settings: str) -> Tokenizer:
    return read_tokenizer(path, json.loads(settings))
