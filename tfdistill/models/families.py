"""The families of models that keras-nlp has, and what it computes for each.

All are the encoder of BERT. Two have no segments, and differ from it in
activations and epsilons; RoBERTa has another tokenizer.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

from tfdistill.models.configuration import BertConfig
from tfdistill.text.byte_pairs import BytePair
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.text.word_pieces import WordPiece


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models.

    Attributes:
        name: What keras-nlp's classes begin with.
        tokenizer: Its kind of tokenizer.
        has_segments: Whether there is a segment table.
        has_pooler: Whether a model without a classifier has a pooler.
        activation: Field of `BertConfig`, as are the others.
        layer_norm_epsilon: Of the encoder.
        pooler_activation: Of what is pooled.
        head_activation: Of the masked-LM head.
        head_layer_norm_epsilon: Of the masked-LM head.
    """

    name: str
    tokenizer: type
    has_segments: bool
    has_pooler: bool
    activation: str
    layer_norm_epsilon: float
    pooler_activation: str
    head_activation: str = "gelu"
    head_layer_norm_epsilon: float = 1e-5

    @property
    def conventions(self) -> dict[str, Any]:
        """The fields of `BertConfig` that are the same in all models."""
        return {
            name: getattr(self, name)
            for name in (
                "activation",
                "layer_norm_epsilon",
                "pooler_activation",
                "head_activation",
                "head_layer_norm_epsilon",
            )
        }

    def misfit(self, config: BertConfig, parts: Collection[str]) -> str:
        """Returns what keras-nlp would compute otherwise, if anything.

        Args:
            config: Of a model.
            parts: Its parts, keys of `models.weights.PARTS`.
        """
        fixed = self.conventions
        if not self.has_segments:
            fixed["num_segments"] = 1
        if "masked_lm" not in parts:
            del fixed["head_activation"], fixed["head_layer_norm_epsilon"]
        if "pooler" not in parts:
            del fixed["pooler_activation"]
        for name, value in fixed.items():
            if getattr(config, name) != value:
                return (
                    f"A keras-nlp preset of {self.name} has {name}={value}; "
                    f"this model has {getattr(config, name)}."
                )
        return ""


BERT = Family(
    name="Bert",
    tokenizer=WordPiece,
    has_segments=True,
    has_pooler=True,
    activation="gelu_tanh",
    layer_norm_epsilon=1e-12,
    pooler_activation="tanh",
)
ROBERTA = Family(
    name="Roberta",
    tokenizer=BytePair,
    has_segments=False,
    has_pooler=False,
    activation="gelu",
    layer_norm_epsilon=1e-5,
    pooler_activation="tanh",
)
DISTILBERT = Family(
    name="DistilBert",
    tokenizer=WordPiece,
    has_segments=False,
    has_pooler=False,
    activation="gelu",
    layer_norm_epsilon=1e-12,
    pooler_activation="relu",
)
FAMILIES = (BERT, ROBERTA, DISTILBERT)


def family_of(tokenizer: Tokenizer, config: BertConfig) -> Family:
    """Returns the family that a model is nearest to.

    The tokenizer tells RoBERTa from the others; what pools tells DistilBERT
    from BERT, as it is the one thing that its students cannot give up.
    """
    if isinstance(tokenizer, BytePair):
        return ROBERTA
    return DISTILBERT if config.pooler_activation == "relu" else BERT
