"""The vocabulary and the casing of Google's and Hugging Face's folders."""

import pathlib
from typing import Any

from absl import logging

from tfdistill.files import read_json
from tfdistill.text.tokenizer import SPECIAL_PIECES, read_vocabulary


def find_vocabulary(folder: pathlib.Path) -> tuple[str, ...]:
    """Read vocab.txt or, where there is none, tokenizer.json.

    Raises:
        ValueError: Neither is there, or it is no WordPiece vocabulary.
    """
    path = folder / "vocab.txt"
    if path.exists():
        return read_vocabulary(path)
    path = folder / "tokenizer.json"
    if path.exists():
        return _read_tokenizer_json(path)
    raise ValueError(
        f"{folder} has no vocabulary: looked for vocab.txt and tokenizer.json."
    )


def find_casing(folder: pathlib.Path, vocabulary: tuple[str, ...]) -> bool:
    """Find out whether a model wants its text lower-cased.

    The tokenizer's settings say it. Where there are none, the folder's name
    does, as in `uncased_L-12_H-768_A-12`; failing that, the vocabulary: one
    without capitals is of use for lower-cased text only.

    Raises:
        ValueError: A file of settings cannot be understood.
    """
    path = folder / "tokenizer_config.json"
    if path.exists():
        settings = read_json(path)
        if isinstance(settings.get("do_lower_case"), bool):
            warn_of_accents(path, settings["do_lower_case"], settings)
            return settings["do_lower_case"]
    path = folder / "tokenizer.json"
    if path.exists():
        normalizer = read_json(path).get("normalizer")
        if isinstance(normalizer, dict):
            lower_case = normalizer.get("lowercase")
            if isinstance(lower_case, bool):
                warn_of_accents(path, lower_case, normalizer)
                return lower_case
    name = folder.resolve().name.lower()
    if "uncased" in name:
        return True
    if "cased" in name:
        return False
    return not any(
        piece != piece.lower()
        for piece in vocabulary
        if piece not in SPECIAL_PIECES
    )


def warn_of_accents(
    path: pathlib.Path, do_lower_case: bool, settings: dict[str, Any]
) -> None:
    """Warn of a tokenizer that strips accents but not case, or vice versa."""
    strips = settings.get("strip_accents")
    if isinstance(strips, bool) and strips != do_lower_case:
        logging.warning(
            "%s sets strip_accents=%s with lower case %s; here accents are "
            "stripped exactly where text is lower-cased.",
            path,
            strips,
            do_lower_case,
        )


def _read_tokenizer_json(path: pathlib.Path) -> tuple[str, ...]:
    model = read_json(path).get("model")
    if (
        not isinstance(model, dict)
        or model.get("type", "WordPiece") != "WordPiece"
        or not isinstance(model.get("vocab"), dict)
    ):
        raise ValueError(f"{path} holds no WordPiece vocabulary.")
    ids = model["vocab"]
    if sorted(map(str, ids.values())) != sorted(map(str, range(len(ids)))):
        raise ValueError(
            f"{path}: the ids of its {len(ids)} pieces are not "
            f"0 to {len(ids) - 1}."
        )
    return tuple(sorted(ids, key=ids.__getitem__))
