"""The decoder of Transformer-XL: relative positions, segments, memory.

A text is computed segment by segment. A segment sees the states of up to M
tokens before it, through which no gradient flows, and attention knows how far
away a token is, not where it stands.

What tells how far: sines and cosines of the distance, the first half of the
width sines. Each layer has biases of its own, as the model that was published
with its weights has. Input and output share one table.

Reference: Dai et al., "Transformer-XL: Attentive Language Models beyond a
    Fixed-Length Context", 2019, sections 3.2 and 3.3.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfdistill.models.causal.attention import causal_bias, drop
from tfdistill.models.causal.configuration import TransformerXlConfig
from tfdistill.models.layers import (
    Embedding,
    Initializer,
    LayerNorm,
    Linear,
    truncated_normal,
)
from tfdistill.models.noise import DropoutNoise

_LONGEST_WAVE = 10_000.0


class TransformerXlLayer(keras.layers.Layer):
    """Relative attention and feed-forward, with layer norms behind them."""

    def __init__(
        self, config: TransformerXlConfig, seed: int, index: int
    ) -> None:
        """Make layer `index` with weights drawn from `seed`."""
        name = f"layer_{index}"
        super().__init__(name=name)
        self.config = config
        dim, inner = config.hidden_dim, config.intermediate_dim

        def drawn(part: str) -> Initializer:
            return truncated_normal(
                config.initializer_range, seed, f"{name}/{part}"
            )

        def matrix(part: str, *shape: int) -> keras.Variable:
            return self.add_weight(
                shape=shape, initializer=drawn(part), name=part
            )

        # One product for queries, keys and values, in this order.
        self.qkv = matrix("qkv", dim, 3 * dim)
        self.distances = matrix("distances", dim, dim)
        self.content_bias = matrix("content_bias", dim)
        self.distance_bias = matrix("distance_bias", dim)
        self.attention_output = matrix("attention_output", dim, dim)
        epsilon = config.layer_norm_epsilon
        self.attention_norm = LayerNorm(dim, epsilon, "attention_layer_norm")
        self.intermediate = Linear(
            dim, inner, drawn("intermediate"), name="intermediate"
        )
        self.output_dense = Linear(inner, dim, drawn("output"), name="output")
        self.output_norm = LayerNorm(dim, epsilon, "output_layer_norm")
        self.built = True

    def call(
        self,
        x: tf.Tensor,
        length: int,
        before: tf.Tensor | None = None,
        noise: DropoutNoise | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Run the layer on tokens that follow others.

        Args:
            x: `[B * L, D]`, flat tokens.
            length: L.
            before: Keys and values of tokens before, `[2, B, H, T, d]`;
                None: there are none.
            noise: Dropout, or None for inference.

        Returns:
            The tokens, `[B * L, D]`, and keys and values of all tokens,
            `[2, B, H, T + L, d]`.
        """
        config = self.config
        heads, dim = config.num_heads, config.head_dim
        qkv = tf.matmul(x, self.qkv.value)
        qkv = tf.transpose(
            tf.reshape(qkv, [-1, length, 3, heads, dim]), [2, 0, 3, 1, 4]
        )
        seen = qkv[1:]
        if before is not None:
            seen = tf.concat([before, seen], axis=3)
        width = seen.shape[3] or tf.shape(seen)[3]
        scores = tf.matmul(
            qkv[0] + _by_head(self.content_bias.value, heads),
            seen[0],
            transpose_b=True,
        )
        far = tf.matmul(sinusoids(width, config.hidden_dim), self.distances)
        far = tf.reshape(far, [width, heads, dim])
        # A product that broadcasts corrupts memory in TensorFlow 2.20's oneDNN.
        by_distance = tf.einsum(
            "bhld,whd->bhlw",
            qkv[0] + _by_head(self.distance_bias.value, heads),
            far,
        )
        scores += shifted(by_distance, length, width)
        scores = scores * dim**-0.5 + causal_bias(length, width)
        probs = drop(tf.nn.softmax(scores), config, noise)
        context = tf.transpose(tf.matmul(probs, seen[1]), [0, 2, 1, 3])
        context = tf.reshape(context, [-1, config.hidden_dim])
        context = tf.matmul(context, self.attention_output.value)
        x = self.attention_norm(x + drop(context, config, noise, length))
        inner = tf.nn.relu(self.intermediate(x))
        inner = self.output_dense(drop(inner, config, noise, length))
        return self.output_norm(x + drop(inner, config, noise, length)), seen

    def keys_and_values(self, states: tf.Tensor) -> tf.Tensor:
        """Returns those of tokens whose states it was given before.

        Args:
            states: `[B, T, D]`.

        Returns:
            `[2, B, H, T, d]`.
        """
        batch, length, dim = states.shape
        config = self.config
        both = tf.matmul(tf.reshape(states, [-1, dim]), self.qkv.value[:, dim:])
        shape = [batch, length, 2, config.num_heads, config.head_dim]
        return tf.transpose(tf.reshape(both, shape), [2, 0, 3, 1, 4])


def _by_head(bias: tf.Tensor, heads: int) -> tf.Tensor:
    return tf.reshape(bias, [heads, 1, -1])


def sinusoids(width: int | tf.Tensor, dim: int) -> tf.Tensor:
    """Returns what stands for the distances W - 1 to 0, `[W, D]`."""
    distances = tf.cast(tf.range(width - 1, -1, -1), tf.float32)
    exponents = tf.range(0, dim, 2, tf.float32) / dim
    angles = distances[:, None] * _LONGEST_WAVE**-exponents
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)[:, :dim]


def shifted(
    scores: tf.Tensor, length: int, width: int | tf.Tensor
) -> tf.Tensor:
    """Move scores of distances to the tokens that are as far away.

    Args:
        scores: `[B, H, L, W]`, of the distances W - 1 to 0.
        length: L, the last of the tokens.
        width: W, tokens in all.

    Returns:
        `[B, H, L, W]`, of the tokens; those that are still to come have
        scores of no meaning.
    """
    if length == 1:
        return scores
    batch, heads = scores.shape[:2]
    # One column more in front, read as one row more: each row is one place
    # further to the right than the row below.
    padded = tf.pad(scores, [[0, 0], [0, 0], [0, 0], [1, 0]])
    padded = tf.reshape(padded, [batch or -1, heads, width + 1, length])
    return tf.reshape(padded[:, :, 1:], [batch or -1, heads, length, width])


class TransformerXlEncoder(keras.layers.Layer):
    """Embeddings of words and N layers."""

    def __init__(self, config: TransformerXlConfig, seed: int) -> None:
        """Make it with weights drawn from `seed`."""
        super().__init__(name="encoder")
        self.config = config
        self.word_embeddings = Embedding(
            config.vocabulary_size,
            config.hidden_dim,
            truncated_normal(config.initializer_range, seed, "word_embeddings"),
            name="word_embeddings",
        )
        self.decoder_layers = [
            TransformerXlLayer(config, seed, i)
            for i in range(config.num_layers)
        ]
        self.built = True

    def call(
        self, ids: tf.Tensor, noise: DropoutNoise | None = None
    ) -> tf.Tensor:
        """Encode `[B, L]` ids segment by segment: `[B * L, D]`."""
        batch, length = ids.shape
        config = self.config
        step, dim = config.segment_length, config.hidden_dim
        found = []
        most = config.memory_length
        # Of each layer the states that it was given, as far as it remembers.
        memory: list[tf.Tensor | None] = [None] * config.num_layers
        for start in range(0, length, step):
            segment = ids[:, start : start + step]
            size = segment.shape[1]
            x = drop(self._embedded(segment), config, noise, size)
            for i, layer in enumerate(self.decoder_layers):
                given, old = tf.reshape(x, [batch, size, dim]), memory[i]
                known = None if old is None else layer.keys_and_values(old)
                x, _ = layer(x, length=size, before=known, noise=noise)
                if most:
                    parts = [given] if old is None else [old, given]
                    recent = tf.concat(parts, axis=1)[:, -most:]
                    memory[i] = tf.stop_gradient(recent)
            x = drop(x, config, noise, size)
            found.append(tf.reshape(x, [batch, size, dim]))
        return tf.reshape(tf.concat(found, axis=1), [-1, dim])

    def step(
        self, ids: tf.Tensor, seen: Sequence[tf.Tensor], place: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Encode one more token of each text; see `Gpt2Encoder.step`.

        It sees what it would see in its segment: the memory of that and the
        tokens before it. The rest is forgotten.
        """
        config = self.config
        most = config.memory_length + place % config.segment_length
        x = self._embedded(ids)
        kept = []
        for layer, before in zip(self.decoder_layers, seen, strict=True):
            first = tf.maximum(tf.shape(before)[3] - most, 0)
            x, now = layer(x, length=1, before=before[:, :, :, first:])
            kept.append(now)
        return x, kept

    def _embedded(self, ids: tf.Tensor) -> tf.Tensor:
        dim = self.config.hidden_dim
        return tf.reshape(self.word_embeddings(ids) * dim**0.5, [-1, dim])
