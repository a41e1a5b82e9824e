"""Learns the pieces that source and target share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfdistill.files import read_json
from tfdistill.text.join_marks import PIECES, JoinMarks
from tfdistill.text.moses import unescape_word
from tfdistill.text.sentence_pieces import (
    MODEL,
    SentencePieces,
    learn_sentence_pieces,
    plain_lines,
)
from tfdistill.text.shared_pieces import SharedPieces, shared_vocabulary
from tfdistill.text.vocabulary import WordCounter, learn_vocabulary
from tfdistill.text.word_pieces import WordPiece, read_vocabulary

# Of the file beside a vocabulary that says how it was learnt.
_NOTE = ".json"


class Learnt(NamedTuple):
    """What was learnt.

    Attributes:
        content: Files by name.
        pieces: How many there are.
    """

    content: dict[str, bytes]
    pieces: int


def learn_shared_pieces(
    lines: Sequence[str],
    name: str,
    *,
    word_pieces_file: str,
    vocab_size: int,
    do_lower_case: bool,
    is_moses_tokenized: bool,
) -> Learnt:
    """Learn pieces; the same lines give the same files.

    Args:
        lines: Of sources and targets.
        name: Of the vocabulary: `….model` is SentencePiece, `…pieces.txt`
            word pieces with join marks.
        word_pieces_file: A WordPiece vocabulary; "": one is learnt.
        vocab_size: Pieces of SentencePiece, or of what is learnt, at most.
        do_lower_case: Whether text is lower-cased and, for word pieces,
            stripped of accents.
        is_moses_tokenized: Whether text is as Moses writes it.

    Raises:
        ValueError: The name says neither, or there is nothing to learn from.
        OSError: The word pieces cannot be read.
    """
    pieces: SharedPieces
    if name.endswith(Path(MODEL).suffix):
        if word_pieces_file or is_moses_tokenized:
            raise ValueError(
                "Word pieces and text of Moses are for pieces with join marks, "
                f"which need a --vocab_file named {PIECES}, not {name}."
            )
        plain = plain_lines(lines, do_lower_case)
        model = learn_sentence_pieces(plain, vocab_size)
        pieces = SentencePieces(model, do_lower_case=do_lower_case)
        return _learnt({name: model}, name, pieces)
    if not name.endswith(PIECES):
        raise ValueError(
            f"--vocab_file={name} is named neither …{PIECES}, of word pieces "
            f"with join marks, nor ….model, of SentencePiece."
        )
    vocabulary: Sequence[str]
    if word_pieces_file:
        vocabulary = read_vocabulary(word_pieces_file)
    else:
        counter = WordCounter(do_lower_case)
        for line in lines:
            words = line.split()
            if is_moses_tokenized:
                words = [part for word in words for part in unescape_word(word)]
            counter.add([" ".join(words)])
        vocabulary = learn_vocabulary(counter.words(), vocab_size)
    word_pieces = WordPiece(
        vocabulary,
        do_lower_case=do_lower_case,
        source=word_pieces_file or "the vocabulary",
    )
    unnamed = JoinMarks((), word_pieces, is_moses_tokenized=is_moses_tokenized)
    # What word pieces cannot spell is no piece of text either.
    known = {*vocabulary, "-"}
    shared = shared_vocabulary(
        [piece for piece in line if unnamed.word_piece(piece) in known]
        for line in unnamed.split(lines)
    )
    pieces = JoinMarks(
        shared, word_pieces, is_moses_tokenized=is_moses_tokenized
    )
    files = pieces.files()
    shared_text = files.pop(PIECES)
    return _learnt({**files, name: shared_text}, name, pieces)


def check_learnt(path: str, pieces: SharedPieces) -> None:
    """Refuse pieces that are read otherwise than they were learnt.

    Args:
        path: Of the vocabulary. One that was learnt elsewhere has no note
            beside it, and passes.
        pieces: What was read from there.

    Raises:
        ValueError: Settings differ, or a file was changed.
    """
    note = Path(f"{path}{_NOTE}")
    if not note.exists():
        return
    learnt = read_json(note)
    for name, value in pieces.settings.items():
        if learnt.get(name) != value:
            raise ValueError(
                f"{path} was learnt with --{name}={_flag(learnt.get(name))}, "
                f"not {_flag(value)}."
            )
    if learnt.get("fingerprint") != pieces.fingerprint:
        raise ValueError(
            f"{path}, or what is beside it, was changed after it was learnt."
        )


def _learnt(
    content: dict[str, bytes], name: str, pieces: SharedPieces
) -> Learnt:
    note = {**pieces.settings, "fingerprint": pieces.fingerprint}
    text = json.dumps(note, indent=2) + "\n"
    return Learnt(
        # Once the vocabulary is there, all that it needs is there, too.
        {f"{name}{_NOTE}": text.encode()} | content,
        len(pieces.vocabulary),
    )


def _flag(value: object) -> str:
    return str(value).lower()
