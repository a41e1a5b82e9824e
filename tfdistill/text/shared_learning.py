"""Learns the pieces that source and target share."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfdistill.text.join_marks import PIECES, JoinMarks
from tfdistill.text.moses import unescape_word
from tfdistill.text.sentence_pieces import (
    MODEL,
    SentencePieces,
    learn_sentence_pieces,
)
from tfdistill.text.shared_pieces import SharedPieces, shared_vocabulary
from tfdistill.text.vocabulary import WordCounter, learn_vocabulary
from tfdistill.text.word_pieces import (
    WordPiece,
    normalize,
    read_vocabulary,
)


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
        do_lower_case: Whether text is lower-cased and stripped of accents.
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
        plain = [normalize(line, do_lower_case) for line in lines]
        model = learn_sentence_pieces(plain, vocab_size)
        pieces = SentencePieces(model, do_lower_case=do_lower_case)
        return Learnt({name: model}, len(pieces.vocabulary))
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
    shared = shared_vocabulary(unnamed.split(lines))
    text = "".join(f"{piece}\n" for piece in shared)
    files = {name: text.encode(), **word_pieces.files()}
    return Learnt(files, len(shared))
