"""The decoder of GPT-2: pre-layer-norm blocks that look at what came before.

It is our own, as the dropout of keras-nlp's depends on how a batch is split
and no checkpoint holds its generators. It computes the same from the same
weights, and reads that model's presets: see `models.formats.gpt2`.

Reference: Radford et al., "Language Models are Unsupervised Multitask
    Learners", 2019.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfdistill.models.causal.attention import causal_bias, drop
from tfdistill.models.causal.configuration import Gpt2Config
from tfdistill.models.layers import (
    Embedding,
    LayerNorm,
    Linear,
    activate,
    bias_without_keys_gradient,
    truncated_normal,
)
from tfdistill.models.noise import DropoutNoise


class Gpt2Layer(keras.layers.Layer):
    """Self-attention and feed-forward, each behind a layer norm."""

    def __init__(self, config: Gpt2Config, seed: int, index: int) -> None:
        """Make layer `index` with weights drawn from `seed`."""
        name = f"layer_{index}"
        super().__init__(name=name)
        self.config = config
        dim, inner = config.hidden_dim, config.intermediate_dim
        # What is added up over layers starts smaller, as published.
        smaller = (2 * config.num_layers) ** -0.5

        def linear(
            part: str, inputs: int, outputs: int, scale: float = 1.0
        ) -> Linear:
            drawn = truncated_normal(
                config.initializer_range * scale, seed, f"{name}/{part}"
            )
            return Linear(inputs, outputs, drawn, name=part)

        epsilon = config.layer_norm_epsilon
        self.attention_norm = LayerNorm(dim, epsilon, "attention_layer_norm")
        # One product for queries, keys and values, in this order.
        self.qkv = linear("qkv", dim, 3 * dim)
        self.attention_output = linear("attention_output", dim, dim, smaller)
        self.inner_norm = LayerNorm(dim, epsilon, "intermediate_layer_norm")
        self.intermediate = linear("intermediate", dim, inner)
        self.output_dense = linear("output", inner, dim, smaller)
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
            before: Keys and values of the tokens before, `[2, B, H, T, d]`;
                None: there are none.
            noise: Dropout, or None for inference.

        Returns:
            The tokens, `[B * L, D]`, and keys and values of all tokens,
            `[2, B, H, T + L, d]`.
        """
        dim = self.config.head_dim
        qkv = tf.nn.bias_add(
            tf.matmul(self.attention_norm(x), self.qkv.kernel.value),
            bias_without_keys_gradient(self.qkv.bias.value),
        )
        qkv = tf.reshape(qkv, [-1, length, 3, self.config.num_heads, dim])
        qkv = tf.transpose(qkv, [2, 0, 3, 1, 4])
        seen = qkv[1:]
        if before is not None:
            seen = tf.concat([before, seen], axis=3)
        scores = tf.matmul(qkv[0], seen[0], transpose_b=True) * dim**-0.5
        scores += causal_bias(length, seen.shape[3] or tf.shape(seen)[3])
        probs = drop(tf.nn.softmax(scores), self.config, noise)
        context = tf.transpose(tf.matmul(probs, seen[1]), [0, 2, 1, 3])
        context = tf.reshape(context, [-1, self.config.hidden_dim])
        x += drop(self.attention_output(context), self.config, noise, length)
        inner = activate(self.intermediate(self.inner_norm(x)), "gelu_tanh")
        x += drop(self.output_dense(inner), self.config, noise, length)
        return x, seen


class Gpt2Encoder(keras.layers.Layer):
    """Embeddings of words and places, N layers, and a layer norm."""

    def __init__(self, config: Gpt2Config, seed: int) -> None:
        """Make it with weights drawn from `seed`."""
        super().__init__(name="encoder")
        self.config = config

        def table(name: str, rows: int) -> Embedding:
            drawn = truncated_normal(config.initializer_range, seed, name)
            return Embedding(rows, config.hidden_dim, drawn, name=name)

        self.word_embeddings = table("word_embeddings", config.vocabulary_size)
        self.position_embeddings = table(
            "position_embeddings", config.max_sequence_length
        )
        self.decoder_layers = [
            Gpt2Layer(config, seed, i) for i in range(config.num_layers)
        ]
        self.final_norm = LayerNorm(
            config.hidden_dim, config.layer_norm_epsilon, "final_layer_norm"
        )
        self.built = True

    def call(
        self, ids: tf.Tensor, noise: DropoutNoise | None = None
    ) -> tf.Tensor:
        """Encode `[B, L]` ids: `[B * L, D]`."""
        length = ids.shape[1]
        x = self.word_embeddings(ids)
        x += self.position_embeddings.table.value[:length]
        x = tf.reshape(x, [-1, self.config.hidden_dim])
        x = drop(x, self.config, noise, length)
        for layer in self.decoder_layers:
            x, _ = layer(x, length=length, noise=noise)
        return self.final_norm(x)

    def step(
        self, ids: tf.Tensor, seen: Sequence[tf.Tensor], place: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Encode one more token of each text, all of them as long.

        Args:
            ids: int32 `[B]`.
            seen: Of each layer keys and values of the tokens before,
                `[2, B, H, T, d]`.
            place: int32 scalar, T.

        Returns:
            `[B, D]`, and the same of all tokens.
        """
        x = self.word_embeddings(ids) + self.position_embeddings(place)
        kept = []
        for layer, before in zip(self.decoder_layers, seen, strict=True):
            x, now = layer(x, length=1, before=before)
            kept.append(now)
        return self.final_norm(x), kept
