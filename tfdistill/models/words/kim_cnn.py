"""The convolutional model of words.

Reference: Kim, "Convolutional Neural Networks for Sentence Classification",
    2014.
"""

from collections.abc import Collection

import keras
import tensorflow as tf

from tfdistill.models.layers import uniform
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import Outputs
from tfdistill.models.words.configuration import WIDTHS, KimCnnConfig
from tfdistill.models.words.embedding import (
    WordEmbedding,
    linear,
    one_sentence,
)


class Convolution(keras.layers.Layer):
    """Filters over a few words each, and their maxima over time."""

    def __init__(self, config: KimCnnConfig, width: int, seed: int) -> None:
        """Make filters from Xavier's uniform distribution.

        A word's numbers count as positions of a filter, tables as its
        channels.
        """
        name = f"width_{width}"
        super().__init__(name=name)
        self.width = width
        filters = config.num_filters
        channels = len(config.tables)
        positions = width * config.vector_dim
        xavier = (6 / (positions * (channels + filters))) ** 0.5
        self.kernel = self.add_weight(
            shape=(width, config.word_dim, filters),
            initializer=uniform(xavier, seed, f"{name}/kernel"),
            name="kernel",
        )
        limit = (positions * channels) ** -0.5
        self.bias = self.add_weight(
            shape=(filters,),
            initializer=uniform(limit, seed, f"{name}/bias"),
            name="bias",
        )
        self.built = True

    def call(self, x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Run over sentences, from before their first word to behind their last.

        Args:
            x: `[B, T, word_dim]`, zeros in the padding.
            lengths: int32 `[B]`, 1 to T.

        Returns:
            `[B, filters]`: the maximum over a sentence's `length + width -
            1` places, at least 0.
        """
        outside = self.width - 1
        x = tf.pad(x, [[0, 0], [outside, outside], [0, 0]])
        found = tf.nn.conv1d(x, self.kernel.value, stride=1, padding="VALID")
        found = tf.nn.relu(tf.nn.bias_add(found, self.bias.value))
        is_place = tf.sequence_mask(lengths + outside, tf.shape(found)[1])
        return tf.reduce_max(tf.where(is_place[..., None], found, 0.0), axis=1)


class Convolutions(keras.layers.Layer):
    """Filters of all widths."""

    def __init__(self, config: KimCnnConfig, seed: int) -> None:
        """Make filters with weights drawn from `seed`."""
        super().__init__(name="pooler")
        self.convolutions = [Convolution(config, w, seed) for w in WIDTHS]
        self.built = True

    def call(self, x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """As `Convolution`, of all widths side by side."""
        return tf.concat([c(x, lengths) for c in self.convolutions], axis=-1)


class KimCnn(keras.layers.Layer):
    """Vectors of words, filters with maxima over time, dropout, a classifier.

    Attributes:
        config: Its shape.
        parts: What it is made of, keys of `models.weights.PARTS`.
    """

    parts = frozenset({"encoder", "pooler", "classifier"})

    def __init__(
        self,
        config: KimCnnConfig,
        seed: int = 0,
        heads: Collection[str] = ("classifier",),
    ) -> None:
        """Make a model with weights drawn from `seed`.

        Args:
            config: Its shape.
            seed: Of the weights.
            heads: A classifier is what there is, whatever is asked for.
        """
        super().__init__(name="words")
        self.config = config
        self.encoder = WordEmbedding(config, seed, "encoder")
        self.pooler = Convolutions(config, seed)
        self.classifier = linear(
            config.feature_dim, config.num_classes, seed, "classifier"
        )
        self.built = True

    def call(
        self,
        features: dict[str, tf.Tensor],
        reads: frozenset[str],
        noise: DropoutNoise | None = None,
    ) -> Outputs:
        """Run the model.

        Args:
            features: `word_ids` and `word_mask`, int32 `[B, L]` with a
                static shape.
            reads: Fields of `Outputs`: `logits` are what there is.
            noise: Dropout, or None for inference.
        """
        size = features["word_ids"].shape[0]
        ids, lengths = one_sentence(features)
        is_word = tf.sequence_mask(lengths, tf.shape(ids)[1])[..., None]
        words = tf.where(is_word, tf.concat(self.encoder(ids), -1), 0.0)
        x = tf.ensure_shape(
            self.pooler(words, lengths), [size, self.config.feature_dim]
        )
        if noise is not None:
            x = noise.drop(x, self.config.dropout, size)
        return {"logits": self.classifier(x)}
