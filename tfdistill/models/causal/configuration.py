"""The shapes of language models."""

import dataclasses
from typing import ClassVar

from tfdistill.models.configuration import check_types

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CausalConfig:
    """What all language models have.

    Attributes:
        vocabulary_size: V.
        num_layers: N.
        hidden_dim: D.
        num_heads: H; 0 picks D / 64, or 1 where 64 does not divide D.
        intermediate_dim: Width of the feed-forward layers; 0 picks 4 D.
        dropout: Rate of every dropout, in [0, 1).
        layer_norm_epsilon: Of all layer norms.
        initializer_range: Deviation of the truncated normal that random
            weights are drawn from.

    Raises:
        ValueError: A value is of another type or out of range, or D is no
            multiple of H.
    """

    vocabulary_size: int = 50257
    num_layers: int = 12
    hidden_dim: int = 768
    num_heads: int = 0
    intermediate_dim: int = 0
    dropout: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02

    # How the canonical names of its weights begin.
    scope: ClassVar[str] = "causal"

    def __post_init__(self) -> None:
        check_types(self, "a language model")
        if self.num_heads == 0:
            heads = 1 if self.hidden_dim % 64 else self.hidden_dim // 64
            object.__setattr__(self, "num_heads", heads)
        if self.intermediate_dim == 0:
            object.__setattr__(self, "intermediate_dim", 4 * self.hidden_dim)
        for name, value in dataclasses.asdict(self).items():
            # A Transformer-XL may do without memory.
            least = 0 if name == "memory_length" else 1
            if type(value) is int and value < least:
                raise ValueError(f"{name}={value} is less than {least}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is not in [0, 1).")
        for name in ("layer_norm_epsilon", "initializer_range"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)} is no small number."
                )
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"hidden_dim={self.hidden_dim} is no multiple of "
                f"num_heads={self.num_heads}."
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_dim // self.num_heads

    @property
    def most_tokens(self) -> int | None:
        """Tokens of a text, at most; None: there is no limit."""
        return None

    @property
    def conventions(self) -> list[float]:
        """What a model computes with its weights, beside its class."""
        return [self.num_heads, self.layer_norm_epsilon]

    def weight_shapes(self) -> dict[str, Shape]:
        """Returns the shapes of all weights by the variables' names."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpt2Config(CausalConfig):
    """GPT-2; the defaults are those of the one with 124 million weights.

    Attributes:
        max_sequence_length: Rows of the position table.
    """

    max_sequence_length: int = 1024

    @property
    def most_tokens(self) -> int | None:
        """As `CausalConfig`."""
        return self.max_sequence_length

    def weight_shapes(self) -> dict[str, Shape]:
        """As `CausalConfig`."""
        dim, inner = self.hidden_dim, self.intermediate_dim
        shapes: dict[str, Shape] = {
            "encoder/word_embeddings/table": (self.vocabulary_size, dim),
            "encoder/position_embeddings/table": (
                self.max_sequence_length,
                dim,
            ),
            **_norm("encoder/final_layer_norm", dim),
        }
        for i in range(self.num_layers):
            layer = f"encoder/layer_{i}"
            shapes |= _norm(f"{layer}/attention_layer_norm", dim)
            shapes |= _dense(f"{layer}/qkv", dim, 3 * dim)
            shapes |= _dense(f"{layer}/attention_output", dim, dim)
            shapes |= _norm(f"{layer}/intermediate_layer_norm", dim)
            shapes |= _dense(f"{layer}/intermediate", dim, inner)
            shapes |= _dense(f"{layer}/output", inner, dim)
        return shapes


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerXlConfig(CausalConfig):
    """Transformer-XL, with one table for input and output.

    Attributes:
        segment_length: S, tokens that are computed together; gradients do
            not leave a segment.
        memory_length: M, tokens before a segment whose states it sees.
    """

    segment_length: int = 64
    memory_length: int = 128

    @property
    def conventions(self) -> list[float]:
        """As `CausalConfig`."""
        return [
            *super().conventions,
            self.segment_length,
            self.memory_length,
        ]

    def weight_shapes(self) -> dict[str, Shape]:
        """As `CausalConfig`."""
        dim, inner = self.hidden_dim, self.intermediate_dim
        shapes: dict[str, Shape] = {
            "encoder/word_embeddings/table": (self.vocabulary_size, dim)
        }
        for i in range(self.num_layers):
            layer = f"encoder/layer_{i}"
            shapes |= {
                f"{layer}/qkv": (dim, 3 * dim),
                f"{layer}/distances": (dim, dim),
                f"{layer}/content_bias": (dim,),
                f"{layer}/distance_bias": (dim,),
                f"{layer}/attention_output": (dim, dim),
            }
            shapes |= _norm(f"{layer}/attention_layer_norm", dim)
            shapes |= _dense(f"{layer}/intermediate", dim, inner)
            shapes |= _dense(f"{layer}/output", inner, dim)
            shapes |= _norm(f"{layer}/output_layer_norm", dim)
        return shapes


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _norm(name: str, dim: int) -> dict[str, Shape]:
    return {f"{name}/gamma": (dim,), f"{name}/beta": (dim,)}
