"""Vectors of words, and the sentences that batches hold."""

import keras
import tensorflow as tf

from tfdistill.models.layers import (
    Embedding,
    Initializer,
    Linear,
    uniform,
)
from tfdistill.models.words.configuration import WordConfig

# What vectors that are not given are drawn from, as published.
VECTOR_LIMIT = 0.25


def drawn_vectors(seed: int) -> Initializer:
    """Returns the initializer of tables: U(-0.25, 0.25)."""
    return uniform(VECTOR_LIMIT, seed, "word_vectors")


class WordEmbedding(keras.layers.Layer):
    """The vectors of words in one table, or in two side by side."""

    def __init__(self, config: WordConfig, seed: int, name: str) -> None:
        """Make the tables, which all start from the same random vectors."""
        super().__init__(name=name)
        self.tables = [
            Embedding(
                config.vocabulary_size,
                config.vector_dim,
                drawn_vectors(seed),
                name=table,
                trainable=table != "static",
            )
            for table in config.tables
        ]
        self.built = True

    def call(self, ids: tf.Tensor) -> list[tf.Tensor]:
        """Look up `[…]` ids, giving `[…, D]` of each table."""
        return [table(ids) for table in self.tables]


def linear(input_dim: int, output_dim: int, seed: int, name: str) -> Linear:
    """Returns a linear map that starts from U(±1 / sqrt(input_dim))."""
    limit = input_dim**-0.5
    return Linear(
        input_dim,
        output_dim,
        uniform(limit, seed, f"{name}/kernel"),
        name=name,
        bias_initializer=uniform(limit, seed, f"{name}/bias"),
    )


def trimmed(ids: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Drop the padding that no sentence of a batch needs.

    A sentence without words is one of a `[PAD]`, as published.

    Args:
        ids: int32 `[B, L]`, 0 in the padding.
        counts: int32 `[B]`, words of each.

    Returns:
        `[B, T]`, and lengths `[B]` from 1 to T, one of which is T.
    """
    lengths = tf.maximum(counts, 1)
    return ids[:, : tf.reduce_max(lengths)], lengths


def one_sentence(
    features: dict[str, tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns ids `[B, T]` and lengths `[B]` of examples of one sentence.

    Args:
        features: `word_ids` and `word_mask`, int32 `[B, L]`.
    """
    counts = tf.reduce_sum(features["word_mask"], axis=1)
    return trimmed(features["word_ids"], counts)


def both_sentences(
    features: dict[str, tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Take the sentences of pairs apart.

    Args:
        features: `word_ids`, `word_mask` and `word_segments`, int32
            `[B, L]`; segments are 1 in the second sentence.

    Returns:
        Ids `[2 B, T]` and lengths `[2 B]`: all first sentences, then all
        second ones.
    """
    ids = features["word_ids"]
    size, length = ids.shape
    is_second = features["word_segments"]
    seconds = tf.reduce_sum(is_second, axis=1)
    firsts = tf.reduce_sum(features["word_mask"], axis=1) - seconds
    # Where the second sentence begins is where it shall stand: at 0.
    places = tf.range(length)[None] + firsts[:, None]
    moved = tf.gather(ids, tf.minimum(places, length - 1), batch_dims=1)
    moved = tf.where(tf.range(length)[None] < seconds[:, None], moved, 0)
    both = tf.concat([ids * (1 - is_second), moved], axis=0)
    both = tf.ensure_shape(both, [2 * size, length])
    return trimmed(both, tf.concat([firsts, seconds], axis=0))
