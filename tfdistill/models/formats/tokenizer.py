"""The tokenizers of Google's and Hugging Face's folders."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tfdistill.files import read_json
from tfdistill.models.formats.settings import check_switches
from tfdistill.text import byte_pairs, word_pieces
from tfdistill.text.byte_pairs import BytePair, in_order, parse_merges
from tfdistill.text.tokenizer import Tokenizer, read_tokenizer
from tfdistill.text.word_pieces import WordPiece, read_vocabulary

_TOKENIZER = "tokenizer.json"
_SETTINGS = "tokenizer_config.json"
# What the settings of a byte-level BPE model must be, where they are given.
_PLAIN_BPE = {
    "dropout": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "byte_fallback": False,
    "ignore_merges": False,
}


def find_tokenizer(folder: pathlib.Path) -> Tokenizer:
    """Read vocab.txt, vocab.json with merges.txt or else tokenizer.json.

    Raises:
        ValueError: None of them is there, or what they hold is neither
            WordPiece nor byte-level BPE.
        OSError: A file cannot be read.
    """
    path = folder / word_pieces.VOCABULARY
    if path.exists():
        return _word_piece(folder, read_vocabulary(path), path)
    path = folder / byte_pairs.VOCABULARY
    if path.exists():
        settings = _read_if_there(folder / _SETTINGS)
        check_switches(folder / _SETTINGS, settings, ("add_prefix_space",))
        return read_tokenizer(path, settings)
    path = folder / _TOKENIZER
    if not path.exists():
        raise ValueError(
            f"{folder} has no vocabulary: looked for "
            f"{word_pieces.VOCABULARY}, {byte_pairs.VOCABULARY} and "
            f"{_TOKENIZER}."
        )
    settings = read_json(path)
    model = settings.get("model")
    if isinstance(model, dict) and isinstance(model.get("vocab"), dict):
        # Old files do not say what they are.
        kind = model.get("type", "BPE" if "merges" in model else "WordPiece")
        if kind == "WordPiece":
            pieces = in_order(model["vocab"], path)
            return _word_piece(folder, pieces, path)
        if kind == "BPE":
            return _byte_pair(path, settings, model)
    raise ValueError(
        f"{path} holds neither a WordPiece nor a byte-level BPE vocabulary."
    )


def _word_piece(
    folder: pathlib.Path, pieces: Sequence[str], path: pathlib.Path
) -> WordPiece:
    return WordPiece(
        pieces, do_lower_case=_find_casing(folder, pieces), source=str(path)
    )


def _byte_pair(
    path: pathlib.Path, settings: Mapping[str, Any], model: Mapping[str, Any]
) -> BytePair:
    for name, plain in _PLAIN_BPE.items():
        if (model.get(name) or plain) != plain:
            raise ValueError(f"{path}: unknown {name} {model[name]!r} of BPE.")
    if settings.get("normalizer") is not None:
        raise ValueError(f"{path}: byte-level BPE here has no normalizer.")
    splits = settings.get("pre_tokenizer")
    if (
        not isinstance(splits, dict)
        or splits.get("type") != "ByteLevel"
        or not splits.get("use_regex", True)
    ):
        raise ValueError(
            f"{path}: its pre_tokenizer is not that of byte-level BPE."
        )
    try:
        lines = [
            m if isinstance(m, str) else " ".join(m) for m in model["merges"]
        ]
        # Special pieces may stand apart from the others.
        added = {
            t["content"]: t["id"] for t in settings.get("added_tokens") or ()
        }
    except (KeyError, TypeError):
        raise ValueError(
            f"{path}: its merges or added_tokens cannot be understood."
        ) from None
    unusual = sorted(added.keys() - set(byte_pairs.SPECIAL_PIECES))
    if unusual:
        logging.warning(
            "%s adds %s; text never becomes that piece here.", path, unusual[0]
        )
    return BytePair(
        in_order(model["vocab"] | added, path),
        parse_merges(lines, path),
        add_prefix_space=bool(splits.get("add_prefix_space")),
        source=str(path),
    )


def _read_if_there(path: pathlib.Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _find_casing(folder: pathlib.Path, pieces: Sequence[str]) -> bool:
    """Find out whether a model wants its text lower-cased.

    The tokenizer's settings say it. Where there are none, the folder's name
    does, as in `uncased_L-12_H-768_A-12`; failing that, the vocabulary: one
    without capitals is of use for lower-cased text only.

    Raises:
        ValueError: A file of settings cannot be understood.
    """
    path = folder / _SETTINGS
    settings = _read_if_there(path)
    if isinstance(settings.get("do_lower_case"), bool):
        warn_of_accents(path, settings["do_lower_case"], settings)
        return settings["do_lower_case"]
    path = folder / _TOKENIZER
    normalizer = _read_if_there(path).get("normalizer")
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
        for piece in pieces
        if piece not in word_pieces.SPECIAL_PIECES
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
