"""Our own format: a finished run's model.

model.json          kind, configuration, parts, casing, names of classes;
                    written last
model.safetensors   weights by canonical name, with check sums
vocab.txt, or vocab.json and merges.txt; words.txt of models of words and of
language models of words; pieces.model, or pieces.txt beside vocab.txt, of
models that write texts
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

from tfdistill.files import read_json, write_atomically, write_json
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.formats.settings import check_switches, require
from tfdistill.models.kinds import KINDS, kind_of
from tfdistill.models.outputs import Model
from tfdistill.models.weights import (
    PARTS,
    Config,
    check_weights,
    named_weights,
)
from tfdistill.models.words import WordConfig
from tfdistill.tensors import load_tensors, save_tensors
from tfdistill.text.tokenizer import Pieces, read_pieces
from tfdistill.text.words import Words, read_words

_FORMAT = "tfdistill model"
_VERSION = 1
_MODEL = "model.json"
_WEIGHTS = "model.safetensors"
_OF_TOKENIZERS = (
    "do_lower_case",
    "add_prefix_space",
    "is_moses_tokenized",
    "is_causal",
    "is_conditional",
)


def save_model(
    model: Model,
    tokenizer: Pieces | Words,
    *,
    parts: Collection[str],
    path: str | os.PathLike[str],
    labels: Sequence[str] = (),
) -> None:
    """Write a model into a folder, which may hold other files.

    Args:
        model: The model.
        tokenizer: What makes text into its ids.
        parts: Keys of `models.weights.PARTS`: those that hold more than
            random weights. The others are not written.
        path: The folder, made if it does not exist.
        labels: Names of a classifier's classes, in their order, if known.

    Raises:
        OSError: It cannot be written.
    """
    folder = pathlib.Path(path)
    # Without model.json the folder holds no model while the others change.
    (folder / _MODEL).unlink(missing_ok=True)
    for name, content in tokenizer.files().items():
        with write_atomically(folder / name) as temporary:
            temporary.write_bytes(content)
    save_tensors(folder / _WEIGHTS, named_weights(model, parts), {})
    write_json(
        folder / _MODEL,
        {
            "format": _FORMAT,
            "version": _VERSION,
            "kind": kind_of(model.config),
            "config": dataclasses.asdict(model.config),
            "parts": [part for part in PARTS if part in parts],
            "labels": list(labels),
            **tokenizer.settings,
            "vocabulary_sha256": _checksum(tokenizer),
        },
    )


def _checksum(tokenizer: Pieces | Words) -> str:
    content = b"".join(tokenizer.files().values())
    return hashlib.sha256(content).hexdigest()


def _matches(folder: pathlib.Path) -> bool:
    return (folder / _MODEL).exists() or (folder / "checkpoints").is_dir()


def _read(folder: pathlib.Path) -> ModelContents:
    path = folder / _MODEL
    if not path.exists():
        raise ValueError(
            f"{folder} is a run that has not finished: it has checkpoints "
            f"but no {_MODEL} yet."
        )
    settings = read_json(path)
    if (settings.get("format"), settings.get("version")) != (
        _FORMAT,
        _VERSION,
    ):
        raise ValueError(
            f"{path} has format {settings.get('format')!r}, version "
            f"{settings.get('version')!r}; expected {_FORMAT!r}, {_VERSION}."
        )
    require(path, settings, ("config", "parts", "vocabulary_sha256"))
    check_switches(path, settings, _OF_TOKENIZERS)
    parts = settings["parts"]
    if not isinstance(parts, list) or not all(p in list(PARTS) for p in parts):
        raise ValueError(
            f"{path}: unknown parts {parts}. Known: {', '.join(PARTS)}."
        )
    config = _config(path, settings)
    tokenizer: Pieces | Words
    if isinstance(config, WordConfig):
        tokenizer = read_words(folder, settings)
    else:
        tokenizer = read_pieces(folder, settings)
    if _checksum(tokenizer) != settings["vocabulary_sha256"]:
        names = " or ".join(tokenizer.files())
        raise ValueError(
            f"{folder}/{names} is not the file that {path} was written with."
        )
    weights, _ = load_tensors(folder / _WEIGHTS, needs_checksums=True)
    source = str(folder / _WEIGHTS)
    check_weights(weights, config, source=source, parts=parts)
    return ModelContents(
        config=config,
        weights=weights,
        tokenizer=tokenizer,
        source=source,
        labels=_labels(path, settings, config),
    )


def _labels(
    path: pathlib.Path, settings: dict[str, Any], config: Config
) -> tuple[str, ...]:
    # Folders that were written before they had names do not say them.
    labels = settings.get("labels", [])
    if not isinstance(labels, list) or not all(
        isinstance(label, str) for label in labels
    ):
        raise ValueError(f"{path}: labels {labels!r} are no list of names.")
    num_classes = getattr(config, "num_classes", 0)
    if len(labels) not in (0, num_classes):
        raise ValueError(
            f"{path} names {len(labels)} classes of {num_classes}."
        )
    return tuple(labels)


def _config(path: pathlib.Path, settings: dict[str, Any]) -> Config:
    # Folders that were written before there were others do not say it.
    kind = settings.get("kind", "bert")
    if kind not in list(KINDS):
        raise ValueError(
            f"{path}: unknown kind {kind!r}. Known: {', '.join(KINDS)}."
        )
    try:
        return KINDS[kind].config(**settings["config"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


READER = Reader(looks_for=_MODEL, matches=_matches, read=_read)
