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
    DISTRIBUTION,
    PublishedTopK,
    PublishedWhole,
    TopK,
    Whole,
)
from tfdistill.records.feature import Feature
from tfdistill.records.hybrid import Hybrid
from tfdistill.records.insides import INSIDES, ClassLogits, Insides
from tfdistill.records.output_layer import HeadStates, read_output_layer
from tfdistill.records.spans import SpanLogits

_BITS = (8, 16, 32)


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
    folder: str = ""


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
        """Turn outputs into `[B, …]` tensors by feature, padded.

        Beside the fields that it `reads`, outputs hold `record_index`, int64
        `[B]`: the examples' indices in their record set.
        """

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


def top_k(shapes: Shapes, *, k: int | str, bits: int | None = None) -> Codec:
    """Store the K most probable pieces of each masked position, or all.

    Args:
        shapes: Of the records.
        k: K, or `all`.
        bits: Of a log-probability: 8, 16 or 32; None: 8, but 32 where all
            are stored. The plain layout has 32 always.
    """
    if k != "all" and (type(k) is not int or k < 1):
        raise ValueError(f"top_k(k={k}): k is neither positive nor 'all'.")
    slots, size = _slots(shapes, "top_k"), shapes.vocabulary_size
    is_plain = shapes.layout == "plain"
    if bits is not None and bits not in ((32,) if is_plain else _BITS):
        raise ValueError(
            f"top_k(bits={bits}): "
            + ("the plain layout has 32." if is_plain else "8, 16 or 32.")
        )
    if isinstance(k, str):
        if is_plain:
            return PublishedWhole(slots, size)
        return Whole(slots, size, bits or 32)
    _check_k(shapes, "top_k", k)
    if is_plain:
        return PublishedTopK(k, slots, size)
    return TopK(k, slots, size, bits or 8)


def hybrid(shapes: Shapes, *, k: int, samples: int, seed: int = 0) -> Codec:
    """Store the K most probable pieces, and draws from the others.

    Args:
        shapes: Of the records.
        k: K; 0: draws alone.
        samples: Draws S of each masked position.
        seed: Of the draws.
    """
    slots = _slots(shapes, "hybrid")
    for name, value, least in (("k", k, 0), ("samples", samples, 1)):
        if type(value) is not int or value < least:
            raise ValueError(
                f"hybrid({name}={value}): {name} is at least {least}."
            )
    _check_packed(shapes, "hybrid")
    _check_k(shapes, "hybrid", k)
    return Hybrid(k, samples, seed, slots, shapes.vocabulary_size)


def hidden(shapes: Shapes, *, bits: int = 8) -> Codec:
    """Store what the teacher's output layer reads, and that layer once.

    Args:
        shapes: Of the records and of the teacher.
        bits: Of each number: 8 or 16.
    """
    slots = _slots(shapes, "hidden")
    _check_packed(shapes, "hidden")
    if bits not in (8, 16):
        raise ValueError(f"hidden(bits={bits}): 8 and 16 are possible.")
    if not shapes.hidden_dim:
        raise ValueError("hidden is for masked LMs.")
    layer = read_output_layer(shapes.folder) if shapes.folder else None
    return HeadStates(bits, slots, shapes.hidden_dim, layer)


def _slots(shapes: Shapes, name: str) -> int:
    if not shapes.num_slots:
        raise ValueError(
            f"{name} is about masked positions, which these records do not "
            "have; logits is for classes."
        )
    return shapes.num_slots


def _check_packed(shapes: Shapes, name: str) -> None:
    if shapes.layout != "packed":
        raise ValueError(
            f"{name}: such knowledge is stored in packed records only."
        )


def _check_k(shapes: Shapes, name: str, k: int) -> None:
    if k > shapes.vocabulary_size:
        raise ValueError(
            f"{name}(k={k}) is more than the {shapes.vocabulary_size} pieces "
            "of the vocabulary."
        )


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
    bits: int = 8,
) -> Codec:
    """Store what is inside of the teacher, of all tokens.

    Args:
        shapes: Of the records and of the teacher.
        hidden_states: Numbers of states; 0 are the embeddings.
        attention_scores: Numbers of layers, from 0.
        queries: Likewise.
        keys: Likewise.
        values: Likewise.
        bits: Of each number: 8, 16 or 32.
    """
    _check_packed(shapes, "features")
    if not shapes.num_layers:
        raise ValueError(
            "features are those of a teacher's layers, and this one has none; "
            "logits are for it."
        )
    if bits not in _BITS:
        raise ValueError(f"features(bits={bits}): 8, 16 or 32.")
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
    "hybrid": hybrid,
    "hidden": hidden,
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
    distributions = [codec for codec in codecs if DISTRIBUTION in codec.gives]
    if len(set(names)) < len(names) or len(distributions) > 1:
        raise ValueError(f"--knowledge={', '.join(specs)}: stored twice.")
    return codecs[0] if len(codecs) == 1 else _Several(tuple(codecs))


def stored_pieces(codec: Codec) -> int | None:
    """Returns the K that is known of each distribution; None: all."""
    for one in _each(codec):
        if isinstance(one, TopK | PublishedTopK | Hybrid):
            return one.k
    return None


def drawn_pieces(codec: Codec) -> int:
    """Returns the number S of draws from beyond these K; 0: there are none."""
    for one in _each(codec):
        if isinstance(one, Hybrid):
            return one.samples
    return 0


def _each(codec: Codec) -> tuple[Codec, ...]:
    return codec.codecs if isinstance(codec, _Several) else (codec,)
