"""The conditional masked LM: BERT that reads a source and fills a target."""

from tfdistill.models.conditional.configuration import ConditionalConfig
from tfdistill.models.conditional.model import ConditionalLM

__all__ = ["ConditionalConfig", "ConditionalLM"]
