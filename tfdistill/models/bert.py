"""BERT with the heads of its tasks."""

from collections.abc import Collection

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
from tfdistill.models.outputs import Model, Outputs
from tfdistill.records.spans import rule_out_padding

# What makes a model's `logits`; a model has one of them at most.
TASK_HEADS = ("masked_lm", "classifier", "span")
HEADS = (*TASK_HEADS, "next_sentence")
PRETRAINING_HEADS = ("masked_lm", "next_sentence")
_POOLED_HEADS = frozenset({"classifier", "next_sentence"})


class Bert(keras.layers.Layer):
    """Encoder, pooler and heads.

    `masked_lm` is tied to the word embeddings; `next_sentence` and
    `classifier` are linear maps of what is pooled, `span` of every token: how
    well an answer begins there, and how well it ends there.

    Attributes:
        config: Its shape.
        parts: What it is made of, keys of `models.weights.PARTS`.
    """

    def __init__(
        self,
        config: BertConfig,
        seed: int = 0,
        heads: Collection[str] = PRETRAINING_HEADS,
    ) -> None:
        """Make a model with weights drawn from `seed`.

        Raises:
            ValueError: A head is not known, or two make the logits.
        """
        super().__init__(name="bert")
        unknown = set(heads) - set(HEADS)
        if unknown or len(set(heads) & set(TASK_HEADS)) > 1:
            raise ValueError(
                f"heads={sorted(heads)}: expected one of "
                f"{', '.join(TASK_HEADS)} at most, and next_sentence."
            )
        self.config = config
        dim = config.hidden_dim

        def linear(name: str, output_dim: int) -> Linear:
            drawn = truncated_normal(config.initializer_range, seed, name)
            return Linear(dim, output_dim, drawn, name=name)

        self.encoder = Encoder(config, seed)
        parts = {"encoder", *heads}
        if not _POOLED_HEADS.isdisjoint(heads):
            parts.add("pooler")
            self.pooler = linear("pooler", dim)
        if "masked_lm" in heads:
            self.transform = linear("transform", dim)
            self.transform_norm = LayerNorm(
                dim, config.head_layer_norm_epsilon, "transform_layer_norm"
            )
            self.output_bias = self.add_weight(
                shape=(config.vocabulary_size,),
                initializer="zeros",
                name="output_bias",
            )
        if "next_sentence" in heads:
            self.next_sentence = linear("next_sentence", 2)
        if "classifier" in heads:
            self.classifier = linear("classifier", config.num_classes)
        if "span" in heads:
            self.span = linear("span", 2)
        self.parts = frozenset(parts)
        self.built = True

    def call(
        self,
        features: dict[str, tf.Tensor],
        reads: frozenset[str],
        noise: DropoutNoise | None = None,
    ) -> Outputs:
        """Run the model.

        Hidden states are gathered at the positions that heads need before
        anything is computed from them; nothing of shape [B, L, V] exists.
        The logits of spans are a large negative number at padding.

        Args:
            features: `input_ids`, `input_mask`, `segment_ids` `[B, L]` and,
                for masked LMs, `masked_lm_positions` `[B, P]`, integers.
            reads: Fields of `Outputs` to compute.
            noise: Dropout, or None for inference.
        """
        is_masked_lm = "masked_lm" in self.parts and not reads.isdisjoint(
            {"logits", "head_states"}
        )
        is_pooled = not reads.isdisjoint({"pooled", "next_sentence_logits"})
        is_pooled |= "logits" in reads and "classifier" in self.parts
        is_span = "logits" in reads and "span" in self.parts
        positions = tf.zeros_like(features["input_ids"][:, :1])
        if is_masked_lm:
            positions = tf.concat(
                [positions, features["masked_lm_positions"]], axis=1
            )
        outputs = self.encoder(
            features,
            reads=reads,
            noise=noise,
            positions=None if is_span else positions,
            needs_sequence=is_pooled or is_masked_lm or is_span,
        )
        sequence = outputs.pop("sequence", None)
        if is_pooled:
            pooled = activate(
                self.pooler(sequence[:, 0]), self.config.pooler_activation
            )
            if "pooled" in reads:
                outputs["pooled"] = pooled
            if "next_sentence_logits" in reads:
                outputs["next_sentence_logits"] = self.next_sentence(pooled)
            if "logits" in reads and "classifier" in self.parts:
                if noise is not None:
                    pooled = noise.drop(
                        pooled, self.config.dropout, pooled.shape[0]
                    )
                outputs["logits"] = self.classifier(pooled)
        if is_masked_lm:
            states = self._head_states(sequence[:, 1:])
            if "head_states" in reads:
                outputs["head_states"] = states
            if "logits" in reads:
                outputs["logits"] = self._masked_lm_logits(states)
        if is_span:
            logits = tf.reshape(
                self.span(tf.reshape(sequence, [-1, self.config.hidden_dim])),
                [*sequence.shape[:2], 2],
            )
            outputs["logits"] = rule_out_padding(
                tf.transpose(logits, [0, 2, 1]), features["input_mask"]
            )
        return outputs

    def output_layer(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what makes logits of `head_states`: `[V, D]` and `[V]`."""
        table = self.encoder.word_embeddings.table.value
        return table, self.output_bias.value

    def _head_states(self, hidden: tf.Tensor) -> tf.Tensor:
        batch, slots, dim = hidden.shape
        x = self.transform(tf.reshape(hidden, [-1, dim]))
        x = self.transform_norm(activate(x, self.config.head_activation))
        return tf.reshape(x, [batch, slots, dim])

    def _masked_lm_logits(self, states: tf.Tensor) -> tf.Tensor:
        batch, slots, dim = states.shape
        table, bias = self.output_layer()
        x = tf.reshape(states, [-1, dim])
        logits = tf.nn.bias_add(tf.matmul(x, table, transpose_b=True), bias)
        return tf.reshape(logits, [batch, slots, -1])


def recompute_layers(model: Model) -> None:
    """Let a model keep less for gradients; see `models.recomputation`.

    Raises:
        ValueError: It is no BERT.
    """
    if not isinstance(model, Bert):
        raise ValueError(
            "--gradient_checkpointing is for students with layers of BERT."
        )
    model.encoder.is_recomputed = True
