"""The shape of a sequence-to-sequence Transformer."""

import dataclasses
import math
from typing import ClassVar

from tfdistill.models.configuration import check_types

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig:
    """Everything that fixes such a model but its weights.

    The defaults are those of the source system, Transformer-base with more
    dropout: 44,140,544 weights, and 513 for each piece.

    Attributes:
        vocabulary_size: V, pieces of source and target.
        num_layers: Of the encoder.
        num_decoder_layers: Of the decoder; 0: as many.
        hidden_dim: D.
        num_heads: H; 0 picks D / 64, or 4 where 64 does not divide D.
        intermediate_dim: Width of the feed-forward layers; 0 picks 4 D.
        dropout: Rate of every dropout, in [0, 1).
        layer_norm_epsilon: Of all layer norms.

    Raises:
        ValueError: A value is out of range, D is odd or no multiple of H.
    """

    vocabulary_size: int = 30_000
    num_layers: int = 6
    num_decoder_layers: int = 0
    hidden_dim: int = 512
    num_heads: int = 0
    intermediate_dim: int = 0
    dropout: float = 0.3
    layer_norm_epsilon: float = 1e-6

    # How the canonical names of its weights begin.
    scope: ClassVar[str] = "seq2seq"

    def __post_init__(self) -> None:
        check_types(self, "a seq2seq model")
        chosen = {
            "num_decoder_layers": self.num_layers,
            "num_heads": 4 if self.hidden_dim % 64 else self.hidden_dim // 64,
            "intermediate_dim": 4 * self.hidden_dim,
        }
        for name, value in chosen.items():
            if getattr(self, name) == 0:
                object.__setattr__(self, name, value)
        for name, value in dataclasses.asdict(self).items():
            if type(value) is int and value < 1:
                raise ValueError(f"{name}={value} is not positive.")
            if type(value) is float and not 0 <= value < math.inf:
                raise ValueError(f"{name}={value} is not in [0, ∞).")
        if self.dropout >= 1:
            raise ValueError(f"dropout={self.dropout} is not in [0, 1).")
        if self.hidden_dim % self.num_heads or self.hidden_dim % 2:
            raise ValueError(
                f"hidden_dim={self.hidden_dim} is no even multiple of "
                f"num_heads={self.num_heads}."
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_dim // self.num_heads

    @property
    def conventions(self) -> list[float]:
        """What a model computes with its weights, beside its class."""
        return [self.num_heads, self.layer_norm_epsilon]

    def weight_shapes(self) -> dict[str, Shape]:
        """Returns the shapes of all weights by the variables' names."""
        dim, inner = self.hidden_dim, self.intermediate_dim
        shapes: dict[str, Shape] = {
            "encoder/embedding/table": (self.vocabulary_size, dim),
            "generator/output_bias": (self.vocabulary_size,),
        }
        for part, count, attentions in (
            ("encoder", self.num_layers, ("attention",)),
            (
                "generator",
                self.num_decoder_layers,
                ("self_attention", "cross_attention"),
            ),
        ):
            for i in range(count):
                layer = f"{part}/layer_{i}"
                for name in attentions:
                    shapes |= _dense(f"{layer}/{name}/query", dim, dim)
                    shapes |= _dense(f"{layer}/{name}/key_value", dim, 2 * dim)
                    shapes |= _dense(f"{layer}/{name}/output", dim, dim)
                    shapes |= _norm(f"{layer}/{name}_layer_norm", dim)
                shapes |= _dense(
                    f"{layer}/feed_forward/intermediate", dim, inner
                )
                shapes |= _dense(f"{layer}/feed_forward/output", inner, dim)
                shapes |= _norm(f"{layer}/feed_forward_layer_norm", dim)
            shapes |= _norm(f"{part}/final_layer_norm", dim)
        return shapes


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _norm(name: str, dim: int) -> dict[str, Shape]:
    return {f"{name}/gamma": (dim,), f"{name}/beta": (dim,)}
