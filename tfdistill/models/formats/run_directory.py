"""Our own format: a finished run's model.

model.json          configuration, parts, casing; written last
model.safetensors   weights by canonical name, with check sums
vocab.txt
"""

import dataclasses
import os
import pathlib
from collections.abc import Collection, Sequence

from tfdistill.files import read_json, sha256_of, write_atomically, write_json
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.formats.settings import make_config, require
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.models.weights import PARTS, check_weights, named_weights
from tfdistill.tensors import load_tensors, save_tensors
from tfdistill.text.tokenizer import read_vocabulary

_FORMAT = "tfdistill model"
_VERSION = 1
_MODEL = "model.json"
_WEIGHTS = "model.safetensors"
_VOCABULARY = "vocab.txt"


def save_model(
    model: MaskedLM,
    vocabulary: Sequence[str],
    *,
    do_lower_case: bool,
    parts: Collection[str],
    path: str | os.PathLike[str],
) -> None:
    """Write a model into a folder, which may hold other files.

    Args:
        model: The model.
        vocabulary: Its pieces in the order of their ids.
        do_lower_case: Whether text is lower-cased and stripped of accents.
        parts: Keys of `models.weights.PARTS`: those that hold more than
            random weights. The others are not written.
        path: The folder, made if it does not exist.

    Raises:
        OSError: It cannot be written.
    """
    folder = pathlib.Path(path)
    # Without model.json the folder holds no model while the others change.
    (folder / _MODEL).unlink(missing_ok=True)
    with write_atomically(folder / _VOCABULARY) as temporary:
        text = "".join(f"{piece}\n" for piece in vocabulary)
        temporary.write_bytes(text.encode())
    save_tensors(folder / _WEIGHTS, named_weights(model, parts), {})
    write_json(
        folder / _MODEL,
        {
            "format": _FORMAT,
            "version": _VERSION,
            "config": dataclasses.asdict(model.config),
            "parts": [part for part in PARTS if part in parts],
            "do_lower_case": do_lower_case,
            "vocabulary_sha256": sha256_of(folder / _VOCABULARY),
        },
    )


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
    keys = ("config", "parts", "do_lower_case", "vocabulary_sha256")
    require(path, settings, keys)
    parts = settings["parts"]
    if not isinstance(parts, list) or not all(p in list(PARTS) for p in parts):
        raise ValueError(
            f"{path}: unknown parts {parts}. Known: {', '.join(PARTS)}."
        )
    config = make_config(path, settings["config"])
    if sha256_of(folder / _VOCABULARY) != settings["vocabulary_sha256"]:
        raise ValueError(
            f"{folder / _VOCABULARY} is not the file that {path} was "
            "written with."
        )
    weights, _ = load_tensors(folder / _WEIGHTS)
    source = str(folder / _WEIGHTS)
    check_weights(weights, config, source=source, parts=parts)
    return ModelContents(
        config=config,
        weights=weights,
        vocabulary=read_vocabulary(folder / _VOCABULARY),
        do_lower_case=settings["do_lower_case"],
        source=source,
    )


READER = Reader(looks_for=_MODEL, matches=_matches, read=_read)
