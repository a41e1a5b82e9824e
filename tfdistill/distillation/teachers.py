"""Teachers: models in memory, or what records hold of one."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfdistill.distillation.objectives import DISTRIBUTION
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.records import Batch, Codec, Distribution

# From a batch to what is known: outputs by field, and the distribution.
Teacher = Callable[[Batch], dict[str, Any]]


def live_teacher(models: Sequence[MaskedLM], reads: frozenset[str]) -> Teacher:
    """Returns what frozen models say, in inference mode.

    Args:
        models: Of several models the probabilities are averaged.
        reads: Fields of `Outputs`, which one model alone can give, and
            `DISTRIBUTION`, the whole one at the masked positions.

    Raises:
        ValueError: Outputs of several models are asked for.
    """
    fields = reads - {DISTRIBUTION}
    if fields and len(models) > 1:
        raise ValueError(
            f"{min(fields)} of {len(models)} teachers cannot be averaged: "
            "their probabilities alone can."
        )
    for model in models:
        model.trainable = False
    wanted = fields | ({"logits"} if DISTRIBUTION in reads else frozenset())

    def ask(batch: Batch) -> dict[str, Any]:
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


def recorded_teacher(codec: Codec) -> Teacher:
    """Returns what the records of a batch hold."""
    return lambda batch: {DISTRIBUTION: codec.decode(batch)}


def both_teachers(recorded: Teacher, live: Teacher) -> Teacher:
    """Returns what the records hold, and what a live teacher adds to it."""
    return lambda batch: live(batch) | recorded(batch)
