"""Language models: what comes next, for all tokens or for the last one."""

from collections.abc import Collection, Sequence

import keras
import tensorflow as tf

from tfdistill.models.causal.configuration import (
    Gpt2Config,
    TransformerXlConfig,
)
from tfdistill.models.causal.gpt2 import Gpt2Encoder
from tfdistill.models.causal.transformer_xl import TransformerXlEncoder
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import Outputs


class LanguageModel(keras.layers.Layer):
    """GPT-2 or Transformer-XL; the table of words is that of the logits.

    Attributes:
        config: Its shape.
        parts: What it is made of, keys of `models.weights.PARTS`.
    """

    parts = frozenset({"encoder"})

    def __init__(
        self,
        config: Gpt2Config | TransformerXlConfig,
        seed: int = 0,
        heads: Collection[str] = ("causal_lm",),
    ) -> None:
        """Make a model with weights drawn from `seed`.

        Args:
            config: Its shape.
            seed: Of the weights.
            heads: "causal_lm".

        Raises:
            ValueError: Other heads are asked for.
        """
        super().__init__(name="causal")
        if set(heads) != {"causal_lm"}:
            raise ValueError(
                "A language model says what comes next; it has no head for "
                f"{', '.join(sorted(set(heads) - {'causal_lm'}))}."
            )
        self.config = config
        self.encoder = (
            Gpt2Encoder(config, seed)
            if isinstance(config, Gpt2Config)
            else TransformerXlEncoder(config, seed)
        )
        self.built = True

    def call(
        self,
        features: dict[str, tf.Tensor],
        reads: frozenset[str],
        noise: DropoutNoise | None = None,
    ) -> Outputs:
        """Run the model on whole texts.

        Args:
            features: `input_ids`, int32 `[B, L]` with a static shape, padded
                at their ends.
            reads: Fields of `Outputs`: `logits` `[B, L, V]` of the token
                behind each are what there is.
            noise: Dropout, or None for inference.
        """
        ids = features["input_ids"]
        logits = self._logits(self.encoder(ids, noise=noise))
        return {"logits": tf.reshape(logits, [*ids.shape, -1])}

    def start(self, rows: int) -> list[tf.Tensor]:
        """Returns what is seen before the first token of some texts.

        It is a tensor `[2, rows, H, 0, d]` of each layer.
        """
        heads, dim = self.config.num_heads, self.config.head_dim
        empty = tf.zeros([2, rows, heads, 0, dim])
        return [empty] * self.config.num_layers

    def step(
        self, ids: tf.Tensor, seen: Sequence[tf.Tensor], place: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Take one more token of each text.

        Args:
            ids: int32 `[B]`.
            seen: Of `start` or the step before; rows may have been left out
                or changed places.
            place: int32 scalar, tokens before these.

        Returns:
            Logits `[B, V]` of the tokens behind, and what is seen now.
        """
        states, now = self.encoder.step(ids, seen, place)
        return self._logits(states), now

    def _logits(self, states: tf.Tensor) -> tf.Tensor:
        table = self.encoder.word_embeddings.table.value
        return tf.matmul(states, table, transpose_b=True)
