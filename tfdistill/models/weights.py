"""A model's weights under the names that BERT was published with.

Every file format is translated to and from these canonical names and shapes,
for instance `bert/encoder/layer_0/attention/self/query/kernel`, `[D, D]`.
Two of our variables are kept otherwise: query, key and value are one matrix
`[D, 3 D]`, and the next-sentence matrix is `[D, 2]` where the published one
is `[2, D]`. Weights of other models have our own names, behind the scope of
their kind, such as `words/`.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tfdistill.models.causal import CausalConfig
from tfdistill.models.conditional.configuration import ConditionalConfig
from tfdistill.models.configuration import BertConfig
from tfdistill.models.outputs import Model
from tfdistill.models.seq2seq.configuration import Seq2SeqConfig
from tfdistill.models.words import WordConfig

Weights = dict[str, np.ndarray]
Shape = tuple[int, ...]
Config = (
    BertConfig | WordConfig | CausalConfig | Seq2SeqConfig | ConditionalConfig
)

# How the canonical names of a part's weights begin.
PARTS: dict[str, tuple[str, ...]] = {
    "encoder": (
        "bert/embeddings/",
        "bert/encoder/",
        "words/encoder/",
        "causal/encoder/",
        "seq2seq/encoder/",
        "conditional/encoder/",
    ),
    "pooler": ("bert/pooler/", "words/pooler/"),
    "masked_lm": ("cls/predictions/",),
    "next_sentence": ("cls/seq_relationship/",),
    "classifier": ("classifier/",),
    "span": ("span/",),
    "generator": ("seq2seq/generator/", "conditional/generator/"),
}
# Those of a model as BERT was published.
PRETRAINING_PARTS = ("encoder", "pooler", "masked_lm", "next_sentence")

# Our names and the canonical ones, as far as they differ; those of a layer
# stand behind `encoder/layer_<i>/` and `bert/encoder/layer_<i>/`.
_NAMES = {
    "encoder/word_embeddings/table": "bert/embeddings/word_embeddings",
    "encoder/position_embeddings/table": "bert/embeddings/position_embeddings",
    "encoder/segment_embeddings/table": (
        "bert/embeddings/token_type_embeddings"
    ),
    "encoder/embeddings_layer_norm": "bert/embeddings/LayerNorm",
    "pooler": "bert/pooler/dense",
    "transform": "cls/predictions/transform/dense",
    "transform_layer_norm": "cls/predictions/transform/LayerNorm",
    "output_bias": "cls/predictions/output_bias",
    "next_sentence/kernel": "cls/seq_relationship/output_weights",
    "next_sentence/bias": "cls/seq_relationship/output_bias",
    "classifier": "classifier",
    "span": "span",
}
_LAYER_NAMES = {
    "attention_output": "attention/output/dense",
    "attention_layer_norm": "attention/output/LayerNorm",
    "intermediate": "intermediate/dense",
    "output": "output/dense",
    "output_layer_norm": "output/LayerNorm",
}


def variable_names(model: Model) -> dict[str, keras.Variable]:
    """Name the variables of a model as it is, `encoder/layer_0/qkv/kernel`.

    The names depend on the architecture alone. Those of layer norms and
    biases contain `layer_norm` or `bias`, and no others do.
    """
    return dict(_walk(model, ""))


def part_of(name: str) -> str:
    """Returns the part that a variable of `variable_names` belongs to."""
    first = name.split("/")[0]
    return first if first in PARTS else "masked_lm"


def count_parameters(
    model: Model, parts: Collection[str], *, with_embeddings: bool = True
) -> int:
    """Returns the number of weights in the given parts of a model.

    Args:
        model: The model.
        parts: Keys of `PARTS`.
        with_embeddings: Whether the tables of vectors count.
    """
    return sum(
        math.prod(variable.shape)
        for name, variable in variable_names(model).items()
        if part_of(name) in parts
        and (with_embeddings or not name.endswith("/table"))
    )


def _walk(
    layer: keras.layers.Layer, prefix: str
) -> Iterator[tuple[str, keras.Variable]]:
    for attribute, value in vars(layer).items():
        if attribute.startswith("_"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, keras.Variable):
                yield prefix + item.name, item
            elif isinstance(item, keras.layers.Layer):
                yield from _walk(item, f"{prefix}{item.name}/")


def weight_shapes(
    config: Config, parts: Collection[str] = PRETRAINING_PARTS
) -> dict[str, Shape]:
    """Returns the canonical names and shapes of a model's weights."""
    if not isinstance(config, BertConfig):
        own = config.weight_shapes()
        return of_parts({_own(n, config): x for n, x in own.items()}, parts)
    dim, inner = config.hidden_dim, config.intermediate_dim
    shapes: dict[str, Shape] = {
        "bert/embeddings/word_embeddings": (config.vocabulary_size, dim),
        "bert/embeddings/position_embeddings": (
            config.max_sequence_length,
            dim,
        ),
        "bert/embeddings/token_type_embeddings": (config.num_segments, dim),
        **_norm("bert/embeddings/LayerNorm", dim),
    }
    for i in range(config.num_layers):
        layer = f"bert/encoder/layer_{i}"
        for name in ("query", "key", "value"):
            shapes |= _dense(f"{layer}/attention/self/{name}", dim, dim)
        shapes |= _dense(f"{layer}/attention/output/dense", dim, dim)
        shapes |= _norm(f"{layer}/attention/output/LayerNorm", dim)
        shapes |= _dense(f"{layer}/intermediate/dense", dim, inner)
        shapes |= _dense(f"{layer}/output/dense", inner, dim)
        shapes |= _norm(f"{layer}/output/LayerNorm", dim)
    shapes |= _dense("bert/pooler/dense", dim, dim)
    shapes |= _dense("cls/predictions/transform/dense", dim, dim)
    shapes |= _norm("cls/predictions/transform/LayerNorm", dim)
    shapes["cls/predictions/output_bias"] = (config.vocabulary_size,)
    shapes["cls/seq_relationship/output_weights"] = (2, dim)
    shapes["cls/seq_relationship/output_bias"] = (2,)
    shapes |= _dense("classifier", dim, config.num_classes)
    shapes |= _dense("span", dim, 2)
    return of_parts(shapes, parts)


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _norm(name: str, dim: int) -> dict[str, Shape]:
    return {f"{name}/gamma": (dim,), f"{name}/beta": (dim,)}


def of_parts(
    named: Mapping[str, Any], parts: Collection[str]
) -> dict[str, Any]:
    """Returns what belongs to some parts, by canonical name."""
    prefixes = tuple(prefix for part in parts for prefix in PARTS[part])
    return {n: value for n, value in named.items() if n.startswith(prefixes)}


def parts_in(names: Collection[str]) -> frozenset[str]:
    """Returns the parts that at least one canonical name belongs to."""
    return frozenset(
        part
        for part, prefixes in PARTS.items()
        if any(name.startswith(prefixes) for name in names)
    )


def named_weights(
    model: Model, parts: Collection[str] | None = None
) -> Weights:
    """Copy weights of some parts, or all, out: float32 by canonical name."""
    parts = model.parts if parts is None else parts
    weights: Weights = {}
    for name, variable in variable_names(model).items():
        canonical = _canonical_names(name, model.config)
        if not of_parts(dict.fromkeys(canonical), parts):
            continue
        array = keras.ops.convert_to_numpy(variable)
        if name == "next_sentence/kernel":
            array = array.T
        weights |= zip(
            canonical, np.split(array, len(canonical), axis=-1), strict=True
        )
    return weights


def assign_weights(
    model: Model,
    weights: Mapping[str, np.ndarray],
    *,
    source: str,
    parts: Collection[str] | None = None,
) -> None:
    """Set all weights of some parts of a model, or of all; others stay.

    Under a distribution strategy every replica's copy is set.

    Args:
        model: The model.
        weights: Arrays by canonical name: those of the parts, no others.
        source: Where they come from, for messages.
        parts: Keys of `PARTS`.

    Raises:
        ValueError: A weight is missing, has another shape, or does not
            belong there. Nothing has been set then.
    """
    parts = model.parts if parts is None else parts
    check_weights(weights, model.config, source=source, parts=parts)
    for name, variable in variable_names(model).items():
        canonical = _canonical_names(name, model.config)
        if canonical[0] not in weights:
            continue
        array = np.concatenate([weights[n] for n in canonical], axis=-1)
        if name == "next_sentence/kernel":
            array = array.T
        variable.assign(array.astype(np.float32, copy=False))


def check_weights(
    weights: Mapping[str, np.ndarray],
    config: Config,
    *,
    source: str,
    parts: Collection[str] = PRETRAINING_PARTS,
) -> None:
    """Prove that weights are those of parts of a model, all and no others.

    Raises:
        ValueError: They are not; the message names `source`, the weight and
            the shapes.
    """
    expected = weight_shapes(config, parts)
    for name, shape in expected.items():
        if name not in weights:
            raise ValueError(
                f"{source} lacks the weight {name} of shape {shape}."
            )
        if weights[name].shape != shape:
            raise ValueError(
                f"{source}: {name} has shape {weights[name].shape}, "
                f"expected {shape}."
            )
    for name, array in weights.items():
        if name not in expected:
            raise ValueError(
                f"{source} holds the weight {name} of shape {array.shape}, "
                "which is not expected there."
            )


def fingerprint(weights: Mapping[str, np.ndarray], config: Config) -> str:
    """Returns a hash of what a model computes.

    It covers the weights given and the conventions that they are used with,
    so it does not depend on the file format, nor on settings that matter to
    training only.
    """
    conventions = _conventions(config, parts_in(weights))
    digest = hashlib.sha256(json.dumps(conventions).encode())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name], "<f4")
        digest.update(f"{name}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _conventions(config: Config, parts: Collection[str]) -> list[Any]:
    """Returns what a model computes with its weights, as JSON values."""
    if isinstance(config, ConditionalConfig):
        of_bert = _conventions(config.bert, ["masked_lm"])
        return [type(config).__name__, config.num_groups, *of_bert]
    if not isinstance(config, BertConfig):
        return [type(config).__name__, *config.conventions]
    found: list[Any] = [
        config.num_heads,
        config.activation,
        config.layer_norm_epsilon,
    ]
    if "masked_lm" in parts:
        found += [config.head_activation, config.head_layer_norm_epsilon]
    if "pooler" in parts and config.pooler_activation != "tanh":
        found.append(config.pooler_activation)
    return found


def _own(name: str, config: Config) -> str:
    """Returns the canonical name of a variable that has our own name."""
    if isinstance(config, BertConfig) or name.startswith("classifier/"):
        return name
    return f"{config.scope}/{name}"


def _canonical_names(name: str, config: Config) -> tuple[str, ...]:
    """Returns the weights that the variable of a name is made of."""
    if not isinstance(config, BertConfig):
        return (_own(name, config),)
    if name in _NAMES:
        return (_NAMES[name],)
    owner, kind = name.rsplit("/", 1)
    if owner in _NAMES:
        return (f"{_NAMES[owner]}/{kind}",)
    _, layer, inner = owner.split("/")
    if inner == "qkv":
        return tuple(
            f"bert/encoder/{layer}/attention/self/{part}/{kind}"
            for part in ("query", "key", "value")
        )
    return (f"bert/encoder/{layer}/{_LAYER_NAMES[inner]}/{kind}",)
