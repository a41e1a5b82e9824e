"""Language models that say what comes next: GPT-2 and Transformer-XL."""

from tfdistill.models.causal.configuration import (
    CausalConfig,
    Gpt2Config,
    TransformerXlConfig,
)
from tfdistill.models.causal.language_model import LanguageModel

__all__ = [
    "CausalConfig",
    "Gpt2Config",
    "LanguageModel",
    "TransformerXlConfig",
]
