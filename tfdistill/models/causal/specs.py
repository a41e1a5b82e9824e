"""Language models from random weights: `gpt2(num_layers=4, hidden_dim=256)`."""

from collections.abc import Callable, Mapping

from tfdistill.models.causal.configuration import (
    Gpt2Config,
    TransformerXlConfig,
)


def gpt2(
    vocabulary_size: int,
    *,
    num_layers: int = 12,
    hidden_dim: int = 768,
    num_heads: int = 0,
    intermediate_dim: int = 0,
    dropout: float = 0.1,
    max_sequence_length: int = 1024,
) -> Gpt2Config:
    """GPT-2; the arguments are those of `Gpt2Config`."""
    return Gpt2Config(**locals())


def transformer_xl(
    vocabulary_size: int,
    *,
    num_layers: int = 12,
    hidden_dim: int = 512,
    num_heads: int = 0,
    intermediate_dim: int = 0,
    dropout: float = 0.1,
    segment_length: int = 64,
    memory_length: int = 128,
) -> TransformerXlConfig:
    """Transformer-XL; the arguments are those of `TransformerXlConfig`."""
    return TransformerXlConfig(**locals())


LANGUAGE_MODELS: Mapping[
    str, Callable[..., Gpt2Config | TransformerXlConfig]
] = {
    "gpt2": gpt2,
    "transformer_xl": transformer_xl,
}
