"""Hugging Face's format of BERT, with or without its pre-training heads.

config.json   model.safetensors, or several and an index
vocab.txt or tokenizer.json   tokenizer_config.json
"""

import pathlib
import re

import numpy as np

from tfdistill.files import read_json
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.formats.settings import (
    choose,
    common_fields,
    make_config,
)
from tfdistill.models.formats.vocabulary import find_casing, find_vocabulary
from tfdistill.models.weights import Weights
from tfdistill.tensors import load_tensors

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
# Settings of which one value is understood.
_ONLY: dict[str, str | bool] = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
_WORDS = "bert/embeddings/word_embeddings"
_OUTPUT_BIAS = "cls/predictions/output_bias"
# Copies of tied weights, which must equal them, and their originals.
_COPIES = {
    "cls.predictions.decoder.weight": _WORDS,
    "cls.predictions.decoder.bias": _OUTPUT_BIAS,
}
_NO_WEIGHTS = {"embeddings.position_ids"}
_WHOLE_NAMES = {
    "cls.predictions.bias": _OUTPUT_BIAS,
    "cls.seq_relationship.weight": "cls/seq_relationship/output_weights",
    "cls.seq_relationship.bias": "cls/seq_relationship/output_bias",
}


def _read(folder: pathlib.Path) -> ModelContents:
    config = _read_config(folder / _CONFIG)
    source = str(_weights_file(folder))
    vocabulary = find_vocabulary(folder)
    return ModelContents(
        config=config,
        weights=_to_canonical(_read_tensors(folder), source),
        vocabulary=vocabulary,
        do_lower_case=find_casing(folder, vocabulary),
        source=source,
    )


def _read_config(path: pathlib.Path) -> BertConfig:
    settings = read_json(path)
    for key, only in _ONLY.items():
        choose(path, settings, key, only, {only: only})
    activation = choose(path, settings, "hidden_act", "gelu", _ACTIVATIONS)
    epsilon = settings.get("layer_norm_eps", 1e-12)
    return make_config(
        path,
        {
            **common_fields(path, settings),
            "num_segments": settings.get("type_vocab_size", 2),
            "activation": activation,
            "layer_norm_epsilon": epsilon,
            "head_activation": activation,
            "head_layer_norm_epsilon": epsilon,
        },
    )


def _weights_file(folder: pathlib.Path) -> pathlib.Path:
    for name in (_WEIGHTS, _INDEX):
        if (folder / name).exists():
            return folder / name
    if (folder / "pytorch_model.bin").exists():
        raise ValueError(
            f"{folder} has pytorch_model.bin only, a pickle, which is not "
            "opened here. Convert it with transformers: "
            "AutoModelForPreTraining.from_pretrained(folder)"
            ".save_pretrained(folder, safe_serialization=True)."
        )
    raise ValueError(
        f"{folder} has no weights: looked for {_WEIGHTS} and {_INDEX}."
    )


def _read_tensors(folder: pathlib.Path) -> Weights:
    path = _weights_file(folder)
    if path.name == _WEIGHTS:
        return load_tensors(path)[0]
    shard_of = read_json(path).get("weight_map")
    if not isinstance(shard_of, dict):
        raise ValueError(f"{path} has no weight_map.")
    tensors: Weights = {}
    for shard in sorted(set(map(str, shard_of.values()))):
        if pathlib.Path(shard).name != shard:
            raise ValueError(f"{path} names {shard}, which is elsewhere.")
        if not (folder / shard).exists():
            raise ValueError(f"{path} names {shard}, which is not there.")
        tensors |= load_tensors(folder / shard)[0]
    lost = sorted(shard_of.keys() - tensors.keys())
    if lost:
        raise ValueError(
            f"{path} says that {shard_of[lost[0]]} holds {lost[0]}, but it "
            "does not."
        )
    return tensors


def _to_canonical(tensors: Weights, source: str) -> Weights:
    weights: Weights = {}
    copies: Weights = {}
    for full_name, tensor in tensors.items():
        name = full_name.removeprefix("bert.")
        if name in _NO_WEIGHTS:
            continue
        array = tensor.astype(np.float32, copy=False)
        if name in _COPIES:
            copies[name] = array
            continue
        canonical = _canonical_name(name)
        if canonical is None:
            raise ValueError(f"{source} holds the unexpected {full_name}.")
        if canonical.endswith("/kernel"):
            array = array.T
        weights[canonical] = array
    for name, array in copies.items():
        original = _COPIES[name]
        # Old files have the copy of the bias only.
        if original == _OUTPUT_BIAS:
            weights.setdefault(original, array)
        if not np.array_equal(array, weights.get(original, np.empty(0))):
            raise ValueError(
                f"{source}: {name} differs from {original}; models whose "
                "output is not tied to its input are not supported."
            )
    return weights


def _canonical_name(name: str) -> str | None:
    """Returns `cls/predictions/transform/dense/kernel` and the like."""
    if name in _WHOLE_NAMES:
        return _WHOLE_NAMES[name]
    path, kind = name.rpartition(".")[::2]
    is_table = path.startswith("embeddings.") and path.endswith("_embeddings")
    path = re.sub(r"^encoder\.layer\.(\d+)\.", r"encoder.layer_\1.", path)
    path = path.replace(".", "/")
    if not path.startswith("cls/predictions/transform/"):
        if not path.startswith(("embeddings/", "encoder/", "pooler/")):
            return None
        path = f"bert/{path}"
    if is_table:
        return path if kind == "weight" else None
    kinds = (
        {"weight": "gamma", "gamma": "gamma", "bias": "beta", "beta": "beta"}
        if path.endswith("/LayerNorm")
        else {"weight": "kernel", "bias": "bias"}
    )
    return f"{path}/{kinds[kind]}" if kind in kinds else None


def _matches(folder: pathlib.Path) -> bool:
    path = folder / _CONFIG
    return path.exists() and "model_type" in read_json(path)


READER = Reader(
    looks_for=f"{_CONFIG} with a model_type", matches=_matches, read=_read
)
