"""Students that read words: `bilstm(hidden_dim=150, vectors=static, …)`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging

from tfdistill.models.words.configuration import (
    BiLstmConfig,
    ConvRnnConfig,
    KimCnnConfig,
    RecurrentConfig,
    SiameseBiLstmConfig,
    WordConfig,
    check_vectors,
)
from tfdistill.models.words.embedding import drawn_vectors
from tfdistill.text.word_vectors import read_word_vectors
from tfdistill.text.words import Words

_VECTOR_DIM = 300


@dataclasses.dataclass(frozen=True)
class WordStudent:
    """A configuration, and the tables of vectors if they were given.

    Attributes:
        config: Of the model.
        vectors: float32 `[V, D]` that every table starts from; None: they
            are drawn at random.
    """

    config: WordConfig
    vectors: np.ndarray | None


def bilstm(
    words: Words,
    seed: int,
    *,
    hidden_dim: int = 150,
    fc_dim: int = 200,
    rnn: str = "lstm",
    vectors: str = "random",
    vectors_file: str = "",
    vector_dim: int = 0,
    dropout: float = 0.1,
) -> WordStudent:
    """A bidirectional LSTM or GRU of one sentence.

    Args:
        words: The vocabulary.
        seed: Of the random vectors.
        hidden_dim: Width of the state of each direction.
        fc_dim: Width of the layer before the last one.
        rnn: `lstm` or `gru`.
        vectors: `random`, or of `vectors_file`: `static` (frozen),
            `non_static` (trained) or `multichannel` (both, side by side).
        vectors_file: Word vectors in GloVe's or word2vec's format.
        vector_dim: Width of a word's vector; 0: the file's, or 300.
        dropout: Rate before the last layer.

    Raises:
        ValueError: A value is out of range, `vectors` and `vectors_file` do
            not go together, or the file is damaged or of another width.
        OSError: The file cannot be read.
    """
    arguments = dict(locals())
    return _recurrent(BiLstmConfig, **arguments)


def siamese_bilstm(
    words: Words,
    seed: int,
    *,
    hidden_dim: int = 150,
    fc_dim: int = 200,
    rnn: str = "lstm",
    vectors: str = "random",
    vectors_file: str = "",
    vector_dim: int = 0,
    dropout: float = 0.1,
) -> WordStudent:
    """The same of both sentences of a pair; see `bilstm`."""
    arguments = dict(locals())
    return _recurrent(SiameseBiLstmConfig, **arguments)


def conv_rnn(
    words: Words,
    seed: int,
    *,
    hidden_dim: int = 150,
    num_feature_maps: int = 200,
    fc_dim: int = 200,
    rnn: str = "lstm",
    vectors: str = "random",
    vectors_file: str = "",
    vector_dim: int = 0,
    dropout: float = 0.1,
) -> WordStudent:
    """The same, with maxima over all words of maps of their states.

    Args: as `bilstm`, and `num_feature_maps`.
    """
    arguments = dict(locals())
    return _recurrent(ConvRnnConfig, **arguments)


def kim_cnn(
    words: Words,
    seed: int,
    *,
    num_filters: int = 100,
    vectors: str = "random",
    vectors_file: str = "",
    vector_dim: int = 0,
    dropout: float = 0.5,
) -> WordStudent:
    """Filters over three, four and five words of one sentence.

    Args: as `bilstm`, and `num_filters` of each width.
    """
    table = _vectors_of(words, seed, vectors, vectors_file, vector_dim)
    config = KimCnnConfig(
        vocabulary_size=len(words.vocabulary),
        vectors=vectors,
        vector_dim=_width(table, vector_dim),
        num_filters=num_filters,
        dropout=dropout,
    )
    return WordStudent(config, table)


WORD_STUDENTS: Mapping[str, Callable[..., WordStudent]] = {
    "bilstm": bilstm,
    "siamese_bilstm": siamese_bilstm,
    "kim_cnn": kim_cnn,
    "conv_rnn": conv_rnn,
}


def _recurrent(
    kind: type[RecurrentConfig],
    *,
    words: Words,
    seed: int,
    vectors: str,
    vectors_file: str,
    vector_dim: int,
    **fields: Any,
) -> WordStudent:
    table = _vectors_of(words, seed, vectors, vectors_file, vector_dim)
    config = kind(
        vocabulary_size=len(words.vocabulary),
        vectors=vectors,
        vector_dim=_width(table, vector_dim),
        **fields,
    )
    return WordStudent(config, table)


def _width(table: np.ndarray | None, vector_dim: int) -> int:
    return vector_dim or (_VECTOR_DIM if table is None else table.shape[1])


def _vectors_of(
    words: Words, seed: int, vectors: str, vectors_file: str, vector_dim: int
) -> np.ndarray | None:
    """Read a vocabulary's vectors; words that have none get random ones."""
    check_vectors(vectors)
    if vectors == "random":
        if vectors_file:
            raise ValueError(
                f"vectors=random reads no vectors_file={vectors_file!r}; "
                "static, non_static and multichannel do."
            )
        return None
    if not vectors_file:
        raise ValueError(
            f"vectors={vectors} needs vectors_file='…', a file of word vectors."
        )
    wanted = frozenset(words.vocabulary)
    found = read_word_vectors(vectors_file, wanted=wanted)
    width = found.vectors.shape[1]
    if vector_dim not in (0, width):
        raise ValueError(
            f"{vectors_file} has vectors of {width} numbers, not of "
            f"vector_dim={vector_dim}."
        )
    logging.info(
        "%s has vectors of %s of %s words; the others' are random.",
        vectors_file,
        f"{len(found.words):,}",
        f"{len(words.vocabulary):,}",
    )
    table = drawn_vectors(seed)((len(words.vocabulary), width)).numpy()
    for row, word in enumerate(words.vocabulary):
        if word in found.rows:
            table[row] = found.vectors[found.rows[word]]
    return table
