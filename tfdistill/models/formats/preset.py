"""keras-nlp's presets, for `keras_hub.models.BertMaskedLM.from_preset`.

    config.json      model.weights.h5   the encoder with its pooler
    task.json        task.weights.h5    the masked-LM head, if there is one
    tokenizer.json   assets/tokenizer/vocabulary.txt
    next_sentence.safetensors           ours, as keras-nlp has no such head

keras-nlp is imported where it is needed, as that takes seconds.
"""

import os
import pathlib
import shutil
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np

from tfdistill.files import read_json, write_atomically
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.formats.settings import make_config
from tfdistill.models.formats.vocabulary import warn_of_accents
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.models.weights import (
    Weights,
    named_weights,
    parts_in,
    weight_shapes,
)
from tfdistill.tensors import load_tensors, save_tensors
from tfdistill.text.tokenizer import SPECIAL_PIECES

_CONFIG = "config.json"
_TASK = "task.json"
_TASK_WEIGHTS = "task.weights.h5"
_NEXT_SENTENCE = "next_sentence.safetensors"
# What keras-nlp computes, whatever the preset.
_CONVENTIONS = {
    "activation": "gelu_tanh",
    "layer_norm_epsilon": 1e-12,
    "head_activation": "gelu",
    "head_layer_norm_epsilon": 1e-5,
}
_SHAPE_FIELDS = (
    "vocabulary_size",
    "num_layers",
    "num_heads",
    "hidden_dim",
    "intermediate_dim",
    "dropout",
    "max_sequence_length",
    "num_segments",
)
# keras-nlp's paths and canonical names, layers apart.
_PATHS = {
    "token_embedding/embeddings": "bert/embeddings/word_embeddings",
    "position_embedding/embeddings": "bert/embeddings/position_embeddings",
    "segment_embedding/embeddings": "bert/embeddings/token_type_embeddings",
    "embeddings_layer_norm": "bert/embeddings/LayerNorm",
    "pooled_dense": "bert/pooler/dense",
    "mlm_head/intermediate_dense": "cls/predictions/transform/dense",
    "mlm_head/intermediate_layer_norm": ("cls/predictions/transform/LayerNorm"),
    "mlm_head/output_bias": "cls/predictions/output_bias",
}
_LAYER_PATHS = {
    "self_attention_layer/query": "attention/self/query",
    "self_attention_layer/key": "attention/self/key",
    "self_attention_layer/value": "attention/self/value",
    "self_attention_layer/attention_output": "attention/output/dense",
    "self_attention_layer_norm": "attention/output/LayerNorm",
    "feedforward_intermediate_dense": "intermediate/dense",
    "feedforward_output_dense": "output/dense",
    "feedforward_layer_norm": "output/LayerNorm",
}


def save_preset(
    model: MaskedLM,
    vocabulary: Sequence[str],
    *,
    do_lower_case: bool,
    parts: Collection[str],
    path: str | os.PathLike[str],
) -> None:
    """Write a preset that keras-nlp loads without this toolkit.

    With a masked-LM head it is one of `BertMaskedLM`, else of
    `BertBackbone`. An older preset under `path` is replaced. As keras-nlp
    knows no BERT without a pooler, zeros stand for one that is not among
    the parts.

    Args:
        model: The model, with the conventions that keras-nlp has.
        vocabulary: Its pieces in the order of their ids.
        do_lower_case: Whether text is lower-cased and stripped of accents.
        parts: Keys of `models.weights.PARTS`: those that hold more than
            random weights.
        path: The folder.

    Raises:
        ValueError: The model has other conventions, the vocabulary lacks a
            special piece, or the folder holds something else.
        OSError: It cannot be written.
    """
    _check_conventions(model.config, parts)
    missing = [piece for piece in SPECIAL_PIECES if piece not in vocabulary]
    if missing:
        raise ValueError(f"The vocabulary lacks the piece {missing[0]}.")
    folder = pathlib.Path(path)
    is_old = folder.is_dir() and _matches(folder)
    if folder.exists() and not is_old:
        raise ValueError(f"{folder} exists and is no keras-nlp preset.")
    weights = named_weights(model, parts)
    if "pooler" not in parts:
        shapes = weight_shapes(model.config, ("pooler",))
        weights |= {name: np.zeros(shapes[name]) for name in shapes}
    with write_atomically(folder) as temporary:
        _save(temporary, model.config, weights, vocabulary, do_lower_case)
        if "next_sentence" in parts:
            save_tensors(
                temporary / _NEXT_SENTENCE,
                named_weights(model, ("next_sentence",)),
                {},
            )
        if is_old:
            shutil.rmtree(folder)


def _check_conventions(config: BertConfig, parts: Collection[str]) -> None:
    for name, value in _CONVENTIONS.items():
        if name.startswith("head_") and "masked_lm" not in parts:
            continue
        if getattr(config, name) != value:
            raise ValueError(
                f"A keras-nlp preset has {name}={value}; this model has "
                f"{getattr(config, name)}."
            )


def _save(
    path: pathlib.Path,
    config: BertConfig,
    weights: Weights,
    vocabulary: Sequence[str],
    do_lower_case: bool,
) -> None:
    import keras_hub

    tokenizer = keras_hub.models.BertTokenizer(
        list(vocabulary), lowercase=do_lower_case, strip_accents=do_lower_case
    )
    backbone = keras_hub.models.BertBackbone(
        **{name: getattr(config, name) for name in _SHAPE_FIELDS}
    )
    saved: Any = backbone
    if "masked_lm" in parts_in(weights):
        saved = keras_hub.models.BertMaskedLM(
            backbone,
            keras_hub.models.BertMaskedLMPreprocessor(
                tokenizer, sequence_length=config.max_sequence_length
            ),
        )
    else:
        tokenizer.save_to_preset(str(path))
    for name, variable in _variables(saved).items():
        # Heads have an axis of their own there.
        variable.assign(weights[name].reshape(variable.shape))
    saved.save_to_preset(str(path))


def _read(folder: pathlib.Path) -> ModelContents:
    import keras_hub

    path = folder / _CONFIG
    settings = read_json(path)
    if settings["class_name"] != "BertBackbone":
        raise ValueError(
            f"{path}: unknown class_name {settings['class_name']!r}. "
            "Known: BertBackbone."
        )
    has_head = (
        (folder / _TASK).exists()
        and (folder / _TASK_WEIGHTS).exists()
        and read_json(folder / _TASK).get("class_name") == "BertMaskedLM"
    )
    kind = (
        keras_hub.models.BertMaskedLM
        if has_head
        else keras_hub.models.BertBackbone
    )
    # Keras names what is wrong in all kinds of exceptions, over many lines.
    try:
        model = kind.from_preset(str(folder), dtype="float32")
        tokenizer = keras_hub.models.BertTokenizer.from_preset(str(folder))
    except Exception as error:
        cause = " ".join(str(error).split())
        raise ValueError(
            f"{folder} cannot be read as a keras-nlp preset: {cause}"
        ) from None
    backbone = model.backbone if has_head else model
    config = make_config(
        path,
        {name: getattr(backbone, name) for name in _SHAPE_FIELDS}
        | _CONVENTIONS,
    )
    warn_of_accents(
        folder / "tokenizer.json",
        tokenizer.lowercase,
        {"strip_accents": tokenizer.strip_accents},
    )
    return ModelContents(
        config=config,
        weights=_weights_of(model, config) | _read_next_sentence(folder),
        vocabulary=tuple(tokenizer.get_vocabulary()),
        do_lower_case=tokenizer.lowercase,
        source=str(folder),
    )


def _weights_of(model: keras.Model, config: BertConfig) -> Weights:
    shapes = weight_shapes(config)
    weights = {
        name: keras.ops.convert_to_numpy(variable).reshape(shapes[name])
        for name, variable in _variables(model).items()
    }
    pooler = weight_shapes(config, ("pooler",))
    if not any(weights[name].any() for name in pooler):
        weights = {n: w for n, w in weights.items() if n not in pooler}
    return weights


def _read_next_sentence(folder: pathlib.Path) -> Weights:
    path = folder / _NEXT_SENTENCE
    return load_tensors(path)[0] if path.exists() else {}


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    return {_canonical_name(v.path): v for v in model.weights}


def _canonical_name(path: str) -> str:
    if path in _PATHS:
        return _PATHS[path]
    owner, kind = path.rsplit("/", 1)
    if owner in _PATHS:
        return f"{_PATHS[owner]}/{kind}"
    layer, inner = owner.removeprefix("transformer_").split("/", 1)
    return f"bert/encoder/{layer}/{_LAYER_PATHS[inner]}/{kind}"


def _matches(folder: pathlib.Path) -> bool:
    path = folder / _CONFIG
    return path.exists() and "class_name" in read_json(path)


READER = Reader(
    looks_for=f"{_CONFIG} with a class_name", matches=_matches, read=_read
)
