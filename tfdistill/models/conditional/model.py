"""The conditional masked LM.

Reference: Chen et al., "Distilling Knowledge Learned in BERT for Text
    Generation", 2020.
"""

from collections.abc import Collection

import keras
import tensorflow as tf

from tfdistill.models.conditional.configuration import ConditionalConfig
from tfdistill.models.conditional.inputs import joint
from tfdistill.models.encoder import Encoder
from tfdistill.models.layers import (
    Embedding,
    LayerNorm,
    Linear,
    activate,
    truncated_normal,
)
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import Outputs

_SEQUENCE: frozenset[str] = frozenset()


class PairEncoder(keras.layers.Layer):
    """BERT's encoder, and the rows that pieces are looked up in."""

    def __init__(self, config: ConditionalConfig, seed: int) -> None:
        """Make an encoder with weights drawn from `seed`."""
        super().__init__(name="encoder")
        # Weights are float32, which has every number below 2^24.
        self.input_rows = self.add_weight(
            shape=(config.vocabulary_size,),
            initializer="zeros",
            trainable=False,
            name="input_rows",
        )
        self.bert = Encoder(config.bert, seed)
        self.built = True

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the rows of pieces `[…]`, int32."""
        return tf.cast(tf.gather(self.input_rows.value, ids), tf.int32)


class Generator(keras.layers.Layer):
    """BERT's masked-LM head with an output layer for shared pieces."""

    def __init__(self, config: ConditionalConfig, seed: int) -> None:
        """Make a head with weights drawn from `seed`."""
        super().__init__(name="generator")
        bert, rows = config.bert, config.vocabulary_size
        self.config = bert
        spread = bert.initializer_range
        self.transform = Linear(
            bert.hidden_dim,
            bert.hidden_dim,
            truncated_normal(spread, seed, "transform"),
            name="transform",
        )
        self.transform_norm = LayerNorm(
            bert.hidden_dim,
            bert.head_layer_norm_epsilon,
            "transform_layer_norm",
        )
        self.output_embedding = Embedding(
            rows,
            bert.hidden_dim,
            truncated_normal(spread, seed, "output_embedding"),
            name="output_embedding",
        )
        self.output_bias = self.add_weight(
            shape=(rows,), initializer="zeros", name="output_bias"
        )
        self.built = True

    def states(self, hidden: tf.Tensor) -> tf.Tensor:
        """Returns what the output layer reads, `[N, D]`, of states alike."""
        x = self.transform(hidden)
        return self.transform_norm(activate(x, self.config.head_activation))

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """Returns logits `[N, V]` of `[N, D]`."""
        table = self.output_embedding.table.value
        logits = tf.matmul(states, table, transpose_b=True)
        return tf.nn.bias_add(logits, self.output_bias.value)


class ConditionalLM(keras.layers.Layer):
    """BERT that reads source and target, and says what is masked of the latter.

    Attributes:
        config: Its shape.
        parts: What it is made of, keys of `models.weights.PARTS`.
    """

    parts = frozenset({"encoder", "generator"})

    def __init__(
        self,
        config: ConditionalConfig,
        seed: int = 0,
        heads: Collection[str] = ("generator",),
    ) -> None:
        """Make a model with weights drawn from `seed`.

        Args:
            config: Its shape.
            seed: Of the weights.
            heads: A generator is what there is, whatever is asked for.
        """
        super().__init__(name="conditional")
        self.config = config
        self.encoder = PairEncoder(config, seed)
        self.generator = Generator(config, seed)
        self.built = True

    def call(
        self,
        features: dict[str, tf.Tensor],
        reads: frozenset[str],
        noise: DropoutNoise | None = None,
    ) -> Outputs:
        """Run the model.

        Args:
            features: `input_ids`, `input_mask` `[B, S]`, `target_ids` and
                `masked_lm_weights` `[B, T]`, with static shapes. With
                `target_mask` beside them, 1 where a piece stands, what
                `masked_lm_weights` says is masked. Without it these say where
                pieces stand, and each of them is masked once, in groups: in
                one of `num_groups` passes, every so-manieth place.
            reads: Fields of `Outputs`: `logits` and `head_states` are what
                there is, of every place of the target, those of places that
                are not masked being of no meaning.
            noise: Dropout, or None for inference.
        """
        given = features["masked_lm_weights"] > 0
        targets = features["target_ids"]
        batch, places = targets.shape
        groups, per_group = 1, places
        chosen = tf.repeat(tf.range(places)[None], batch, axis=0)
        if "target_mask" in features:
            target_mask, is_masked = features["target_mask"], given
        else:
            step = self.config.num_groups
            groups, per_group = min(step, places), -(-places // step)
            target_mask = tf.repeat(tf.cast(given, tf.int32)[None], groups, 0)
            group = tf.range(groups)[:, None, None]
            is_masked = tf.range(places)[None, None] % step == group
            is_masked &= target_mask > 0
            chosen = group + step * tf.range(per_group)[None, None]
            chosen = tf.repeat(tf.minimum(chosen, places - 1), batch, axis=1)
            is_masked, target_mask, chosen = (
                tf.reshape(x, [groups * batch, -1])
                for x in (is_masked, target_mask, chosen)
            )
        rows = (
            self.encoder.rows(features["input_ids"]),
            self.encoder.rows(targets),
        )
        source, target, source_mask = (
            tf.tile(x, [groups, 1]) for x in (*rows, features["input_mask"])
        )
        together = joint(
            source,
            target,
            source_mask,
            target_mask,
            is_masked,
            self.config.bert.max_sequence_length,
        )
        hidden = self.encoder.bert(
            together.features,
            reads=_SEQUENCE,
            noise=noise,
            positions=tf.gather(together.positions, chosen, batch_dims=1),
        )["sequence"]
        # Groups take turns along the target: 0, 1, …, 6, 0, 1, …
        hidden = tf.reshape(hidden, [groups, batch, per_group, -1])
        hidden = tf.transpose(hidden, [1, 2, 0, 3])
        hidden = tf.reshape(hidden, [batch, groups * per_group, -1])
        states = self.generator.states(
            tf.reshape(hidden[:, :places], [batch * places, -1])
        )
        outputs = {}
        if "head_states" in reads:
            outputs["head_states"] = tf.reshape(states, [batch, places, -1])
        if "logits" in reads:
            logits = self.generator.logits(states)
            outputs["logits"] = tf.reshape(logits, [batch, places, -1])
        return outputs

    def output_layer(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what makes logits of `head_states`: `[V, D]` and `[V]`."""
        table = self.generator.output_embedding.table.value
        return table, self.generator.output_bias.value
