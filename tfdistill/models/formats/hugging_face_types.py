"""Hugging Face's types of models: what each calls its weights and settings.

In a table of names, `N` stands for the number of a layer.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfdistill.models.formats.settings import (
    BERT_NAMES,
    choose,
    one_dropout,
    shape_fields,
)
from tfdistill.models.weights import Weights

_WORDS = "bert/embeddings/word_embeddings"
_POSITIONS = "bert/embeddings/position_embeddings"
_SEGMENTS = "bert/embeddings/token_type_embeddings"
_TRANSFORM = "cls/predictions/transform"
_OUTPUT_BIAS = "cls/predictions/output_bias"
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
# Settings of which one value is understood.
_ONLY: dict[str, str | bool] = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
_PAD_ID = 1

_ENCODER = {
    "embeddings.word_embeddings": _WORDS,
    "embeddings.position_embeddings": _POSITIONS,
    "embeddings.token_type_embeddings": _SEGMENTS,
    "embeddings.LayerNorm": "bert/embeddings/LayerNorm",
    **{
        f"encoder.layer.N.{name}": (
            f"bert/encoder/layer_N/{name.replace('.', '/')}"
        )
        for name in (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "attention.output.LayerNorm",
            "intermediate.dense",
            "output.dense",
            "output.LayerNorm",
        )
    },
    "pooler.dense": "bert/pooler/dense",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelType:
    """One `model_type` of config.json.

    Attributes:
        prefix: In front of the encoder's names; bare encoders lack it.
        owners: Names up to `.weight` or `.bias`, and the canonical ones up
            to `/kernel`, `/gamma` and the like.
        whole: Whole names that follow no rule.
        copies: Copies of tied weights, which must equal them, and their
            originals.
        replaced: Owners that are of no use where another is there, and
            those others.
        fields: Finds the fields of `BertConfig` in settings; the path is
            for messages.
        finish: Brings weights, by canonical name, into the canonical form.
    """

    prefix: str
    owners: Mapping[str, str]
    whole: Mapping[str, str]
    copies: Mapping[str, str]
    replaced: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fields: Callable[[pathlib.Path, Mapping[str, Any]], dict[str, Any]]
    finish: Callable[[Weights, Mapping[str, Any]], Weights] = (
        lambda weights, settings: weights
    )

    def canonical(self, name: str) -> str | None:
        """Returns `cls/predictions/transform/dense/kernel` and the like.

        Args:
            name: Without the prefix.
        """
        if name in self.whole:
            return self.whole[name]
        path, _, kind = name.rpartition(".")
        number = re.search(r"\.layer\.(\d+)\.", path)
        if number:
            path = path.replace(number[0], ".layer.N.", 1)
        owner = self.owners.get(path)
        if owner is None:
            return None
        if number:
            owner = owner.replace("N", number[1], 1)
        if owner.endswith("_embeddings"):
            return owner if kind == "weight" else None
        kinds = (
            {
                "weight": "gamma",
                "gamma": "gamma",
                "bias": "beta",
                "beta": "beta",
            }
            if owner.endswith("/LayerNorm")
            else {"weight": "kernel", "bias": "bias"}
        )
        return f"{owner}/{kinds[kind]}" if kind in kinds else None


def _bert_fields(
    path: pathlib.Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    for key, only in _ONLY.items():
        choose(path, settings, key, only, {only: only})
    activation = choose(path, settings, "hidden_act", "gelu", _ACTIVATIONS)
    epsilon = settings.get("layer_norm_eps", 1e-12)
    return {
        **shape_fields(path, settings),
        "dropout": one_dropout(
            path,
            settings.get("hidden_dropout_prob", 0.1),
            {
                "attention": settings.get("attention_probs_dropout_prob"),
                "its classifier": settings.get("classifier_dropout"),
            },
        ),
        "num_segments": settings.get("type_vocab_size", 2),
        "activation": activation,
        "layer_norm_epsilon": epsilon,
        "head_activation": activation,
        "head_layer_norm_epsilon": epsilon,
    }


def _roberta_fields(
    path: pathlib.Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    pad_id = settings.get("pad_token_id", _PAD_ID)
    if type(pad_id) is not int or pad_id < 0:
        raise ValueError(f"{path}: pad_token_id={pad_id!r} is no piece's id.")
    fields = _bert_fields(path, settings)
    if type(fields["max_sequence_length"]) is int:
        fields["max_sequence_length"] -= pad_id + 1
    return fields | {
        # The masked-LM head has it whatever the encoder's.
        "head_activation": "gelu",
    }


def _without_padding_rows(
    weights: Weights, settings: Mapping[str, Any]
) -> Weights:
    """Drop the rows up to the padding's id; the first position is next."""
    first = settings.get("pad_token_id", _PAD_ID) + 1
    positions = weights.get(_POSITIONS)
    if positions is None:
        return weights
    return weights | {_POSITIONS: positions[first:]}


def _distilbert_fields(
    path: pathlib.Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    activation = choose(path, settings, "activation", "gelu", _ACTIVATIONS)
    names = {
        **BERT_NAMES,
        "num_layers": "n_layers",
        "hidden_dim": "dim",
        "num_heads": "n_heads",
        "intermediate_dim": "hidden_dim",
    }
    return {
        **shape_fields(path, settings, names),
        "dropout": one_dropout(
            path,
            settings.get("dropout", 0.1),
            # seq_classif_dropout is another one wherever it is published.
            {"attention": settings.get("attention_dropout")},
        ),
        "num_segments": 1,
        "activation": activation,
        "layer_norm_epsilon": 1e-12,
        "head_activation": activation,
        "head_layer_norm_epsilon": 1e-12,
        "pooler_activation": "relu",
    }


def _with_one_segment(weights: Weights, settings: Mapping[str, Any]) -> Weights:
    """Add the row of a segment, which adds nothing."""
    words = weights.get(_WORDS)
    if words is None:
        return weights
    return weights | {_SEGMENTS: np.zeros_like(words[:1])}


MODEL_TYPES = {
    "bert": ModelType(
        prefix="bert.",
        owners={
            **_ENCODER,
            "cls.predictions.transform.dense": f"{_TRANSFORM}/dense",
            "cls.predictions.transform.LayerNorm": f"{_TRANSFORM}/LayerNorm",
            "classifier": "classifier",
            "qa_outputs": "span",
        },
        whole={
            "cls.predictions.bias": _OUTPUT_BIAS,
            "cls.seq_relationship.weight": "cls/seq_relationship/output_weights",
            "cls.seq_relationship.bias": "cls/seq_relationship/output_bias",
        },
        copies={
            "cls.predictions.decoder.weight": _WORDS,
            "cls.predictions.decoder.bias": _OUTPUT_BIAS,
        },
        fields=_bert_fields,
    ),
    "roberta": ModelType(
        prefix="roberta.",
        owners={
            **_ENCODER,
            "lm_head.dense": f"{_TRANSFORM}/dense",
            "lm_head.layer_norm": f"{_TRANSFORM}/LayerNorm",
            "classifier.dense": "bert/pooler/dense",
            "classifier.out_proj": "classifier",
            "qa_outputs": "span",
        },
        whole={"lm_head.bias": _OUTPUT_BIAS},
        copies={
            "lm_head.decoder.weight": _WORDS,
            "lm_head.decoder.bias": _OUTPUT_BIAS,
        },
        # A classifier pools by itself; what pre-training left is not read.
        replaced={"pooler.dense": "classifier.dense"},
        fields=_roberta_fields,
        finish=_without_padding_rows,
    ),
    "distilbert": ModelType(
        prefix="distilbert.",
        owners={
            "embeddings.word_embeddings": _WORDS,
            "embeddings.position_embeddings": _POSITIONS,
            "embeddings.LayerNorm": "bert/embeddings/LayerNorm",
            **{
                f"transformer.layer.N.{theirs}": f"bert/encoder/layer_N/{ours}"
                for theirs, ours in {
                    "attention.q_lin": "attention/self/query",
                    "attention.k_lin": "attention/self/key",
                    "attention.v_lin": "attention/self/value",
                    "attention.out_lin": "attention/output/dense",
                    "sa_layer_norm": "attention/output/LayerNorm",
                    "ffn.lin1": "intermediate/dense",
                    "ffn.lin2": "output/dense",
                    "output_layer_norm": "output/LayerNorm",
                }.items()
            },
            "vocab_transform": f"{_TRANSFORM}/dense",
            "vocab_layer_norm": f"{_TRANSFORM}/LayerNorm",
            "pre_classifier": "bert/pooler/dense",
            "classifier": "classifier",
            "qa_outputs": "span",
        },
        whole={"vocab_projector.bias": _OUTPUT_BIAS},
        copies={"vocab_projector.weight": _WORDS},
        fields=_distilbert_fields,
        finish=_with_one_segment,
    ),
}
