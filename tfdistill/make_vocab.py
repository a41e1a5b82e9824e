"""The command that learns a WordPiece vocabulary from text.

    python -m tfdistill.make_vocab --text=DIR --vocab_file=FILE

The same text and options give the same vocabulary, byte by byte.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from absl import logging

from tfdistill.config import run_command
from tfdistill.config.options import Artefacts, Corpus
from tfdistill.progress import Progress
from tfdistill.text.documents import read_documents, text_files


def make_vocab(artefacts: Artefacts, corpus: Corpus) -> dict[str, Any]:
    """Learn a WordPiece vocabulary from text.

    Args:
        artefacts: Reads `text`, writes `vocab_file`.
        corpus: Uses `vocab_size`, the most pieces there may be, and
            `do_lower_case`.

    Returns:
        The number of pieces, of words counted and of distinct words.

    Raises:
        OSError: A file is missing or cannot be written.
        ValueError: The text is empty or not UTF-8, or the vocabulary file
            exists and holds other pieces.
    """
    # TensorFlow takes seconds to load; bad paths are refused before that.
    files = text_files(artefacts.text)
    target = Path(artefacts.vocab_file)
    if target.is_dir():
        raise ValueError(f"{target}: is a folder, not a file.")
    if target.exists():
        logging.info("%s exists; it will be compared, not replaced.", target)

    from tfdistill.text import vocabulary

    counter = vocabulary.WordCounter(corpus.do_lower_case)
    total = sum(file.stat().st_size for file in files)
    with Progress("counting words", total, unit="B", scale=True) as bar:
        for document in read_documents(files):
            counter.add(document)
            bar.advance(sum(len(line.encode()) + 1 for line in document) + 1)
    words = counter.words()
    if not words:
        raise ValueError(f"{artefacts.text}: holds no words.")
    logging.info("Learning from %s distinct words.", f"{len(words):,}")
    with Progress("learning", None, unit=" thresholds") as bar:

        def show(threshold: int, size: int) -> None:
            bar.advance(1, f"{size:,} pieces occur {threshold:,} times")

        pieces = vocabulary.learn_vocabulary(words, corpus.vocab_size, show)
    left_out = vocabulary.characters_left_out(words, pieces)
    if left_out:
        logging.warning(
            "%d rare characters have no piece; words with them become "
            "[UNK]. A larger --vocab_size may hold them.",
            left_out,
        )
    _write(target, pieces)
    return {
        "pieces": len(pieces),
        "words": words.total(),
        "distinct_words": len(words),
        "characters_left_out": left_out,
    }


def _write(target: Path, pieces: list[str]) -> None:
    data = "".join(f"{piece}\n" for piece in pieces).encode()
    if target.exists():
        if target.read_bytes() != data:
            raise ValueError(
                f"{target}: exists and holds another vocabulary. Choose "
                "another --vocab_file, or remove it."
            )
        logging.info("%s holds this vocabulary already.", target)
        return
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise OSError(
            f"{target}: cannot write: {error.strerror or error}"
        ) from error


if __name__ == "__main__":
    run_command(
        make_vocab,
        Artefacts,
        Corpus,
        needs=("text", "vocab_file"),
        example="--text=text --vocab_file=vocab.txt",
    )
