"""How logits of classes and the insides of a teacher are stored.

Each class is a `Codec`, see `records.knowledge`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfdistill.records.distributions import DISTRIBUTION, Distribution
from tfdistill.records.feature import Feature

# Fields of a model's outputs that are layered, see `models.outputs`.
INSIDES = ("hidden_states", "attention_scores", "queries", "keys", "values")


@dataclasses.dataclass(frozen=True)
class ClassLogits:
    """The logits of an example's C classes, or its score, as float32."""

    num_classes: int

    gives = frozenset({"logits", DISTRIBUTION})
    reads = frozenset({"logits"})

    def features(self) -> tuple[Feature, ...]:
        """Returns `teacher_logits`."""
        size = self.num_classes
        return (Feature(name="teacher_logits", length=size, axes=(size,)),)

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns `teacher_logits`."""
        return {"teacher_logits": outputs["logits"]}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read the logits, and their distribution over all classes."""
        logits = batch["teacher_logits"]
        return {
            "logits": logits,
            DISTRIBUTION: Distribution(tf.nn.log_softmax(logits)),
        }


@dataclasses.dataclass(frozen=True)
class Insides:
    """Chosen layers of hidden states, attention scores, queries and so on.

    Padding is not stored, and reads back as zeros.
    """

    chosen: tuple[tuple[str, int], ...]
    max_seq_length: int
    hidden_dim: int
    num_heads: int
    bits: int

    @property
    def gives(self) -> frozenset[str]:
        """As `Codec`."""
        return frozenset(f"{field}/{number}" for field, number in self.chosen)

    reads = gives

    def features(self) -> tuple[Feature, ...]:
        """Returns a feature for each chosen layer, `hidden_states/3`."""
        length, dim = self.max_seq_length, self.hidden_dim
        heads = self.num_heads
        kinds: dict[str, tuple[int, tuple[int | str, ...]]] = {
            "hidden_states": (length * dim, ("L", dim)),
            "attention_scores": (heads * length**2, (heads, "L", "L")),
        }
        by_head = (length * dim, (heads, "L", dim // heads))
        return tuple(
            Feature(
                name=f"{field}/{number}",
                length=kinds.get(field, by_head)[0],
                axes=kinds.get(field, by_head)[1],
                code="float32" if self.bits == 32 else f"blocks{self.bits}",
            )
            for field, number in self.chosen
        )

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Returns the chosen layers."""
        return {
            f"{field}/{number}": outputs[field][number]
            for field, number in self.chosen
        }

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read the chosen layers back, by field and number."""
        found: dict[str, Any] = {}
        for field, number in self.chosen:
            found.setdefault(field, {})[number] = batch[f"{field}/{number}"]
        return found
