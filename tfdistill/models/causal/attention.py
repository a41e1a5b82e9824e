"""What the attention of all language models has in common."""

import tensorflow as tf

from tfdistill.models.causal.configuration import CausalConfig
from tfdistill.models.noise import DropoutNoise

# Added to the scores of tokens that are still to come.
_UNSEEN_SCORE = -1e9


def causal_bias(length: int, width: int | tf.Tensor) -> tf.Tensor:
    """Returns what is added to scores, `[L, W]`: 0 for what is seen.

    Args:
        length: L, the last of the tokens; each sees itself and all before.
        width: W, tokens in all.
    """
    seen = tf.linalg.band_part(tf.ones([length, width]), -1, width - length)
    return (1.0 - seen) * _UNSEEN_SCORE


def drop(
    x: tf.Tensor,
    config: CausalConfig,
    noise: DropoutNoise | None,
    length: int = 1,
) -> tf.Tensor:
    """Apply a model's dropout.

    Args:
        x: `[B * length, …]`.
        config: Of the model.
        noise: The dropout, or None for inference.
        length: Rows of an example.
    """
    if noise is None:
        return x
    return noise.drop(x, config.dropout, x.shape[0] // length)
