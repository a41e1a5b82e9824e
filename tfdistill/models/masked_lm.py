"""BERT with its two pre-training heads."""

import keras
import tensorflow as tf

from tfdistill.models.configuration import BertConfig
from tfdistill.models.encoder import Encoder
from tfdistill.models.layers import (
    LayerNorm,
    Linear,
    activate,
    truncated_normal,
)
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import Outputs


class MaskedLM(keras.layers.Layer):
    """Encoder, masked-LM head tied to the word embeddings, and NSP head."""

    def __init__(self, config: BertConfig, seed: int = 0) -> None:
        """Make a model with weights drawn from `seed`."""
        super().__init__(name="masked_lm")
        self.config = config
        dim = config.hidden_dim

        def linear(name: str, output_dim: int) -> Linear:
            drawn = truncated_normal(config.initializer_range, seed, name)
            return Linear(dim, output_dim, drawn, name=name)

        self.encoder = Encoder(config, seed)
        self.pooler = linear("pooler", dim)
        self.transform = linear("transform", dim)
        self.transform_norm = LayerNorm(
            dim, config.head_layer_norm_epsilon, "transform_layer_norm"
        )
        self.output_bias = self.add_weight(
            shape=(config.vocabulary_size,),
            initializer="zeros",
            name="output_bias",
        )
        self.next_sentence = linear("next_sentence", 2)
        self.built = True

    def call(
        self,
        features: dict[str, tf.Tensor],
        reads: frozenset[str],
        noise: DropoutNoise | None = None,
    ) -> Outputs:
        """Run the model.

        Hidden states are gathered at the masked positions before the
        product with the vocabulary; nothing of shape [B, L, V] exists.

        Args:
            features: `input_ids`, `input_mask`, `segment_ids` `[B, L]` and
                `masked_lm_positions` `[B, P]`, integers.
            reads: Fields of `Outputs` to compute.
            noise: Dropout, or None for inference.
        """
        cls = tf.zeros_like(features["masked_lm_positions"][:, :1])
        positions = tf.concat([cls, features["masked_lm_positions"]], axis=1)
        is_pooled = not reads.isdisjoint({"pooled", "next_sentence_logits"})
        outputs = self.encoder(
            features,
            reads=reads,
            noise=noise,
            positions=positions,
            needs_sequence=is_pooled or "logits" in reads,
        )
        sequence = outputs.pop("sequence", None)
        if is_pooled:
            pooled = tf.tanh(self.pooler(sequence[:, 0]))
            outputs["pooled"] = pooled
            outputs["next_sentence_logits"] = self.next_sentence(pooled)
        if "logits" in reads:
            outputs["logits"] = self._masked_lm_logits(sequence[:, 1:])
        heads = ("pooled", "next_sentence_logits")
        return {
            name: value
            for name, value in outputs.items()
            if name not in heads or name in reads
        }

    def _masked_lm_logits(self, hidden: tf.Tensor) -> tf.Tensor:
        batch, slots, dim = hidden.shape
        x = self.transform(tf.reshape(hidden, [-1, dim]))
        x = self.transform_norm(activate(x, self.config.head_activation))
        table = self.encoder.word_embeddings.table.value
        logits = tf.nn.bias_add(
            tf.matmul(x, table, transpose_b=True), self.output_bias.value
        )
        return tf.reshape(logits, [batch, slots, -1])
