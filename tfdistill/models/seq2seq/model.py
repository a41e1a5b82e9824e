"""The sequence-to-sequence Transformer: encoder, decoder, and its search."""

import functools
import math
from collections.abc import Collection
from typing import Any

import keras
import tensorflow as tf

from tfdistill.decoding import Hypotheses, beam_search
from tfdistill.models.layers import Embedding, LayerNorm, uniform
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import Outputs
from tfdistill.models.seq2seq.configuration import Seq2SeqConfig
from tfdistill.models.seq2seq.layers import (
    DecoderLayer,
    EncoderLayer,
    KeysValues,
)
from tfdistill.text.shared_pieces import END_ID, PADDING_ID, START_ID

_MASKED_SCORE = -1e9


def sinusoids(first: tf.Tensor | int, count: int, dim: int) -> tf.Tensor:
    """Returns the encodings of places `[count, dim]`, from `first` on.

    Sines stand in even channels, cosines in odd ones, with wavelengths from
    2π to 10,000 · 2π.
    """
    places = tf.cast(first + tf.range(count), tf.float32)[:, None]
    rates = tf.exp(
        tf.range(0, dim, 2, tf.float32) * (-math.log(10_000.0) / dim)
    )
    angles = places * rates
    both = tf.stack([tf.sin(angles), tf.cos(angles)], axis=2)
    return tf.reshape(both, [count, dim])


class SourceEncoder(keras.layers.Layer):
    """The table of all pieces, and the layers that read a source."""

    def __init__(self, config: Seq2SeqConfig, seed: int) -> None:
        """Make an encoder with weights drawn from `seed`."""
        super().__init__(name="encoder")
        self.config = config
        rows, dim = config.vocabulary_size, config.hidden_dim
        limit = math.sqrt(6 / (rows + dim))
        drawn = uniform(limit, seed, "embedding")
        self.embedding = Embedding(rows, dim, drawn, name="embedding")
        self.encoder_layers = [
            EncoderLayer(config, seed, f"encoder/layer_{i}")
            for i in range(config.num_layers)
        ]
        self.final_norm = LayerNorm(
            dim, config.layer_norm_epsilon, "final_layer_norm"
        )
        self.built = True

    def embed(
        self,
        ids: tf.Tensor,
        first: tf.Tensor | int,
        noise: DropoutNoise | None,
    ) -> tf.Tensor:
        """Look up ids `[B, L]` at places from `first` on: `[B * L, D]`."""
        batch, length = ids.shape
        dim = self.config.hidden_dim
        x = self.embedding(ids) * math.sqrt(dim)
        x = tf.reshape(x + sinusoids(first, length, dim), [-1, dim])
        if noise is not None:
            x = noise.drop(x, self.config.dropout, batch)
        return x

    def call(
        self, ids: tf.Tensor, bias: tf.Tensor, noise: DropoutNoise | None
    ) -> tf.Tensor:
        """Encode sources `[B, S]`: `[B * S, D]`."""
        x = self.embed(ids, 0, noise)
        for layer in self.encoder_layers:
            x = layer(x, score_bias=bias, noise=noise)
        return self.final_norm(x)


class Decoder(keras.layers.Layer):
    """The layers that write a target; their output layer is the table."""

    def __init__(self, config: Seq2SeqConfig, seed: int) -> None:
        """Make a decoder with weights drawn from `seed`."""
        super().__init__(name="generator")
        self.config = config
        self.decoder_layers = [
            DecoderLayer(config, seed, f"generator/layer_{i}")
            for i in range(config.num_decoder_layers)
        ]
        self.final_norm = LayerNorm(
            config.hidden_dim, config.layer_norm_epsilon, "final_layer_norm"
        )
        self.output_bias = self.add_weight(
            shape=(config.vocabulary_size,),
            initializer="zeros",
            name="output_bias",
        )
        self.built = True

    def memories(self, memory: tf.Tensor, batch: int) -> list[KeysValues]:
        """Returns what each layer attends to of encoded sources."""
        return [
            layer.cross_attention.keys_values(memory, batch)
            for layer in self.decoder_layers
        ]

    def call(
        self,
        x: tf.Tensor,
        batch: int,
        pasts: list[KeysValues | None],
        future_bias: tf.Tensor | None,
        memories: list[KeysValues],
        memory_bias: tf.Tensor,
        noise: DropoutNoise | None,
    ) -> tuple[tf.Tensor, list[KeysValues], tf.Tensor]:
        """Run all layers; arguments and results as `DecoderLayer`."""
        known = []
        for layer, past, memory in zip(
            self.decoder_layers, pasts, memories, strict=True
        ):
            x, of_layer, probs = layer(
                x,
                batch=batch,
                past=past,
                future_bias=future_bias,
                memory=memory,
                memory_bias=memory_bias,
                noise=noise,
            )
            known.append(of_layer)
        return self.final_norm(x), known, probs


class Seq2Seq(keras.layers.Layer):
    """Encoder and decoder, with one table of pieces for all three uses.

    Attributes:
        config: Its shape.
        parts: What it is made of, keys of `models.weights.PARTS`.
    """

    parts = frozenset({"encoder", "generator"})

    def __init__(
        self,
        config: Seq2SeqConfig,
        seed: int = 0,
        heads: Collection[str] = ("generator",),
    ) -> None:
        """Make a model with weights drawn from `seed`.

        Args:
            config: Its shape.
            seed: Of the weights.
            heads: A generator is what there is, whatever is asked for.
        """
        super().__init__(name="seq2seq")
        self.config = config
        self.encoder = SourceEncoder(config, seed)
        self.generator = Decoder(config, seed)
        self.built = True

    def call(
        self,
        features: dict[str, tf.Tensor],
        reads: frozenset[str],
        noise: DropoutNoise | None = None,
    ) -> Outputs:
        """Run the model on given targets.

        Args:
            features: `input_ids`, `input_mask` `[B, S]` and `target_ids`
                `[B, T]`, integers with static shapes.
            reads: Fields of `Outputs`: `logits` are what there is, at each
                place those of the target's piece there.
            noise: Dropout, or None for inference.
        """
        targets = features["target_ids"]
        batch, length = targets.shape
        bias = _hides_padding(features["input_mask"])
        memory = self.encoder(features["input_ids"], bias=bias, noise=noise)
        before = tf.concat(
            [tf.fill([batch, 1], START_ID), targets[:, :-1]], axis=1
        )
        is_past = tf.linalg.band_part(tf.ones([length, length]), -1, 0)
        x, _, _ = self.generator(
            self.encoder.embed(before, 0, noise),
            batch=batch,
            pasts=[None] * self.config.num_decoder_layers,
            future_bias=(1.0 - is_past) * _MASKED_SCORE,
            memories=self.generator.memories(memory, batch),
            memory_bias=bias,
            noise=noise,
        )
        table = self.encoder.embedding.table.value
        logits = self._logits(x, table)
        return {"logits": tf.reshape(logits, [batch, length, -1])}

    def generate(
        self,
        features: dict[str, tf.Tensor],
        *,
        beam_size: int,
        max_length: int,
        alpha: float,
    ) -> Hypotheses:
        """Search for the best targets; see `decoding.beam_search`.

        Args:
            features: `input_ids` and `input_mask` `[B, S]`.
            beam_size: Hypotheses that are followed of each source.
            max_length: Pieces of a target, at most, its end included.
            alpha: Exponent of the length penalty.
        """
        ids = features["input_ids"]
        batch = ids.shape[0]
        bias = _hides_padding(features["input_mask"])
        memory = self.encoder(ids, bias=bias, noise=None)
        memories = self.generator.memories(memory, batch)
        heads, width = self.config.num_heads, self.config.head_dim
        rows = batch * beam_size
        empty = tf.zeros([rows, heads, 0, width])
        grows = tf.TensorShape([rows, heads, None, width])
        count = self.config.num_decoder_layers
        return beam_search(
            functools.partial(
                self._step,
                memories=memories,
                bias=bias,
                # Read once: in the loop each reading would copy it.
                table=tf.convert_to_tensor(self.encoder.embedding.table.value),
            ),
            [KeysValues(empty, empty)] * count,
            batch_size=batch,
            beam_size=beam_size,
            max_length=max_length,
            alpha=alpha,
            start_id=START_ID,
            end_id=END_ID,
            padding_id=PADDING_ID,
            cache_shapes=[KeysValues(grows, grows)] * count,
        )

    def _step(
        self,
        last: tf.Tensor,
        place: tf.Tensor,
        cache: Any,
        memories: list[KeysValues],
        bias: tf.Tensor,
        table: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        """Read one piece of every hypothesis; see `decoding.beam.Step`."""
        rows = last.shape[0]
        x, cache, probs = self.generator(
            self.encoder.embed(last[:, None], place, None),
            batch=rows,
            pasts=cache,
            future_bias=None,
            memories=memories,
            memory_bias=bias,
            noise=None,
        )
        # As published: the first head of the last layer.
        looked_at = tf.argmax(probs[:, 0], axis=-1, output_type=tf.int32)
        return (
            tf.nn.log_softmax(self._logits(x, table)),
            tf.reshape(looked_at, [rows]),
            cache,
        )

    def _logits(self, x: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
        return tf.nn.bias_add(
            tf.matmul(x, table, transpose_b=True),
            self.generator.output_bias.value,
        )


def _hides_padding(mask: tf.Tensor) -> tf.Tensor:
    """Returns what is added to scores, `[B, 1, 1, S]`."""
    return (tf.cast(1 - mask, tf.float32) * _MASKED_SCORE)[:, None, None, :]
