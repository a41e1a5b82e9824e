"""Layers of encoder and decoder: norms come first, residuals stay plain.

keras-nlp has such layers, and `tests/models/seq2seq` holds these equal to
them. They are not used themselves since their dropout depends on how a batch
is split over devices, and since tokens that lie flat, `[B * L, D]`, make all
products but attention single large ones.

Reference: Vaswani et al., "Attention Is All You Need", 2017; OpenNMT-py for
    the place of the norms.
"""

import math
from typing import NamedTuple

import keras
import tensorflow as tf

from tfdistill.models.layers import LayerNorm, Linear, uniform
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.seq2seq.configuration import Seq2SeqConfig


class KeysValues(NamedTuple):
    """What queries attend to: `[B, H, L, d]` each."""

    keys: tf.Tensor
    values: tf.Tensor


def linear(
    input_dim: int, output_dim: int, seed: int, place: str, parts: int = 1
) -> Linear:
    """Returns a linear map from Glorot's uniform distribution.

    Args:
        input_dim: Width of the inputs.
        output_dim: Width of the outputs.
        seed: Of the weights.
        place: Where it is in the model; its name is the last part.
        parts: Maps of one width that stand side by side in it.
    """
    limit = math.sqrt(6 / (input_dim + output_dim // parts))
    return Linear(
        input_dim,
        output_dim,
        uniform(limit, seed, place),
        name=place.rpartition("/")[2],
    )


class Attention(keras.layers.Layer):
    """Attention with H heads."""

    def __init__(self, config: Seq2SeqConfig, seed: int, place: str) -> None:
        """Make the maps; `place` is where it is in the model."""
        super().__init__(name=place.rpartition("/")[2])
        dim = config.hidden_dim
        self.config = config
        self.query = linear(dim, dim, seed, f"{place}/query")
        self.key_value = linear(
            dim, 2 * dim, seed, f"{place}/key_value", parts=2
        )
        self.output_dense = linear(dim, dim, seed, f"{place}/output")
        self.built = True

    def keys_values(self, x: tf.Tensor, batch: int) -> KeysValues:
        """Returns keys and values of flat tokens `[B * L, D]`.

        A key's bias adds the same to all scores of a query, which softmax
        takes out again: it has no gradient but rounding noise, which is cut
        off, as Adam would blow it up.
        """
        key_bias, value_bias = tf.split(self.key_value.bias.value, 2)
        bias = tf.concat([tf.stop_gradient(key_bias), value_bias], axis=0)
        flat = tf.nn.bias_add(tf.matmul(x, self.key_value.kernel.value), bias)
        shape = [batch, -1, 2, self.config.num_heads, self.config.head_dim]
        both = tf.transpose(tf.reshape(flat, shape), [2, 0, 3, 1, 4])
        return KeysValues(*tf.unstack(both))

    def call(
        self,
        x: tf.Tensor,
        known: KeysValues,
        score_bias: tf.Tensor | None,
        noise: DropoutNoise | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Attend from flat tokens.

        Args:
            x: `[B * Q, D]`.
            known: What they attend to.
            score_bias: Added to the scores `[B, H, Q, L]`, of a shape that
                broadcasts to it; None: all are seen.
            noise: Dropout, or None for inference.

        Returns:
            `[B * Q, D]`, and the probabilities `[B, H, Q, L]`.
        """
        batch = known.keys.shape[0]
        heads, width = self.config.num_heads, self.config.head_dim
        queries = tf.reshape(self.query(x), [batch, -1, heads, width])
        queries = tf.transpose(queries * width**-0.5, [0, 2, 1, 3])
        scores = tf.matmul(queries, known.keys, transpose_b=True)
        if score_bias is not None:
            scores += score_bias
        probs = tf.nn.softmax(scores)
        seen = probs
        if noise is not None:
            seen = noise.drop(probs, self.config.dropout, batch)
        context = tf.transpose(tf.matmul(seen, known.values), [0, 2, 1, 3])
        flat = tf.reshape(context, [-1, self.config.hidden_dim])
        return self.output_dense(flat), probs


class FeedForward(keras.layers.Layer):
    """Two linear maps with a ReLU between them."""

    def __init__(self, config: Seq2SeqConfig, seed: int, place: str) -> None:
        """Make the maps; `place` is where it is in the model."""
        super().__init__(name=place.rpartition("/")[2])
        dim, inner = config.hidden_dim, config.intermediate_dim
        self.config = config
        self.intermediate = linear(dim, inner, seed, f"{place}/intermediate")
        self.output_dense = linear(inner, dim, seed, f"{place}/output")
        self.built = True

    def call(
        self, x: tf.Tensor, batch: int, noise: DropoutNoise | None
    ) -> tf.Tensor:
        """Map flat tokens `[B * L, D]` of `batch` examples."""
        x = tf.nn.relu(self.intermediate(x))
        if noise is not None:
            x = noise.drop(x, self.config.dropout, batch)
        return self.output_dense(x)


class _Layer(keras.layers.Layer):
    """What layers of encoder and decoder share."""

    def __init__(self, config: Seq2SeqConfig, seed: int, place: str) -> None:
        super().__init__(name=place.rpartition("/")[2])
        self.config = config
        self.feed_forward = FeedForward(config, seed, f"{place}/feed_forward")
        self.feed_forward_norm = self._norm("feed_forward")

    def _norm(self, name: str) -> LayerNorm:
        return LayerNorm(
            self.config.hidden_dim,
            self.config.layer_norm_epsilon,
            f"{name}_layer_norm",
        )

    def _drop(
        self, x: tf.Tensor, batch: int, noise: DropoutNoise | None
    ) -> tf.Tensor:
        if noise is None:
            return x
        return noise.drop(x, self.config.dropout, batch)

    def _fed_forward(
        self, x: tf.Tensor, batch: int, noise: DropoutNoise | None
    ) -> tf.Tensor:
        inner = self.feed_forward(
            self.feed_forward_norm(x), batch=batch, noise=noise
        )
        return x + self._drop(inner, batch, noise)


class EncoderLayer(_Layer):
    """Self-attention and feed-forward."""

    def __init__(self, config: Seq2SeqConfig, seed: int, place: str) -> None:
        """Make the layer; `place` is where it is in the model."""
        super().__init__(config, seed, place)
        self.attention = Attention(config, seed, f"{place}/attention")
        self.attention_norm = self._norm("attention")
        self.built = True

    def call(
        self, x: tf.Tensor, score_bias: tf.Tensor, noise: DropoutNoise | None
    ) -> tf.Tensor:
        """Map flat tokens; `score_bias` `[B, 1, 1, S]` hides padding."""
        batch = score_bias.shape[0]
        normed = self.attention_norm(x)
        known = self.attention.keys_values(normed, batch)
        attended, _ = self.attention(
            normed, known=known, score_bias=score_bias, noise=noise
        )
        x += self._drop(attended, batch, noise)
        return self._fed_forward(x, batch, noise)


class DecoderLayer(_Layer):
    """Self-attention, attention to the source, feed-forward."""

    def __init__(self, config: Seq2SeqConfig, seed: int, place: str) -> None:
        """Make the layer; `place` is where it is in the model."""
        super().__init__(config, seed, place)
        self.self_attention = Attention(config, seed, f"{place}/self_attention")
        self.self_attention_norm = self._norm("self_attention")
        self.cross_attention = Attention(
            config, seed, f"{place}/cross_attention"
        )
        self.cross_attention_norm = self._norm("cross_attention")
        self.built = True

    def call(
        self,
        x: tf.Tensor,
        batch: int,
        past: KeysValues | None,
        future_bias: tf.Tensor | None,
        memory: KeysValues,
        memory_bias: tf.Tensor,
        noise: DropoutNoise | None,
    ) -> tuple[tf.Tensor, KeysValues, tf.Tensor]:
        """Map flat tokens `[batch * Q, D]`.

        Args:
            x: The tokens.
            batch: Rows that tokens belong to: of a batch, or hypotheses.
            past: Keys and values of the tokens before, if these are known.
            future_bias: Hides tokens from those before, `[Q, Q]`; None: there
                is one token.
            memory: Of the sources, which may be fewer than rows.
            memory_bias: `[B, 1, 1, S]`, hides padding of sources.
            noise: Dropout, or None for inference.

        Returns:
            The tokens, keys and values of all tokens so far, and how much
            each token attends to the source's, `[B, H, Q', S]`.
        """
        normed = self.self_attention_norm(x)
        known = self.self_attention.keys_values(normed, batch)
        if past is not None:
            known = KeysValues(
                *(tf.concat(both, 2) for both in zip(past, known, strict=True))
            )
        attended, _ = self.self_attention(
            normed, known=known, score_bias=future_bias, noise=noise
        )
        x += self._drop(attended, batch, noise)
        attended, probs = self.cross_attention(
            self.cross_attention_norm(x),
            known=memory,
            score_bias=memory_bias,
            noise=noise,
        )
        x += self._drop(attended, batch, noise)
        return self._fed_forward(x, batch, noise), known, probs
