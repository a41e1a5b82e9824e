"""Word pieces that know whether a space stands before them.

WordPiece splits `don't.` into the same pieces as `don ' t .`; here all but
the first piece of what stands between spaces begin with `@@`, so that text
comes back from them exactly. BERT's own mark stays behind it: `@@##ing`.

A character that BERT has no piece for stands as itself, in no vocabulary, so
that it can be copied from a source to a target.

Text may be raw, or as Moses tokenises it: `&apos;` is then one character,
`@-@` and `<unk>` are pieces as they are, and the word `UNK` is `<unk>`.

Reference: Chen et al., "Distilling Knowledge Learned in BERT for Text
    Generation", 2020, the `bert_tokenize.py` of Distill-BERT-Textgen.
"""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

from tfdistill.text.moses import escape, unescape_word
from tfdistill.text.shared_pieces import SPECIAL, UNKNOWN_ID
from tfdistill.text.word_pieces import (
    VOCABULARY,
    WordPiece,
    normalize,
    read_vocabulary,
)

PIECES = "pieces.txt"
JOINED = "@@"
_INSIDE = "##"
# Of Moses text, what passes as it is, and how the unknown word is written.
_PASSING = ("<unk>", "@-@")
_UNKNOWN_WORD = "UNK"
_UNSPELLED = "[UNK]"
_MOST_WORDS = 1_000_000


class JoinMarks:
    """Word pieces with marks: see `SharedPieces` for what the methods do."""

    def __init__(
        self,
        vocabulary: Sequence[str],
        word_pieces: WordPiece,
        *,
        is_moses_tokenized: bool,
        source: str = "the vocabulary",
    ) -> None:
        """Make a tokenizer.

        Args:
            vocabulary: Marked pieces in the order of their ids; empty while
                it is to be learnt.
            word_pieces: What splits words.
            is_moses_tokenized: Whether text is as Moses writes it.
            source: Where the pieces are from, for messages.

        Raises:
            ValueError: The vocabulary does not begin with the special
                pieces.
        """
        if vocabulary and tuple(vocabulary[: len(SPECIAL)]) != SPECIAL:
            raise ValueError(
                f"{source} is no vocabulary of shared pieces: it does not "
                f"begin with {', '.join(SPECIAL)}."
            )
        self.vocabulary = tuple(vocabulary)
        self.settings: dict[str, Any] = {
            **word_pieces.settings,
            "is_moses_tokenized": is_moses_tokenized,
        }
        self._word_pieces = word_pieces
        self._is_moses = is_moses_tokenized
        self._ids = {piece: i for i, piece in enumerate(self.vocabulary)}
        self._known: dict[str, tuple[str, ...]] = {}
        text = "\n".join(
            [*self.vocabulary, word_pieces.fingerprint, f"{is_moses_tokenized}"]
        )
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """As `SharedPieces`.

        Raises:
            ValueError: Moses text holds an `&` that begins no escape.
        """
        rows = [normalize(line, False).split() for line in lines]
        if len(self._known) > _MOST_WORDS:
            self._known.clear()
        self._learn(sorted({w for row in rows for w in row} - {*self._known}))
        return [[p for word in row for p in self._known[word]] for row in rows]

    def _learn(self, words: Sequence[str]) -> None:
        """Find the pieces of words, and remember them."""
        parts: list[list[str]] = []
        for word in words:
            if not self._is_moses:
                parts.append([word])
            elif word == _UNKNOWN_WORD:
                parts.append([SPECIAL[UNKNOWN_ID]])
            else:
                parts.append(
                    [word] if word in _PASSING else unescape_word(word)
                )
        flat = [part for row in parts for part in row]
        spelled = iter(self._spelled(flat))
        for word, row in zip(words, parts, strict=True):
            pieces: list[str] = []
            for part in row:
                found = next(spelled)
                is_passing = self._is_moses and part in _PASSING
                pieces += [part] if is_passing else found
            self._known[word] = tuple(
                piece if i == 0 else JOINED + piece
                for i, piece in enumerate(pieces)
            )

    def _spelled(self, parts: Sequence[str]) -> list[list[str]]:
        """Returns the word pieces of strings, what has none as it is."""
        names = self._word_pieces.vocabulary
        spelled = [
            [names[i] for i in row] for row in self._word_pieces.tokenize(parts)
        ]
        odd = [n for n, row in enumerate(spelled) if _UNSPELLED in row]
        located = self._word_pieces.tokenize_with_offsets(
            [parts[n] for n in odd]
        )
        for n, (_, starts, ends) in zip(odd, located, strict=True):
            for place, piece in enumerate(spelled[n]):
                if piece == _UNSPELLED:
                    spelled[n][place] = parts[n][starts[place] : ends[place]]
        return spelled

    def ids(self, pieces: Sequence[str]) -> list[int]:
        """As `SharedPieces`."""
        return [self._ids.get(piece, UNKNOWN_ID) for piece in pieces]

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """As `SharedPieces`."""
        return [self.ids(pieces) for pieces in self.split(lines)]

    def detokenize(self, pieces: Sequence[str]) -> str:
        """As `SharedPieces`; marks in impossible places are dropped."""
        words: list[str] = []
        for piece in pieces:
            if piece in SPECIAL[UNKNOWN_ID + 1 :]:
                continue
            if piece == SPECIAL[UNKNOWN_ID] and self._is_moses:
                words.append(_UNKNOWN_WORD)
                continue
            is_inside = piece.startswith(JOINED) and piece not in _PASSING
            text = piece.removeprefix(JOINED) if is_inside else piece
            text = text.removeprefix(_INSIDE) or text
            if self._is_moses and text not in _PASSING:
                text = escape(text)
            if is_inside and words:
                words[-1] += text
            else:
                words.append(text)
        return " ".join(words)

    def word_piece(self, piece: str) -> str:
        """As `SharedPieces`."""
        return "-" if piece == "@-@" else piece.removeprefix(JOINED)

    def files(self) -> dict[str, bytes]:
        """Returns `pieces.txt` and the word pieces' `vocab.txt`."""
        text = "".join(f"{piece}\n" for piece in self.vocabulary)
        return {PIECES: text.encode()} | self._word_pieces.files()


def read_join_marks(
    path: pathlib.Path, *, do_lower_case: bool, is_moses_tokenized: bool
) -> JoinMarks:
    """Read `pieces.txt`, which has the word pieces' `vocab.txt` beside it.

    Raises:
        ValueError: One of them is no such vocabulary.
        OSError: One cannot be read.
    """
    beside = path.with_name(VOCABULARY)
    if not beside.exists():
        raise ValueError(
            f"{path} needs the word pieces that it is made of beside it, as "
            f"{VOCABULARY}."
        )
    word_pieces = WordPiece(
        read_vocabulary(beside), do_lower_case=do_lower_case, source=str(beside)
    )
    return JoinMarks(
        read_vocabulary(path),
        word_pieces,
        is_moses_tokenized=is_moses_tokenized,
        source=str(path),
    )
