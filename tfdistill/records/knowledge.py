"""Codecs: how what the teacher said is stored beside the inputs.

A codec turns the teacher's logits into features of an example, and the
features of a batch back into a `Distribution`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from tfdistill.config import parse_spec
from tfdistill.records.schema import Feature
from tfdistill.records.top_k import split_top_k


class Distribution(NamedTuple):
    """A teacher's distributions over the vocabulary, at temperature 1.

    Attributes:
        log_probs: float32 `[B, P, K]`, natural logarithms, not
            renormalised.
        ids: int32 `[B, P, K]`, the pieces they belong to, most probable
            first; None where K = V and piece v stands at index v.
        tail_log_mass: float32 `[B, P]`, logarithm of the probability of all
            other pieces; None where there are none.
    """

    log_probs: tf.Tensor
    ids: tf.Tensor | None = None
    tail_log_mass: tf.Tensor | None = None


class Codec(Protocol):
    """Stores teacher knowledge in records."""

    def features(
        self, num_slots: int, vocabulary_size: int
    ) -> tuple[Feature, ...]:
        """Returns the features that the codec adds, for P slots and V."""

    def encode(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turn logits `[B, P, V]` into `[B, P, …]` tensors by feature."""

    def decode(self, batch: Mapping[str, tf.Tensor]) -> Distribution:
        """Read the distributions back from a decoded batch."""


@dataclasses.dataclass(frozen=True)
class TopK:
    """The K most probable pieces, and the mass of the others.

    Rows are sorted, most probable first, so any smaller K is a prefix.

    Reference: the truncated teacher outputs of Transformer_Distillation,
    with log-probabilities for probabilities and the tail's mass added.
    """

    k: int

    def features(
        self, num_slots: int, vocabulary_size: int
    ) -> tuple[Feature, ...]:
        """Returns ids, log-probabilities and tail mass of P slots."""
        if self.k > vocabulary_size:
            raise ValueError(
                f"top_k(k={self.k}) is more than the {vocabulary_size} "
                "pieces of the vocabulary."
            )
        return (
            Feature(
                name="top_k_ids",
                length=num_slots * self.k,
                limit=vocabulary_size,
            ),
            Feature(name="top_k_log_probs", length=num_slots * self.k),
            Feature(name="tail_log_mass", length=num_slots),
        )

    def encode(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `top_k_ids`, `top_k_log_probs` and `tail_log_mass`."""
        kept, ids, tail = split_top_k(logits, self.k)
        return {
            "top_k_ids": ids,
            "top_k_log_probs": kept,
            "tail_log_mass": tail,
        }

    def decode(self, batch: Mapping[str, tf.Tensor]) -> Distribution:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.k]
        return Distribution(
            tf.reshape(batch["top_k_log_probs"], shape),
            tf.reshape(batch["top_k_ids"], shape),
            tf.reshape(batch["tail_log_mass"], [size, slots]),
        )


@dataclasses.dataclass(frozen=True)
class Whole:
    """The whole distribution: top_k with K = V, without the ids."""

    vocabulary_size: int

    def features(
        self, num_slots: int, vocabulary_size: int
    ) -> tuple[Feature, ...]:
        """Returns the log-probabilities of P slots."""
        return (Feature(name="log_probs", length=num_slots * vocabulary_size),)

    def encode(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `log_probs`."""
        return {"log_probs": tf.nn.log_softmax(tf.cast(logits, tf.float32))}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> Distribution:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.vocabulary_size]
        return Distribution(tf.reshape(batch["log_probs"], shape))


@dataclasses.dataclass(frozen=True)
class PublishedTopK:
    """Top-K records as the source system's scripts write them.

    Probabilities, in no order; the tail's mass is what is missing to 1.
    """

    k: int

    def features(
        self, num_slots: int, vocabulary_size: int
    ) -> tuple[Feature, ...]:
        """Returns probabilities and ids of P slots."""
        return (
            Feature(
                name="truncated_masked_lm_probs", length=num_slots * self.k
            ),
            Feature(
                name="top_k_indices",
                length=num_slots * self.k,
                limit=vocabulary_size,
            ),
        )

    def encode(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `truncated_masked_lm_probs` and `top_k_indices`."""
        stored = TopK(self.k).encode(logits)
        return {
            "truncated_masked_lm_probs": tf.exp(stored["top_k_log_probs"]),
            "top_k_indices": stored["top_k_ids"],
        }

    def decode(self, batch: Mapping[str, tf.Tensor]) -> Distribution:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.k]
        probs = tf.reshape(batch["truncated_masked_lm_probs"], shape)
        tail = 1.0 - tf.reduce_sum(probs, axis=-1)
        return Distribution(
            _log(probs), tf.reshape(batch["top_k_indices"], shape), _log(tail)
        )


@dataclasses.dataclass(frozen=True)
class PublishedWhole:
    """Whole distributions as the source system's scripts write them."""

    vocabulary_size: int

    def features(
        self, num_slots: int, vocabulary_size: int
    ) -> tuple[Feature, ...]:
        """Returns the probabilities of P slots."""
        return (
            Feature(name="masked_lm_probs", length=num_slots * vocabulary_size),
        )

    def encode(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `masked_lm_probs`."""
        return {"masked_lm_probs": tf.nn.softmax(tf.cast(logits, tf.float32))}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> Distribution:
        """Read the distributions back."""
        size, slots = batch["masked_lm_weights"].shape
        shape = [size, slots, self.vocabulary_size]
        return Distribution(_log(tf.reshape(batch["masked_lm_probs"], shape)))


def _log(probs: tf.Tensor) -> tf.Tensor:
    # The smallest normal float32: a stored 0 stands for less than this.
    return tf.math.log(tf.maximum(probs, np.finfo(np.float32).tiny))


def top_k(*, k: int | str) -> int | str:
    """Check the argument of `top_k(k=…)`: a positive number, or `all`."""
    if k != "all" and (type(k) is not int or k < 1):
        raise ValueError(f"top_k(k={k}): k is neither positive nor 'all'.")
    return k


# What --knowledge takes.
KNOWLEDGE = {"top_k": top_k}


def make_codec(spec: str, vocabulary_size: int, layout: str) -> Codec:
    """Make the codec that a spec such as `top_k(k=10)` names.

    In the plain layout the source system's feature names are used.

    Raises:
        ValueError: The spec is not known, or K exceeds V.
    """
    parsed = parse_spec(spec, KNOWLEDGE)
    k: Any = top_k(**parsed.arguments)
    if k == "all":
        if layout == "plain":
            return PublishedWhole(vocabulary_size)
        return Whole(vocabulary_size)
    codec = PublishedTopK(k) if layout == "plain" else TopK(k)
    codec.features(1, vocabulary_size)
    return codec


def stored_pieces(spec: str) -> int | None:
    """Returns the K of `top_k(k=…)`, None for the whole distribution."""
    k = top_k(**parse_spec(spec, KNOWLEDGE).arguments)
    return None if isinstance(k, str) else k


def truncate(distribution: Distribution, k: int) -> Distribution:
    """Keep the K most probable pieces of sorted distributions.

    Raises:
        ValueError: Fewer than K are stored.
    """
    stored = distribution.log_probs.shape[-1]
    if k > stored:
        raise ValueError(
            f"k={k} is more than the {stored} candidates that are stored."
        )
    if k == stored:
        return distribution
    kept, order = tf.math.top_k(distribution.log_probs, k, sorted=True)
    dropped = tf.reduce_logsumexp(
        tf.sort(distribution.log_probs, direction="DESCENDING")[..., k:], -1
    )
    tail = dropped
    if distribution.tail_log_mass is not None:
        tail = tf.reduce_logsumexp([dropped, distribution.tail_log_mass], 0)
    ids = order
    if distribution.ids is not None:
        ids = tf.gather(distribution.ids, order, batch_dims=2)
    return Distribution(kept, ids, tail)
