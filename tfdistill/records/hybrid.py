"""The most probable pieces exactly, and draws from the others.

A `Codec`, see `records.knowledge`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfdistill.records.distributions import (
    DISTRIBUTION,
    Distribution,
    log_probs_code,
)
from tfdistill.records.feature import Feature
from tfdistill.records.log_probs import dithered
from tfdistill.records.sampling import systematic_draws, uniforms
from tfdistill.records.top_k import split_top_k

_BITS, _TAIL_BITS = 8, 16


@dataclasses.dataclass(frozen=True)
class Hybrid:
    """The K most probable pieces, and S draws that stand for the others.

    The draws share the tail's mass evenly. Their expectation, over seeds, is
    the tail itself; the same holds for the stored probabilities, which are
    rounded up or down by chance. So whatever is linear in the teacher's
    probabilities, such as the cross-entropy of any student and its
    gradient, is right in expectation.

    What is drawn depends on the seed, the example's index in its record set
    and the slot.
    """

    k: int
    samples: int
    seed: int
    num_slots: int
    vocabulary_size: int

    gives = frozenset({DISTRIBUTION})
    reads = frozenset({"logits"})

    def features(self) -> tuple[Feature, ...]:
        """Returns the head's ids and log-probabilities, tail and draws."""
        slots = self.num_slots
        head = (
            Feature(
                name="top_k_ids",
                length=slots * self.k,
                limit=self.vocabulary_size,
                axes=("P", self.k),
            ),
            Feature(
                name="top_k_log_probs",
                length=slots * self.k,
                axes=("P", self.k),
                code=log_probs_code(_BITS),
            ),
        )
        return (
            *(head if self.k else ()),
            Feature(
                name="tail_log_mass",
                length=slots,
                axes=("P",),
                code=log_probs_code(_TAIL_BITS),
            ),
            Feature(
                name="tail_sample_ids",
                length=slots * self.samples,
                limit=self.vocabulary_size,
                axes=("P", self.samples),
            ),
        )

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns what `features` says, of logits and `record_index`."""
        logits = tf.cast(outputs["logits"], tf.float32)
        size, slots, _ = logits.shape
        kept, ids, tail = split_top_k(logits, self.k)
        numbers = tf.reshape(
            uniforms(self.seed, outputs["record_index"], slots * (self.k + 2)),
            [size, slots, self.k + 2],
        )
        draws = systematic_draws(
            _masses_outside(logits, ids),
            tf.reshape(numbers[:, :, 0], [-1]),
            self.samples,
        )
        stored = {
            "top_k_ids": ids,
            "top_k_log_probs": dithered(kept, numbers[:, :, 2:], _BITS),
            "tail_log_mass": dithered(tail, numbers[:, :, 1], _TAIL_BITS),
            "tail_sample_ids": tf.reshape(draws, [size, slots, self.samples]),
        }
        return {f.name: stored[f.name] for f in self.features()}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.k]
        head = (tf.zeros(shape), tf.zeros(shape, tf.int32))
        if self.k:
            head = (
                tf.reshape(batch["top_k_log_probs"], shape),
                tf.reshape(batch["top_k_ids"], shape),
            )
        return {
            DISTRIBUTION: Distribution(
                *head,
                tf.reshape(batch["tail_log_mass"], [size, slots]),
                tf.reshape(
                    batch["tail_sample_ids"], [size, slots, self.samples]
                ),
            )
        }


def _masses_outside(logits: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Returns probabilities `[R, V]` of all rows, zeros at their ids."""
    rows = tf.reshape(tf.nn.softmax(logits), [-1, logits.shape[-1]])
    own = tf.reshape(ids, [-1])
    row = tf.repeat(tf.range(tf.shape(rows)[0]), ids.shape[-1])
    return tf.tensor_scatter_nd_update(
        rows, tf.stack([row, own], axis=1), tf.zeros_like(own, tf.float32)
    )
