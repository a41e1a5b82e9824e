"""GPT-2 in keras-nlp's and Hugging Face's formats.

A preset has config.json with the class_name GPT2Backbone, model.weights.h5
and its tokenizer's files; a Hugging Face folder config.json with the
model_type gpt2, safetensors, and vocab.json with merges.txt.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfdistill.files import read_json
from tfdistill.models.causal import Gpt2Config
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.formats.hugging_face import (
    read_tensors,
    weights_file,
)
from tfdistill.models.formats.settings import choose, require
from tfdistill.models.weights import Weights
from tfdistill.text.byte_pairs import in_order, parse_merges
from tfdistill.text.causal import CausalBytePair, read_causal_tokenizer

_CONFIG = "config.json"
_OURS = "causal/encoder/"
# Of a layer, up to the last part of the name: keras-nlp's, ours.
_KERAS_LAYER = {
    "self_attention_layer_norm": "attention_layer_norm",
    "self_attention/attention_output": "attention_output",
    "feedforward_layer_norm": "intermediate_layer_norm",
    "feedforward_intermediate_dense": "intermediate",
    "feedforward_output_dense": "output",
}
_KERAS = {
    "token_embedding/embeddings": "word_embeddings/table",
    "position_embedding/embeddings": "position_embeddings/table",
    "layer_norm/gamma": "final_layer_norm/gamma",
    "layer_norm/beta": "final_layer_norm/beta",
}
_HUGGING_FACE_LAYER = {
    "ln_1": "attention_layer_norm",
    "attn.c_attn": "qkv",
    "attn.c_proj": "attention_output",
    "ln_2": "intermediate_layer_norm",
    "mlp.c_fc": "intermediate",
    "mlp.c_proj": "output",
}
_HUGGING_FACE = {
    "wte.weight": "word_embeddings/table",
    "wpe.weight": "position_embeddings/table",
    "ln_f.weight": "final_layer_norm/gamma",
    "ln_f.bias": "final_layer_norm/beta",
}
# Masks, which old files hold beside the weights.
_NO_WEIGHT = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
_HEAD = "lm_head.weight"
_TABLE = f"{_OURS}word_embeddings/table"


def weights_of_backbone(backbone: keras.Model) -> Weights:
    """Returns the weights of keras-nlp's `GPT2Backbone` by canonical name."""
    weights: Weights = {}
    qkv: dict[str, list[np.ndarray]] = {}
    for variable in backbone.weights:
        array = keras.ops.convert_to_numpy(variable)
        if variable.path in _KERAS:
            weights[_OURS + _KERAS[variable.path]] = array
            continue
        layer, inner = variable.path.split("/", 1)
        owner, kind = inner.rsplit("/", 1)
        ours = f"{_OURS}{layer.removeprefix('transformer_')}/"
        if owner in _KERAS_LAYER:
            # Heads have an axis of their own there.
            if owner.endswith("attention_output") and kind == "kernel":
                array = array.reshape(-1, array.shape[-1])
            weights[f"{ours}{_KERAS_LAYER[owner]}/{kind}"] = array
        else:
            # Query, key and value, in this order.
            flat = array.reshape(*array.shape[:-2], -1)
            qkv.setdefault(f"{ours}qkv/{kind}", []).append(flat)
    return weights | {n: np.concatenate(a, axis=-1) for n, a in qkv.items()}


def _read(folder: pathlib.Path) -> ModelContents:
    path = folder / _CONFIG
    settings = read_json(path)
    if "model_type" in settings:
        return _read_hugging_face(folder, path, settings)
    import keras_hub

    # Keras names what is wrong in all kinds of exceptions, over many lines;
    # a relative path can be the name of one that it would download.
    place = str(folder.resolve())
    try:
        backbone = keras_hub.models.GPT2Backbone.from_preset(
            place, dtype="float32"
        )
        text = keras_hub.models.GPT2Tokenizer.from_preset(place)
    except Exception as error:
        cause = " ".join(str(error).split())
        raise ValueError(
            f"{folder} cannot be read as a keras-nlp preset: {cause}"
        ) from None
    config = _config(
        path,
        {
            name: getattr(backbone, name)
            for name in (
                "vocabulary_size",
                "num_layers",
                "num_heads",
                "hidden_dim",
                "intermediate_dim",
                "dropout",
                "max_sequence_length",
            )
        },
    )
    return ModelContents(
        config=config,
        weights=weights_of_backbone(backbone),
        tokenizer=CausalBytePair(
            in_order(text.vocabulary, path),
            parse_merges(text.merges, path),
            source=str(folder),
        ),
        source=str(folder),
    )


def _read_hugging_face(
    folder: pathlib.Path, path: pathlib.Path, settings: Mapping[str, Any]
) -> ModelContents:
    require(path, settings, ("vocab_size", "n_layer", "n_head", "n_embd"))
    choose(
        path,
        settings,
        "activation_function",
        "gelu_new",
        {"gelu_new": 0, "gelu_pytorch_tanh": 0},
    )
    for name, plain in (
        ("scale_attn_by_inverse_layer_idx", False),
        ("scale_attn_weights", True),
        ("tie_word_embeddings", True),
    ):
        choose(path, settings, name, plain, {plain: 0})
    dim = settings["n_embd"]
    config = _config(
        path,
        {
            "vocabulary_size": settings["vocab_size"],
            "num_layers": settings["n_layer"],
            "num_heads": settings["n_head"],
            "hidden_dim": dim,
            "intermediate_dim": settings.get("n_inner") or 4 * dim,
            "dropout": settings.get("resid_pdrop", 0.1),
            "max_sequence_length": settings.get("n_positions", 1024),
            "layer_norm_epsilon": settings.get("layer_norm_epsilon", 1e-5),
        },
    )
    source = str(weights_file(folder, settings))
    weights: Weights = {}
    tensors = read_tensors(folder, settings)
    head = tensors.pop(_HEAD, None)
    for full_name, array in tensors.items():
        name = full_name.removeprefix("transformer.")
        if not _NO_WEIGHT.fullmatch(name):
            ours = _name_of(name)
            if ours is None:
                raise ValueError(f"{source} holds the unexpected {full_name}.")
            weights[_OURS + ours] = array.astype(np.float32, copy=False)
    if head is not None and not np.array_equal(
        head, weights.get(_TABLE, np.empty(0))
    ):
        raise ValueError(
            f"{source}: {_HEAD} differs from wte.weight; models whose output "
            "is not tied to its input are not supported."
        )
    return ModelContents(
        config=config,
        weights=weights,
        tokenizer=read_causal_tokenizer(folder),
        source=source,
    )


def _name_of(name: str) -> str | None:
    """Returns our name of a weight of Hugging Face's."""
    if name in _HUGGING_FACE:
        return _HUGGING_FACE[name]
    found = re.fullmatch(r"h\.(\d+)\.(.+)\.(weight|bias)", name)
    if found is None or found[2] not in _HUGGING_FACE_LAYER:
        return None
    kinds = {"weight": "kernel", "bias": "bias"}
    if found[2].startswith("ln"):
        kinds = {"weight": "gamma", "bias": "beta"}
    return f"layer_{found[1]}/{_HUGGING_FACE_LAYER[found[2]]}/{kinds[found[3]]}"


def _config(path: pathlib.Path, fields: Mapping[str, Any]) -> Gpt2Config:
    try:
        return Gpt2Config(**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _matches(folder: pathlib.Path) -> bool:
    path = folder / _CONFIG
    if not path.exists():
        return False
    settings = read_json(path)
    return (
        settings.get("class_name") == "GPT2Backbone"
        or settings.get("model_type") == "gpt2"
    )


READER = Reader(looks_for=f"{_CONFIG} of GPT-2", matches=_matches, read=_read)
