"""Asks a masked LM for one position of each sequence."""

import numpy as np
import tensorflow as tf

from tfdistill.augmentation.candidates import Ask
from tfdistill.models.outputs import Model


def asking(model: Model) -> Ask:
    """Returns what asks a masked LM for one position of each sequence."""

    @tf.function(autograph=False)
    def logits(features: dict[str, tf.Tensor]) -> tf.Tensor:
        return model(features, reads=frozenset({"logits"}))["logits"][:, 0]

    def ask(
        *,
        input_ids: np.ndarray,
        input_mask: np.ndarray,
        segment_ids: np.ndarray,
        positions: np.ndarray,
    ) -> np.ndarray:
        features = {
            "input_ids": tf.constant(input_ids, tf.int32),
            "input_mask": tf.constant(input_mask, tf.int32),
            "segment_ids": tf.constant(segment_ids, tf.int32),
            "masked_lm_positions": tf.constant(positions[:, None], tf.int32),
        }
        return logits(features).numpy()

    return ask
