"""Hugging Face's format of BERT, RoBERTa and DistilBERT.

A model with the heads of its pre-training, a classifier, or neither.

config.json   model.safetensors, or several and an index
vocab.txt, vocab.json and merges.txt, or tokenizer.json
tokenizer_config.json
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdistill.files import is_name, read_json
from tfdistill.models.formats.class_names import names_by_number
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.formats.hugging_face_types import MODEL_TYPES, ModelType
from tfdistill.models.formats.settings import (
    check_classes,
    choose,
    make_config,
)
from tfdistill.models.formats.tokenizer import find_tokenizer
from tfdistill.models.weights import Weights
from tfdistill.tensors import load_tensors

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_NO_WEIGHTS = {"embeddings.position_ids"}


def _read(folder: pathlib.Path) -> ModelContents:
    path = folder / _CONFIG
    settings = read_json(path)
    kind = choose(path, settings, "model_type", "", MODEL_TYPES)
    config = make_config(path, kind.fields(path, settings))
    source = str(weights_file(folder, settings))
    weights = _to_canonical(read_tensors(folder, settings), kind, source)
    labels: tuple[str, ...] = ()
    if "classifier/bias" in weights:
        num_classes = len(weights["classifier/bias"])
        check_classes(path, _classes_stated(settings), num_classes)
        if isinstance(settings.get("id2label"), dict):
            labels = names_by_number(path, settings["id2label"])
    return ModelContents(
        config=config,
        weights=kind.finish(weights, settings),
        tokenizer=find_tokenizer(folder),
        source=source,
        labels=labels,
    )


def _classes_stated(settings: Mapping[str, Any]) -> dict[str, int]:
    stated = {}
    if isinstance(settings.get("num_labels"), int):
        stated["num_labels"] = settings["num_labels"]
    if isinstance(settings.get("id2label"), dict):
        stated["id2label"] = len(settings["id2label"])
    return stated


def weights_file(
    folder: pathlib.Path, settings: Mapping[str, Any]
) -> pathlib.Path:
    """Find the file of a folder's weights, or the index of several.

    Raises:
        ValueError: There is none that is opened here.
    """
    for name in (_WEIGHTS, _INDEX):
        if (folder / name).exists():
            return folder / name
    if (folder / "pytorch_model.bin").exists():
        named = settings.get("architectures")
        kind = named[0] if isinstance(named, list) and named else "AutoModel"
        raise ValueError(
            f"{folder} has pytorch_model.bin only, a pickle, which is not "
            "opened here. Convert it with transformers: "
            f"{kind}.from_pretrained(folder)"
            ".save_pretrained(folder, safe_serialization=True)."
        )
    raise ValueError(
        f"{folder} has no weights: looked for {_WEIGHTS} and {_INDEX}."
    )


def read_tensors(folder: pathlib.Path, settings: Mapping[str, Any]) -> Weights:
    """Read all tensors of a folder under the names that they have there.

    Raises:
        ValueError: A file is damaged, missing or elsewhere.
    """
    path = weights_file(folder, settings)
    if path.name == _WEIGHTS:
        return load_tensors(path)[0]
    shard_of = read_json(path).get("weight_map")
    if not isinstance(shard_of, dict):
        raise ValueError(f"{path} has no weight_map.")
    tensors: Weights = {}
    for shard in sorted(set(map(str, shard_of.values()))):
        if not is_name(shard):
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


def _to_canonical(tensors: Weights, kind: ModelType, source: str) -> Weights:
    names = {full: full.removeprefix(kind.prefix) for full in tensors}
    owners = {name.rpartition(".")[0] for name in names.values()}
    weights: Weights = {}
    copies: Weights = {}
    for full_name, name in names.items():
        owner = name.rpartition(".")[0]
        if name in _NO_WEIGHTS or kind.replaced.get(owner) in owners:
            continue
        array = tensors[full_name].astype(np.float32, copy=False)
        if name in kind.copies:
            copies[name] = array
            continue
        canonical = kind.canonical(name)
        if canonical is None:
            raise ValueError(f"{source} holds the unexpected {full_name}.")
        if canonical in weights:
            raise ValueError(f"{source} holds {full_name} twice.")
        if canonical.endswith("/kernel"):
            array = array.T
        weights[canonical] = array
    for name, array in copies.items():
        original = kind.copies[name]
        # Old files have the copy of the bias only.
        if name.endswith(".bias"):
            weights.setdefault(original, array)
        if not np.array_equal(array, weights.get(original, np.empty(0))):
            raise ValueError(
                f"{source}: {name} differs from {original}; models whose "
                "output is not tied to its input are not supported."
            )
    return weights


def _matches(folder: pathlib.Path) -> bool:
    path = folder / _CONFIG
    return path.exists() and "model_type" in read_json(path)


READER = Reader(
    looks_for=f"{_CONFIG} with a model_type", matches=_matches, read=_read
)
