"""The BERT encoder.

Reference: Devlin et al., "BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding", 2019; post-layer-norm blocks.
"""

import functools
from typing import Any

import keras
import tensorflow as tf

from tfdistill.models.configuration import BertConfig
from tfdistill.models.layers import (
    Embedding,
    LayerNorm,
    Linear,
    bias_without_keys_gradient,
    sizes_of,
    truncated_normal,
)
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import LAYERED_FIELDS, layers_read
from tfdistill.models.recomputation import recomputed

# Added to the scores of padded tokens, as in the published code.
_MASKED_SCORE = -10000.0


class EncoderLayer(keras.layers.Layer):
    """Self-attention and feed-forward, each with residual and layer norm."""

    def __init__(self, config: BertConfig, seed: int, index: int) -> None:
        """Make layer `index` with weights drawn from `seed`."""
        name = f"layer_{index}"
        super().__init__(name=name)
        self.config = config

        def linear(part: str, input_dim: int, output_dim: int) -> Linear:
            drawn = truncated_normal(
                config.initializer_range, seed, f"{name}/{part}"
            )
            return Linear(input_dim, output_dim, drawn, name=part)

        dim = config.hidden_dim
        epsilon = config.layer_norm_epsilon
        # One product for queries, keys and values, in this order.
        self.qkv = linear("qkv", dim, 3 * dim)
        self.attention_output = linear("attention_output", dim, dim)
        self.attention_norm = LayerNorm(dim, epsilon, "attention_layer_norm")
        self.intermediate = linear("intermediate", dim, config.intermediate_dim)
        self.output_dense = linear("output", config.intermediate_dim, dim)
        self.output_norm = LayerNorm(dim, epsilon, "output_layer_norm")
        self.built = True

    def call(
        self,
        x: tf.Tensor,
        score_bias: tf.Tensor,
        noise: DropoutNoise | None,
        positions: tf.Tensor | None = None,
        is_tapped: bool = True,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Run the layer.

        Args:
            x: `[B * L, D]` flat tokens.
            score_bias: `[B, 1, 1, L]` added to the attention scores: 0 for
                tokens, a large negative number for padding.
            noise: Dropout, or None for inference.
            positions: int32 `[B, Q]`; where given, the layer is computed
                at these positions only.
            is_tapped: Whether an objective may read what is inside.

        Returns:
            The hidden states, `[B * L, D]` (or `[B * Q, D]`), and a
            dictionary with `queries`, `keys`, `values` `[B, H, L, d]` and
            `attention_scores` `[B, H, L, L]` (Q for L where queries are
            concerned): scaled, before mask and softmax.
        """
        batch, _, _, length = sizes_of(score_bias)
        bias = self.qkv.bias.value
        if not is_tapped:
            bias = bias_without_keys_gradient(bias)
        q, k, v = self._queries_keys_values(x, batch, length, positions, bias)
        if positions is not None:
            x = tf.reshape(
                tf.gather(
                    tf.reshape(x, [batch, length, -1]), positions, batch_dims=1
                ),
                [-1, self.config.hidden_dim],
            )
        scores = tf.matmul(q, k, transpose_b=True)
        scores *= self.config.head_dim**-0.5
        probs = tf.nn.softmax(scores + score_bias)
        context = tf.matmul(self._drop(probs, noise, batch), v)
        context = tf.reshape(
            tf.transpose(context, [0, 2, 1, 3]), [-1, self.config.hidden_dim]
        )
        attended = self._drop(self.attention_output(context), noise, batch)
        x = self.attention_norm(x + attended)
        inner = self.intermediate(x, activation=self.config.activation)
        x = self.output_norm(
            x + self._drop(self.output_dense(inner), noise, batch)
        )
        return x, {
            "queries": q,
            "keys": k,
            "values": v,
            "attention_scores": scores,
        }

    def _queries_keys_values(
        self,
        x: tf.Tensor,
        batch: int,
        length: int,
        positions: tf.Tensor | None,
        bias: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        dim = self.config.hidden_dim
        if positions is None:
            qkv = self.qkv(x, bias=bias)
            q, k, v = self._by_head(qkv, batch, length, 3)
            return q, k, v
        chosen = tf.gather(
            tf.reshape(x, [batch, length, dim]), positions, batch_dims=1
        )
        chosen = tf.reshape(chosen, [-1, dim])
        q = self.qkv(chosen, bias=bias, columns=slice(dim))
        kv = self.qkv(x, bias=bias, columns=slice(dim, None))
        (q,) = self._by_head(q, batch, sizes_of(positions)[1], 1)
        k, v = self._by_head(kv, batch, length, 2)
        return q, k, v

    def _by_head(
        self, x: tf.Tensor, batch: int, length: int, parts: int
    ) -> list[tf.Tensor]:
        """Turn flat tokens of several products into `[B, H, L, d]` each."""
        x = tf.reshape(
            x,
            [
                batch,
                length,
                parts,
                self.config.num_heads,
                self.config.head_dim,
            ],
        )
        return tf.unstack(tf.transpose(x, [2, 0, 3, 1, 4]))

    def _drop(
        self, x: tf.Tensor, noise: DropoutNoise | None, batch: int
    ) -> tf.Tensor:
        if noise is None:
            return x
        return noise.drop(x, self.config.dropout, batch)


class Encoder(keras.layers.Layer):
    """Embeddings and N layers.

    Attributes:
        is_recomputed: Whether training keeps the input of each layer only,
            and computes what is inside of it once more for its gradients.
    """

    def __init__(self, config: BertConfig, seed: int) -> None:
        """Make an encoder with weights drawn from `seed`."""
        super().__init__(name="encoder")
        self.config = config
        self.is_recomputed = False

        def table(name: str, rows: int) -> Embedding:
            drawn = truncated_normal(config.initializer_range, seed, name)
            return Embedding(rows, config.hidden_dim, drawn, name=name)

        self.word_embeddings = table("word_embeddings", config.vocabulary_size)
        self.position_embeddings = table(
            "position_embeddings", config.max_sequence_length
        )
        self.segment_embeddings = table(
            "segment_embeddings", config.num_segments
        )
        self.embeddings_norm = LayerNorm(
            config.hidden_dim,
            config.layer_norm_epsilon,
            "embeddings_layer_norm",
        )
        self.encoder_layers = [
            EncoderLayer(config, seed, i) for i in range(config.num_layers)
        ]
        self.built = True

    def call(
        self,
        features: dict[str, tf.Tensor],
        reads: frozenset[str],
        noise: DropoutNoise | None = None,
        positions: tf.Tensor | None = None,
        needs_sequence: bool = True,
    ) -> dict[str, Any]:
        """Encode a batch.

        Args:
            features: `input_ids`, `input_mask` and `segment_ids`, integers
                `[B, L]` with a static shape. A model with one segment does
                not look at `segment_ids`.
            reads: Fields of `Outputs` to return.
            noise: Dropout, or None for inference.
            positions: int32 `[B, Q]`; where given, and no field read needs
                the whole of it, the last layer is computed at these
                positions only.
            needs_sequence: Whether the last hidden state is needed though
                `reads` does not name it.

        Returns:
            Layered fields as far as `reads` names them, by number, and
            `sequence` where it is needed: the last hidden state, `[B, Q, D]`
            where positions are given, else `[B, L, D]`.

        Raises:
            ValueError: There is no such layer.
        """
        batch, length = sizes_of(features["input_ids"])
        dim = self.config.hidden_dim
        x = self._embed(features, batch, length, noise)
        score_bias = tf.cast(1 - features["input_mask"], x.dtype)
        score_bias = (score_bias * _MASKED_SCORE)[:, None, None, :]
        count = self.config.num_layers
        wanted = {f: layers_read(reads, f, count) for f in LAYERED_FIELDS}
        states = wanted.pop("hidden_states")
        tapped = frozenset().union(*wanted.values())
        depth = max([*states, *(i + 1 for i in tapped)], default=0)
        found: dict[str, dict[int, tf.Tensor]] = {
            field: {} for field in LAYERED_FIELDS
        }

        def keep_state(number: int, x: tf.Tensor) -> None:
            if number in states:
                found["hidden_states"][number] = tf.reshape(
                    x, [batch, length, dim]
                )

        keep_state(0, x)
        is_cut = False
        for i, layer in enumerate(
            self.encoder_layers[: count if needs_sequence else depth]
        ):
            # Only the last layer's output is of no use to other layers.
            is_cut = positions is not None and i == count - 1 >= depth
            run = functools.partial(
                layer.__call__,
                score_bias=score_bias,
                positions=positions if is_cut else None,
                is_tapped=i in tapped,
            )
            read = [field for field, layers in wanted.items() if i in layers]
            if self.is_recomputed and noise is not None:
                x, taps = recomputed(layer, run, x, noise, read)
            else:
                x, taps = run(x, noise=noise)
            if not is_cut:
                keep_state(i + 1, x)
            for field in read:
                found[field][i] = taps[field]
        outputs: dict[str, Any] = {f: x for f, x in found.items() if x}
        if needs_sequence:
            sequence = tf.reshape(x, [batch, -1, dim])
            if positions is not None and not is_cut:
                sequence = tf.gather(sequence, positions, batch_dims=1)
            outputs["sequence"] = sequence
        return outputs

    def _embed(
        self,
        features: dict[str, tf.Tensor],
        batch: int,
        length: int,
        noise: DropoutNoise | None,
    ) -> tf.Tensor:
        x = self.word_embeddings(features["input_ids"])
        if self.config.num_segments == 1:
            # Records may tell segments apart that such a model does not.
            x += self.segment_embeddings.table.value[0]
        else:
            x += self.segment_embeddings(features["segment_ids"])
        x += self.position_embeddings.table.value[:length]
        x = self.embeddings_norm(
            tf.reshape(x, [batch * length, self.config.hidden_dim])
        )
        if noise is not None:
            x = noise.drop(x, self.config.dropout, batch)
        return x
