"""Recurrent models of words: of one sentence, of pairs, with feature maps."""

from collections.abc import Collection

import keras
import tensorflow as tf

from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import Outputs
from tfdistill.models.words.configuration import (
    ConvRnnConfig,
    RecurrentConfig,
)
from tfdistill.models.words.embedding import (
    WordEmbedding,
    both_sentences,
    linear,
    one_sentence,
)
from tfdistill.models.words.recurrence import Bidirectional


class Encoder(keras.layers.Layer):
    """What is made of the states of a bidirectional recurrence."""

    def __init__(self, config: RecurrentConfig, seed: int) -> None:
        """Make an encoder with weights drawn from `seed`."""
        super().__init__(name="encoder")
        self.config = config
        self.embedding = WordEmbedding(config, seed, "embedding")
        self.rnn = Bidirectional(
            config.rnn, config.word_dim, config.hidden_dim, seed
        )
        if isinstance(config, ConvRnnConfig):
            self.maps = linear(
                2 * config.hidden_dim, config.num_feature_maps, seed, "maps"
            )
        self.built = True

    def call(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """Encode a batch: `[B, feature_dim]`."""
        if self.config.is_pair:
            _, last = self._states(*both_sentences(features))
            return compared(*tf.split(last, 2))
        ids, lengths = one_sentence(features)
        states, last = self._states(ids, lengths)
        if not isinstance(self.config, ConvRnnConfig):
            return last
        return tf.concat([self._most(states, lengths), last], axis=-1)

    def _states(
        self, ids: tf.Tensor, lengths: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self.rnn(self.embedding(tf.transpose(ids)), lengths)

    def _most(self, states: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Returns maxima over all words of maps of `[T, B, 2 h]`."""
        steps, batch, width = tf.unstack(tf.shape(states))
        maps = tf.nn.relu(self.maps(tf.reshape(states, [-1, width])))
        maps = tf.reshape(maps, [steps, batch, self.maps.bias.shape[0]])
        is_word = tf.transpose(tf.sequence_mask(lengths, steps))[..., None]
        # Maps are at least 0, so padding is the largest nowhere.
        return tf.reduce_max(tf.where(is_word, maps, 0.0), axis=0)


def compared(u: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """Returns `[B, 4 D]` of two sentences `[B, D]`: u, v, |u - v|, u * v."""
    return tf.concat([u, v, tf.abs(u - v), u * v], axis=-1)


class RecurrentModel(keras.layers.Layer):
    """A recurrent encoder, a layer with ReLU, dropout, and a classifier.

    Attributes:
        config: Its shape.
        parts: What it is made of, keys of `models.weights.PARTS`.
    """

    parts = frozenset({"encoder", "pooler", "classifier"})

    def __init__(
        self,
        config: RecurrentConfig,
        seed: int = 0,
        heads: Collection[str] = ("classifier",),
    ) -> None:
        """Make a model with weights drawn from `seed`.

        Args:
            config: One of the configurations of recurrent models.
            seed: Of the weights.
            heads: A classifier is what there is, whatever is asked for.
        """
        super().__init__(name="words")
        self.config = config
        self.encoder = Encoder(config, seed)
        self.pooler = linear(config.feature_dim, config.fc_dim, seed, "pooler")
        self.classifier = linear(
            config.fc_dim, config.num_classes, seed, "classifier"
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
            features: `word_ids`, `word_mask` and, for pairs,
                `word_segments`, int32 `[B, L]` with a static shape.
            reads: Fields of `Outputs`: `logits` are what there is.
            noise: Dropout, or None for inference.
        """
        size = features["word_ids"].shape[0]
        x = tf.nn.relu(self.pooler(self.encoder(features)))
        x = tf.ensure_shape(x, [size, self.config.fc_dim])
        if noise is not None:
            x = noise.drop(x, self.config.dropout, size)
        return {"logits": self.classifier(x)}
