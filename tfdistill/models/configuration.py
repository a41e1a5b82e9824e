"""The shape and conventions of a BERT model."""

import dataclasses
import math
from typing import Any

# What a file says is tried, so it must not take for ever.
_MOST_LAYERS = 1000
_LARGEST = (1 << 31) - 1
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "tanh", "linear")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Everything that fixes a BERT model but its weights.

    The defaults are BERT-base with keras-nlp's conventions, so that a model
    made from them can be saved as a preset without loss: gelu by tanh in the
    encoder, exact gelu and an epsilon of 1e-5 in the masked-LM head.

    Attributes:
        vocabulary_size: V.
        num_layers: N.
        hidden_dim: D.
        num_heads: H; 0 picks D / 64, or 12 where 64 does not divide D.
        intermediate_dim: Width of the feed-forward layers; 0 picks 4 D.
        dropout: Rate of every dropout, in [0, 1).
        max_sequence_length: Rows of the position table.
        num_segments: Rows of the segment table.
        activation: One of `ACTIVATIONS`, in the encoder.
        layer_norm_epsilon: In the encoder.
        head_activation: In the masked-LM head.
        head_layer_norm_epsilon: In the masked-LM head.
        pooler_activation: Of what is pooled.
        num_classes: C, of a classifier; 1 for scores.
        initializer_range: Deviation of the truncated normal that random
            weights are drawn from.

    Raises:
        ValueError: A value is out of range, or D is no multiple of H.
    """

    vocabulary_size: int = 30522
    num_layers: int = 12
    hidden_dim: int = 768
    num_heads: int = 0
    intermediate_dim: int = 0
    dropout: float = 0.1
    max_sequence_length: int = 512
    num_segments: int = 2
    activation: str = "gelu_tanh"
    layer_norm_epsilon: float = 1e-12
    head_activation: str = "gelu"
    head_layer_norm_epsilon: float = 1e-5
    pooler_activation: str = "tanh"
    num_classes: int = 2
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        check_types(self, "a BERT model")
        if self.num_heads == 0:
            heads = 12 if self.hidden_dim % 64 else self.hidden_dim // 64
            object.__setattr__(self, "num_heads", heads)
        if self.intermediate_dim == 0:
            object.__setattr__(self, "intermediate_dim", 4 * self.hidden_dim)
        for name, value in dataclasses.asdict(self).items():
            if type(value) is int and value < 1:
                raise ValueError(f"{name}={value} is not positive.")
            if type(value) is float and not 0 <= value < math.inf:
                raise ValueError(f"{name}={value} is not in [0, ∞).")
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"hidden_dim={self.hidden_dim} is no multiple of "
                f"num_heads={self.num_heads}."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} is not in [0, 1).")
        for name in ("activation", "head_activation", "pooler_activation"):
            if getattr(self, name) not in ACTIVATIONS:
                raise ValueError(
                    f"Unknown {name} {getattr(self, name)!r}. "
                    f"Known: {', '.join(ACTIVATIONS)}."
                )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_dim // self.num_heads


def check_types(config: Any, whose: str) -> None:
    """Check the fields of a frozen dataclass against their defaults' types.

    Whole numbers are made floats where those are expected.

    Args:
        config: A dataclass whose fields all have defaults.
        whose: What it is of, for messages.

    Raises:
        ValueError: A field is of another type, or a number beyond reason.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        kind = type(field.default)
        # Larger ones may not fit in a float.
        if kind is float and type(value) is int and abs(value) <= _LARGEST:
            value = float(value)
            object.__setattr__(config, field.name, value)
        if type(value) is not kind:
            raise ValueError(
                f"{field.name}={value!r:.60} of {whose} is not of type "
                f"{kind.__name__}."
            )
        most = _MOST_LAYERS if field.name == "num_layers" else _LARGEST
        if isinstance(value, int) and value > most:
            raise ValueError(
                f"{field.name}={value!r:.60} of {whose} is more than {most:,}."
            )
