"""Teachers: models in memory, or what records hold of one."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfdistill.models.outputs import Model
from tfdistill.records import DISTRIBUTION, Batch, Codec, Distribution

# From a batch and what is read of the teacher, fields of `Outputs` and
# `DISTRIBUTION`, to what is known of it.
Teacher = Callable[[Batch, frozenset[str]], dict[str, Any]]


def live_teacher(models: Sequence[Model]) -> Teacher:
    """Returns what frozen models say, in inference mode.

    Args:
        models: Of several models the probabilities are averaged; outputs
            one model alone can give.
    """
    for model in models:
        model.trainable = False

    def ask(batch: Batch, reads: frozenset[str]) -> dict[str, Any]:
        fields = reads - {DISTRIBUTION}
        if fields and len(models) > 1:
            raise ValueError(
                f"{min(fields)} of {len(models)} teachers cannot be averaged: "
                "their probabilities alone can."
            )
        wanted = fields | ({"logits"} if fields != reads else frozenset())
        said = [model(batch, reads=wanted, noise=None) for model in models]
        known = dict(said[0])
        if DISTRIBUTION in reads:
            log_probs = [tf.nn.log_softmax(x["logits"]) for x in said]
            mean = tf.reduce_logsumexp(tf.stack(log_probs), axis=0)
            mean -= tf.math.log(float(len(models)))
            known[DISTRIBUTION] = Distribution(
                mean if len(models) > 1 else log_probs[0]
            )
        return known

    return ask


def recorded_teacher(codec: Codec, live: Teacher | None = None) -> Teacher:
    """Returns what the records of a batch hold.

    Args:
        codec: Of the records.
        live: Asked for what they do not hold.
    """

    def look_up(batch: Batch, reads: frozenset[str]) -> dict[str, Any]:
        known = codec.decode(batch)
        missing = reads - codec.gives
        if live is not None and missing:
            for name, value in live(batch, missing).items():
                if isinstance(value, dict):
                    value = known.get(name, {}) | value
                known[name] = value
        return known

    return look_up
