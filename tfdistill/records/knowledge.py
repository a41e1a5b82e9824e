"""Codecs: how what the teacher said is stored beside the inputs.

A codec turns the teacher's outputs into features of an example, and the
features of a batch back into what objectives read. `KNOWLEDGE` maps the name
in `--knowledge='name(…)'` to what makes it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from tfdistill.config import parse_spec
from tfdistill.records.distributions import (
    PublishedTopK,
    PublishedWhole,
    TopK,
    Whole,
)
from tfdistill.records.feature import Feature
from tfdistill.records.insides import INSIDES, ClassLogits, Insides
from tfdistill.records.spans import SpanLogits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """What the shapes of stored knowledge follow from.

    Attributes:
        layout: Of the records.
        max_seq_length: L.
        num_slots: Masked positions P of an example; 0 where there are none.
        vocabulary_size: V.
        num_classes: C of the teacher's logits; 0 where they are over pieces.
        num_layers: N of the teacher.
        hidden_dim: D of the teacher.
        num_heads: H of the teacher.
        num_ends: Ends of answers, 2, that the teacher's logits are for; 0
            where there are none.
    """

    layout: str
    max_seq_length: int
    num_slots: int
    vocabulary_size: int
    num_classes: int
    num_layers: int = 0
    hidden_dim: int = 0
    num_heads: int = 0
    num_ends: int = 0


class Codec(Protocol):
    """Stores teacher knowledge in records."""

    @property
    def gives(self) -> frozenset[str]:
        """What is read back: `hidden_states/3`, …, or `DISTRIBUTION`."""

    @property
    def reads(self) -> frozenset[str]:
        """Fields of the teacher's outputs that are needed for it."""

    def features(self) -> tuple[Feature, ...]:
        """Returns the features that the codec adds."""

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Turn outputs into `[B, …]` tensors by feature, padded."""

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Read a decoded batch: distribution, and outputs by field."""


@dataclasses.dataclass(frozen=True)
class _Several:
    """Several codecs whose features stand side by side."""

    codecs: tuple[Codec, ...]

    @property
    def gives(self) -> frozenset[str]:
        return frozenset[str]().union(*(c.gives for c in self.codecs))

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(c.reads for c in self.codecs))

    def features(self) -> tuple[Feature, ...]:
        return tuple(f for codec in self.codecs for f in codec.features())

    def encode(self, outputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        return {k: v for c in self.codecs for k, v in c.encode(outputs).items()}

    def decode(self, batch: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for codec in self.codecs:
            for name, value in codec.decode(batch).items():
                # Layers of one field may be stored by several codecs.
                found[name] = found[name] | value if name in found else value
        return found


def top_k(shapes: Shapes, *, k: int | str) -> Codec:
    """Store the K most probable pieces of each masked position, or all.

    Args:
        shapes: Of the records.
        k: K, or `all`.
    """
    if k != "all" and (type(k) is not int or k < 1):
        raise ValueError(f"top_k(k={k}): k is neither positive nor 'all'.")
    slots, size = shapes.num_slots, shapes.vocabulary_size
    if not slots:
        raise ValueError(
            "top_k is about masked positions, which these records do not "
            "have; logits is for classes."
        )
    is_plain = shapes.layout == "plain"
    if isinstance(k, str):
        return PublishedWhole(slots, size) if is_plain else Whole(slots, size)
    if k > size:
        raise ValueError(
            f"top_k(k={k}) is more than the {size} pieces of the vocabulary."
        )
    if is_plain:
        return PublishedTopK(k, slots, size)
    return TopK(k, slots, size)


def logits(shapes: Shapes) -> Codec:
    """Store the logits of classes, or a score, or of an answer's ends."""
    if shapes.num_ends:
        return SpanLogits(shapes.max_seq_length)
    if not shapes.num_classes:
        raise ValueError(
            "logits are those of classes; for pieces there is top_k(k=all)."
        )
    return ClassLogits(shapes.num_classes)


def features(
    shapes: Shapes,
    *,
    hidden_states: Sequence[int] = (),
    attention_scores: Sequence[int] = (),
    queries: Sequence[int] = (),
    keys: Sequence[int] = (),
    values: Sequence[int] = (),
    bits: int = 16,
) -> Codec:
    """Store what is inside of the teacher, of all tokens.

    Args:
        shapes: Of the records and of the teacher.
        hidden_states: Numbers of states; 0 are the embeddings.
        attention_scores: Numbers of layers, from 0.
        queries: Likewise.
        keys: Likewise.
        values: Likewise.
        bits: Of each number: 16 or 32.
    """
    if shapes.layout == "plain":
        raise ValueError("features are stored in packed records only.")
    if not shapes.num_layers:
        raise ValueError(
            "features are those of a teacher's layers, and this one has none; "
            "logits are for it."
        )
    if bits not in (16, 32):
        raise ValueError(f"features(bits={bits}): 16 and 32 are possible.")
    given = locals()
    chosen = []
    for field in INSIDES:
        count = shapes.num_layers + (field == "hidden_states")
        if not isinstance(given[field], list | tuple):
            raise ValueError(
                f"features({field}={given[field]}) is no list such as [0, 2]."
            )
        for number in given[field]:
            if type(number) is not int or not 0 <= number < count:
                raise ValueError(
                    f"features({field}={given[field]}): the teacher's are "
                    f"0 to {count - 1}."
                )
            chosen.append((field, number))
    if not chosen:
        raise ValueError(f"features(): name some of {', '.join(INSIDES)}.")
    return Insides(
        tuple(dict.fromkeys(chosen)),
        shapes.max_seq_length,
        shapes.hidden_dim,
        shapes.num_heads,
        bits,
    )


KNOWLEDGE: dict[str, Callable[..., Codec]] = {
    "top_k": top_k,
    "logits": logits,
    "features": features,
}


def make_codec(specs: Sequence[str], shapes: Shapes) -> Codec:
    """Make the codec that specs such as `top_k(k=10)` name together.

    In the plain layout the source system's feature names are used.

    Raises:
        ValueError: A spec is wrong, or not for these records.
    """
    codecs = []
    for text in specs:
        spec = parse_spec(text, KNOWLEDGE)
        codecs.append(KNOWLEDGE[spec.name](shapes, **spec.arguments))
    names = [f.name for codec in codecs for f in codec.features()]
    if len(set(names)) < len(names):
        raise ValueError(f"--knowledge={', '.join(specs)}: stored twice.")
    return codecs[0] if len(codecs) == 1 else _Several(tuple(codecs))


def stored_pieces(codec: Codec) -> int | None:
    """Returns the K that is known of each distribution; None: all."""
    for one in codec.codecs if isinstance(codec, _Several) else (codec,):
        if isinstance(one, TopK | PublishedTopK):
            return one.k
    return None
