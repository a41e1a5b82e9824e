"""How distributions over pieces are stored at the masked positions.

Each class is a `Codec`, see `records.knowledge`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.records.feature import Feature
from tfdistill.records.top_k import split_top_k

# What codecs of distributions give, and objectives on them read.
DISTRIBUTION = "distribution"


class Distribution(NamedTuple):
    """A teacher's distributions over V pieces or classes, at temperature 1.

    There is one for each masked position, `P`, or one for each example:
    then that axis is missing.

    Attributes:
        log_probs: float32 `[B, P, K]`, natural logarithms, not
            renormalised.
        ids: int32 `[B, P, K]`, the pieces they belong to, most probable
            first; None where K = V and piece v stands at index v.
        tail_log_mass: float32 `[B, P]`, logarithm of the probability of all
            other pieces; None where there are none.
        sample_ids: int32 `[B, P, S]`, pieces drawn from the others, each for
            an equal share of their probability; None where none were drawn.
    """

    log_probs: tf.Tensor
    ids: tf.Tensor | None = None
    tail_log_mass: tf.Tensor | None = None
    sample_ids: tf.Tensor | None = None


def log_probs_code(bits: int) -> str:
    """Returns the code of log-probabilities with 8, 16 or 32 bits."""
    return "float32" if bits == 32 else f"log_probs{bits}"


@dataclasses.dataclass(frozen=True)
class TopK:
    """The K most probable pieces, and the mass of the others.

    Rows are sorted, most probable first, so any smaller K is a prefix. With
    8 bits a log-probability, or 16, the mass of the others has 16.

    Reference: the truncated teacher outputs of Transformer_Distillation,
    with log-probabilities for probabilities and the tail's mass added.
    """

    k: int
    num_slots: int
    vocabulary_size: int
    bits: int = 8

    gives = frozenset({DISTRIBUTION})
    reads = frozenset({"logits"})

    def features(self) -> tuple[Feature, ...]:
        """Returns ids, log-probabilities and tail mass of P slots."""
        return (
            Feature(
                name="top_k_ids",
                length=self.num_slots * self.k,
                limit=self.vocabulary_size,
                axes=("P", self.k),
            ),
            Feature(
                name="top_k_log_probs",
                length=self.num_slots * self.k,
                axes=("P", self.k),
                code=log_probs_code(self.bits),
            ),
            Feature(
                name="tail_log_mass",
                length=self.num_slots,
                axes=("P",),
                code=log_probs_code(max(self.bits, 16)),
            ),
        )

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns `top_k_ids`, `top_k_log_probs` and `tail_log_mass`."""
        kept, ids, tail = split_top_k(outputs["logits"], self.k)
        return {
            "top_k_ids": ids,
            "top_k_log_probs": kept,
            "tail_log_mass": tail,
        }

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.k]
        return {
            DISTRIBUTION: Distribution(
                tf.reshape(batch["top_k_log_probs"], shape),
                tf.reshape(batch["top_k_ids"], shape),
                tf.reshape(batch["tail_log_mass"], [size, slots]),
            )
        }


@dataclasses.dataclass(frozen=True)
class Whole:
    """The whole distribution: top_k with K = V, without the ids."""

    num_slots: int
    vocabulary_size: int
    bits: int = 32

    gives = frozenset({DISTRIBUTION})
    reads = frozenset({"logits"})

    def features(self) -> tuple[Feature, ...]:
        """Returns the log-probabilities of P slots."""
        return (
            Feature(
                name="log_probs",
                length=self.num_slots * self.vocabulary_size,
                axes=("P", self.vocabulary_size),
                code=log_probs_code(self.bits),
            ),
        )

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns `log_probs`."""
        return {"log_probs": tf.nn.log_softmax(outputs["logits"])}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.vocabulary_size]
        return {
            DISTRIBUTION: Distribution(tf.reshape(batch["log_probs"], shape))
        }


@dataclasses.dataclass(frozen=True)
class PublishedTopK:
    """Top-K records as the source system's scripts write them.

    Probabilities, in no order; the tail's mass is what is missing to 1.
    """

    k: int
    num_slots: int
    vocabulary_size: int

    gives = frozenset({DISTRIBUTION})
    reads = frozenset({"logits"})

    def features(self) -> tuple[Feature, ...]:
        """Returns probabilities and ids of P slots."""
        return (
            Feature(
                name="truncated_masked_lm_probs",
                length=self.num_slots * self.k,
                axes=("P", self.k),
            ),
            Feature(
                name="top_k_indices",
                length=self.num_slots * self.k,
                limit=self.vocabulary_size,
                axes=("P", self.k),
            ),
        )

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns `truncated_masked_lm_probs` and `top_k_indices`."""
        stored = TopK(self.k, self.num_slots, self.vocabulary_size).encode(
            outputs
        )
        return {
            "truncated_masked_lm_probs": tf.exp(stored["top_k_log_probs"]),
            "top_k_indices": stored["top_k_ids"],
        }

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.k]
        probs = tf.reshape(batch["truncated_masked_lm_probs"], shape)
        tail = 1.0 - tf.reduce_sum(probs, axis=-1)
        return {
            DISTRIBUTION: Distribution(
                _log(probs),
                tf.reshape(batch["top_k_indices"], shape),
                _log(tail),
            )
        }


@dataclasses.dataclass(frozen=True)
class PublishedWhole:
    """Whole distributions as the source system's scripts write them."""

    num_slots: int
    vocabulary_size: int

    gives = frozenset({DISTRIBUTION})
    reads = frozenset({"logits"})

    def features(self) -> tuple[Feature, ...]:
        """Returns the probabilities of P slots."""
        return (
            Feature(
                name="masked_lm_probs",
                length=self.num_slots * self.vocabulary_size,
                axes=("P", self.vocabulary_size),
            ),
        )

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns `masked_lm_probs`."""
        return {"masked_lm_probs": tf.nn.softmax(outputs["logits"])}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.vocabulary_size]
        return {
            DISTRIBUTION: Distribution(
                _log(tf.reshape(batch["masked_lm_probs"], shape))
            )
        }


def _log(probs: tf.Tensor) -> tf.Tensor:
    # The smallest normal float32: a stored 0 stands for less than this.
    return tf.math.log(tf.maximum(probs, np.finfo(np.float32).tiny))


def truncate(distribution: Distribution, k: int) -> Distribution:
    """Keep the K most probable pieces.

    Raises:
        ValueError: Fewer than K are stored, or pieces were drawn from what
            is beyond them.
    """
    if distribution.sample_ids is not None:
        raise ValueError(
            f"k={k} of pieces with draws from the others: draws are of those "
            "beyond the pieces that are stored."
        )
    stored = distribution.log_probs.shape[-1]
    if k > stored:
        raise ValueError(
            f"k={k} is more than the {stored} candidates that are stored."
        )
    if k == stored:
        return distribution
    if distribution.ids is None:
        # Sorting all V would take many times as long.
        kept, ids, tail = split_top_k(distribution.log_probs, k)
        total = tf.reduce_logsumexp(distribution.log_probs, -1)
        return Distribution(kept + total[..., None], ids, tail + total)
    kept, order = tf.math.top_k(distribution.log_probs, k, sorted=True)
    dropped = tf.reduce_logsumexp(
        tf.sort(distribution.log_probs, direction="DESCENDING")[..., k:], -1
    )
    tail = dropped
    if distribution.tail_log_mass is not None:
        tail = tf.reduce_logsumexp([dropped, distribution.tail_log_mass], 0)
    ids = tf.gather(distribution.ids, order, batch_dims=order.shape.rank - 1)
    return Distribution(kept, ids, tail)
