"""The command that learns a vocabulary: pieces from text, words from tables.

    python -m tfdistill.make_vocab --text=DIR --vocab_file=FILE
    python -m tfdistill.make_vocab --task=sst2 --data_dir=SST-2 \
        --words_file=FILE
    python -m tfdistill.make_vocab --task=sst2 --data_dir=SST-2 \
        --records_for=causal_lm --vocab_file=vocab.json
    python -m tfdistill.make_vocab --task=translation --source_file=FILE \
        --target_file=FILE --vocab_file=pieces.txt

Where --words_file is given, it is the words of a task's train, dev and test
tables, with --input in the place of train, for students that read word
vectors. With --records_for=causal_lm it is that of a language model of the
sentences to train on: byte-level BPE where the file's name ends with .json,
else their words. Of translation and summarisation, it is the pieces that
source and target share: a SentencePiece model where --vocab_file is named
….model, else word pieces with join marks in a file named pieces.txt, made of
the word pieces of --word_pieces_file or of new ones, which are kept beside it.
The same text and options give the same vocabulary, byte by byte.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import logging

from tfdistill.config import FlagNeededError, run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    General,
    ParallelText,
    Tables,
)
from tfdistill.progress import Progress
from tfdistill.text.documents import read_documents, text_files

# TensorFlow takes seconds to load, and with it the tasks' own names.
_OF_PAIRS = ("translation", "summarisation")


def make_vocab(
    artefacts: Artefacts,
    general: General,
    corpus: Corpus,
    tables: Tables,
    parallel: ParallelText | None = None,
) -> dict[str, Any]:
    """Learn a vocabulary: pieces from text, or words from a task's tables.

    Args:
        artefacts: Reads `text` and writes `vocab_file`; where `words_file`
            is given, writes that and reads the tables of `data_dir`, with
            `input` for that to train on.
        general: Uses `task`, of tables.
        corpus: Uses `do_lower_case`, `vocab_size`, the most pieces there
            may be, and `min_word_count`.
        tables: Where tables of one's own have what.
        parallel: Which pairs are of use.

    Returns:
        The number of pieces or words in the vocabulary, of words counted
        and of distinct words.

    Raises:
        OSError: A file is missing or cannot be written.
        ValueError: The text is empty or not UTF-8, a table is damaged, or
            the vocabulary file exists and holds another one.
    """
    if general.task in _OF_PAIRS:
        return _make_shared_pieces(
            artefacts, general, corpus, tables, parallel or ParallelText()
        )
    if artefacts.words_file:
        return _make_words(artefacts, general, corpus, tables)
    if tables.are_for_causal_lm:
        return _make_causal(artefacts, general, corpus, tables)
    for name in ("text", "vocab_file"):
        if not getattr(artefacts, name):
            raise FlagNeededError(name)
    # TensorFlow takes seconds to load; bad paths are refused before that.
    files = text_files(artefacts.text)
    target = _target(artefacts.vocab_file)

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
    _write(target, _lines(pieces), "vocab_file")
    return {
        "pieces": len(pieces),
        "words": words.total(),
        "distinct_words": len(words),
        "characters_left_out": left_out,
    }


def _make_words(
    artefacts: Artefacts, general: General, corpus: Corpus, tables: Tables
) -> dict[str, Any]:
    if not artefacts.data_dir:
        raise FlagNeededError("data_dir")
    target = _target(artefacts.words_file)

    from tfdistill.tasks.own_task import find_sentence_task
    from tfdistill.tasks.transfer_tables import tables_of
    from tfdistill.text.tables import read_table
    from tfdistill.text.words import count_words, word_vocabulary

    task = find_sentence_task(general.task, artefacts.data_dir, tables)
    sources = tables_of(task, artefacts.data_dir, artefacts.input)

    def lines() -> Iterator[str]:
        with Progress("counting words", None, unit=" rows") as bar:
            for path, columns in sources:
                for row in read_table(path, columns):
                    yield row.first
                    if row.second is not None:
                        yield row.second
                    bar.advance(1)

    counts = count_words(lines(), corpus.do_lower_case)
    words = word_vocabulary(counts, corpus.min_word_count)
    _write(target, _lines(words), "words_file")
    return {
        "words_file": artefacts.words_file,
        "tables": [str(path) for path, _ in sources],
        "vocabulary": len(words),
        "words": counts.total(),
        "distinct_words": len(counts),
    }


def _make_causal(
    artefacts: Artefacts, general: General, corpus: Corpus, tables: Tables
) -> dict[str, Any]:
    for name in ("data_dir", "vocab_file"):
        if not getattr(artefacts, name):
            raise FlagNeededError(name)
    target = _target(artefacts.vocab_file)

    from tfdistill.tasks.own_task import find_sentence_task
    from tfdistill.tasks.transfer_tables import table_of
    from tfdistill.text.byte_pairs import MERGES, VOCABULARY
    from tfdistill.text.causal import (
        CausalTokenizer,
        count_words,
        learn_byte_pairs,
        learn_words,
    )
    from tfdistill.text.tables import read_table, sentences_of

    task = find_sentence_task(general.task, artefacts.data_dir, tables)
    path, columns = table_of(task, artefacts.data_dir, "train", artefacts.input)
    lines = [
        sentence
        for row in read_table(path, columns)
        for sentence in sentences_of(row)
    ]
    learnt: CausalTokenizer
    if target.suffix == ".json":
        learnt = learn_byte_pairs(lines, corpus.vocab_size)
        files = learnt.files()
        # The file that models look for last says that all are there.
        _write(target.with_name(MERGES), files[MERGES], "vocab_file")
        _write(target, files[VOCABULARY], "vocab_file")
    else:
        learnt = learn_words(count_words(lines), corpus.min_word_count)
        (content,) = learnt.files().values()
        _write(target, content, "vocab_file")
    return {
        "vocab_file": artefacts.vocab_file,
        "table": str(path),
        "vocabulary": len(learnt.vocabulary),
        "sentences": len(lines),
    }


def _make_shared_pieces(
    artefacts: Artefacts,
    general: General,
    corpus: Corpus,
    tables: Tables,
    parallel: ParallelText,
) -> dict[str, Any]:
    if not artefacts.vocab_file:
        raise FlagNeededError("vocab_file")
    target = _target(artefacts.vocab_file)

    from tfdistill.tasks.generation_records import training_pairs
    from tfdistill.text.shared_learning import learn_shared_pieces

    pairs = training_pairs(artefacts, tables, parallel)
    lines = [text for pair in pairs for text in (pair.source, pair.target)]
    with Progress("learning", None, unit=" steps"):
        files = learn_shared_pieces(
            lines,
            target.name,
            word_pieces_file=artefacts.word_pieces_file,
            vocab_size=corpus.vocab_size,
            do_lower_case=corpus.do_lower_case,
            is_moses_tokenized=parallel.is_moses_tokenized,
        )
    for name, content in files.content.items():
        _write(target.with_name(name), content, "vocab_file")
    return {
        "vocab_file": artefacts.vocab_file,
        "pieces": files.pieces,
        "pairs": len(pairs),
    }


def _target(path: str) -> Path:
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"{target}: is a folder, not a file.")
    if target.exists():
        logging.info("%s exists; it will be compared, not replaced.", target)
    return target


def _lines(pieces: list[str]) -> bytes:
    return "".join(f"{piece}\n" for piece in pieces).encode()


def _write(target: Path, data: bytes, flag: str) -> None:
    if target.exists():
        if target.read_bytes() != data:
            raise ValueError(
                f"{target}: exists and holds another vocabulary. Choose "
                f"another --{flag}, or remove it."
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
        General,
        Corpus,
        Tables,
        ParallelText,
        needs=(),
        examples=(
            "--text=text --vocab_file=vocab.txt",
            "--task=sst2 --data_dir=data/SST-2 --words_file=words.txt",
        ),
    )
