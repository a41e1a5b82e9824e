"""One function that loads a model from a folder of any known format."""

import dataclasses
import pathlib
from collections.abc import Collection

from absl import logging

from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import (
    google,
    hugging_face,
    preset,
    run_directory,
)
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.models.weights import (
    PARTS,
    Weights,
    assign_weights,
    check_weights,
    fingerprint,
    parts_in,
)

# The first that matches reads. A run's own config.json is of another kind,
# so run directories come first.
READERS: dict[str, Reader] = {
    "run directory": run_directory.READER,
    "keras-nlp preset": preset.READER,
    "Hugging Face": hugging_face.READER,
    "Google": google.READER,
}

# Tables are commonly padded to a multiple of at most this many rows.
_PADDED_ROWS = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model and all that comes with it.

    Attributes:
        model: The model.
        vocabulary: The pieces; a piece's id is its index.
        do_lower_case: Whether text is lower-cased and stripped of accents.
        parts: Keys of `models.weights.PARTS`: those that were found. The
            others hold random weights.
        fingerprint: Of the parts that were found; equal for equal weights
            and conventions, whatever the format.
    """

    model: MaskedLM
    vocabulary: tuple[str, ...]
    do_lower_case: bool
    parts: frozenset[str]
    fingerprint: str


def load_model(
    path: str, *, needs: Collection[str] = ("encoder",), seed: int = 0
) -> LoadedModel:
    """Load a model from a folder, proving that every weight was found.

    Args:
        path: A folder of one of the formats in `READERS`.
        needs: Parts that must be there, keys of `models.weights.PARTS`.
        seed: Of the random weights of parts that are neither there nor
            needed.

    Raises:
        ValueError: There is no such folder, its format is not known, a
            needed part is absent, or something in it is damaged, missing
            or does not fit; one line that names the file.
    """
    folder = pathlib.Path(path)
    contents = _read(folder)
    weights, config = contents.weights, contents.config
    parts = parts_in(weights)
    missing = sorted({*needs, "encoder"} - parts)
    if missing:
        raise ValueError(
            f"{contents.source} has no {missing[0]} weights, which are needed."
        )
    check_weights(weights, config, source=contents.source, parts=parts)
    _check_vocabulary(folder, contents)
    config, weights = _without_padded_rows(contents)
    model = MaskedLM(config, seed)
    assign_weights(model, weights, source=contents.source, parts=parts)
    absent = [part for part in PARTS if part not in parts]
    if absent:
        logging.info(
            "%s has no %s: random weights are used there.",
            path,
            ", ".join(absent),
        )
    return LoadedModel(
        model=model,
        vocabulary=contents.vocabulary,
        do_lower_case=contents.do_lower_case,
        parts=parts,
        fingerprint=fingerprint(weights, config),
    )


def _read(folder: pathlib.Path) -> ModelContents:
    if not folder.is_dir():
        raise ValueError(f"There is no model folder {folder}.")
    for reader in READERS.values():
        if reader.matches(folder):
            try:
                return reader.read(folder)
            except OSError as error:
                raise ValueError(
                    f"{folder} cannot be read as a model: {error}."
                ) from None
    looked_for = ", ".join(
        f"{reader.looks_for} ({name})" for name, reader in READERS.items()
    )
    raise ValueError(
        f"{folder} is no model folder of a known format: looked for "
        f"{looked_for}."
    )


def _check_vocabulary(folder: pathlib.Path, contents: ModelContents) -> None:
    pieces = len(contents.vocabulary)
    rows = contents.config.vocabulary_size
    if not rows - _PADDED_ROWS < pieces <= rows:
        raise ValueError(
            f"{folder} has a vocabulary of {pieces} pieces, but "
            f"{rows} rows of word embeddings."
        )


def _without_padded_rows(
    contents: ModelContents,
) -> tuple[BertConfig, Weights]:
    """Drop rows of the table that no piece has: they can only be noise."""
    pieces = len(contents.vocabulary)
    config = dataclasses.replace(contents.config, vocabulary_size=pieces)
    by_piece = (
        "bert/embeddings/word_embeddings",
        "cls/predictions/output_bias",
    )
    return config, {
        name: array[:pieces] if name in by_piece else array
        for name, array in contents.weights.items()
    }
