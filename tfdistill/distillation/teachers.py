"""Teachers: a model in memory, or what records hold of one."""

from collections.abc import Callable

import tensorflow as tf

from tfdistill.models.masked_lm import MaskedLM
from tfdistill.records import Batch, Codec, Distribution

# From a batch to the teacher's distributions at its masked positions.
Teacher = Callable[[Batch], Distribution]


def live_teacher(model: MaskedLM) -> Teacher:
    """Returns the whole distribution of a frozen model, in inference mode."""
    model.trainable = False

    def distribution(batch: Batch) -> Distribution:
        outputs = model(batch, reads=frozenset({"logits"}), noise=None)
        return Distribution(tf.nn.log_softmax(outputs["logits"]))

    return distribution


def recorded_teacher(codec: Codec) -> Teacher:
    """Returns what the records of a batch hold."""
    return codec.decode
