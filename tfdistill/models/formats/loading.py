"""One function that loads a model from a folder of any known format."""

import dataclasses
import pathlib
from collections.abc import Collection, Sequence

from absl import logging

from tfdistill.models.bert import PRETRAINING_HEADS
from tfdistill.models.causal import CausalConfig
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import (
    google,
    gpt2,
    hugging_face,
    preset,
    run_directory,
)
from tfdistill.models.formats.class_names import in_order_of
from tfdistill.models.formats.contents import ModelContents, Reader
from tfdistill.models.kinds import KINDS, kind_of
from tfdistill.models.outputs import Model
from tfdistill.models.weights import (
    PARTS,
    assign_weights,
    check_weights,
    fingerprint,
    of_parts,
    parts_in,
)
from tfdistill.models.words import WordConfig
from tfdistill.text.tokenizer import Pieces
from tfdistill.text.words import Words

# Formats of BERT. The first that matches reads. A run's own config.json is of
# another kind, so run directories come first.
READERS: dict[str, Reader] = {
    "run directory": run_directory.READER,
    "keras-nlp preset": preset.READER,
    "Hugging Face": hugging_face.READER,
    "Google": google.READER,
}

_ALL_READERS = {"GPT-2": gpt2.READER, **READERS}

# Tables are commonly padded to a multiple of at most this many rows.
_PADDED_ROWS = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model and all that comes with it.

    Attributes:
        model: The model.
        tokenizer: What makes text into its ids, of pieces or of words.
        parts: Keys of `models.weights.PARTS`: those of the model that were
            found. The others hold random weights.
        fingerprint: Of the parts that were found; equal for equal weights
            and conventions, whatever the format.
        labels: Names of its classes, in their order; empty if not known.
    """

    model: Model
    tokenizer: Pieces | Words
    parts: frozenset[str]
    fingerprint: str
    labels: tuple[str, ...] = ()


def load_model(
    path: str,
    *,
    heads: Collection[str] = PRETRAINING_HEADS,
    num_classes: int = 0,
    classes: Sequence[Sequence[str]] = (),
    needs: Collection[str] = ("encoder",),
    seed: int = 0,
) -> LoadedModel:
    """Load a model from a folder, proving that every weight was found.

    Args:
        path: A folder of one of the formats in `READERS`.
        heads: Heads that the model is to have; the folder may have others.
            Models that write texts are loaded where `generator` is among
            them, and others without it.
        num_classes: Of a classifier; 0: the folder's.
        classes: The names that each class is to go by, in the order that
            they are to have; none: the folder's.
        needs: Parts that must be there, keys of `models.weights.PARTS`.
        seed: Of the random weights of parts that are neither there nor
            needed.

    Raises:
        ValueError: There is no such folder, its format is not known, a
            needed part is absent or of other classes, its classes have other
            names, or something in it is damaged, missing or does not fit;
            one line that names the file.
    """
    contents = read_model(pathlib.Path(path))
    config = contents.config
    found = parts_in(contents.weights)
    _check_parts(contents, needs)
    if "generator" in found and "generator" not in heads:
        raise ValueError(
            f"{contents.source} is of a {kind_of(contents.config)}, which is "
            "for tasks that write texts."
        )
    if "classifier" in found.intersection(heads) and "pooler" not in found:
        raise ValueError(
            f"{contents.source} has a classifier but no pooler, as of tokens; "
            "those of sequences alone are supported."
        )
    is_causal = isinstance(config, CausalConfig)
    if is_causal and "causal_lm" not in heads:
        raise ValueError(
            f"{contents.source} is a language model, which the task has no "
            "use for."
        )
    if "causal_lm" in heads and not is_causal:
        raise ValueError(
            f"{contents.source} is a {kind_of(config)} and no language model."
        )
    # Models that write texts have none.
    if (
        isinstance(config, BertConfig | WordConfig)
        and "classifier" in heads
        and num_classes not in (0, config.num_classes)
    ):
        if "classifier" in needs:
            raise ValueError(
                f"{contents.source} tells {config.num_classes} classes apart, "
                f"the task has {num_classes}."
            )
        found -= {"classifier"}
        config = dataclasses.replace(config, num_classes=num_classes)
    if "classifier" in found.intersection(heads):
        contents = in_order_of(contents, classes)
    if "generator" not in found:
        # A conditional masked LM is made of such a model, if need be.
        heads = set(heads) - {"generator"}
    model = KINDS[kind_of(config)].make(config, seed, heads)
    parts = found & model.parts
    weights = of_parts(contents.weights, parts)
    assign_weights(model, weights, source=contents.source, parts=parts)
    absent = [part for part in PARTS if part in model.parts - parts]
    if absent:
        logging.info(
            "%s has no %s: random weights are used there.",
            path,
            ", ".join(absent),
        )
    return LoadedModel(
        model=model,
        tokenizer=contents.tokenizer,
        parts=parts,
        fingerprint=fingerprint(weights, config),
        labels=contents.labels if "classifier" in parts else (),
    )


def read_model(folder: pathlib.Path) -> ModelContents:
    """Read a folder of a known format, proving that all in it fits together.

    Raises:
        ValueError: As `load_model`.
    """
    contents = _with_classes(_read(folder))
    _check_parts(contents, ("encoder",))
    check_weights(
        contents.weights,
        contents.config,
        source=contents.source,
        parts=parts_in(contents.weights),
    )
    _check_vocabulary(folder, contents)
    return _without_padded_rows(contents)


def _check_parts(contents: ModelContents, needs: Collection[str]) -> None:
    missing = sorted(set(needs) - parts_in(contents.weights))
    if missing:
        raise ValueError(
            f"{contents.source} has no {missing[0]} weights, which are needed."
        )


def _with_classes(contents: ModelContents) -> ModelContents:
    """Count the classes that a classifier of any format has."""
    kernel = contents.weights.get("classifier/kernel")
    if kernel is None or kernel.ndim != 2:
        return contents
    config = dataclasses.replace(contents.config, num_classes=kernel.shape[1])
    return dataclasses.replace(contents, config=config)


def _read(folder: pathlib.Path) -> ModelContents:
    if not folder.is_dir():
        raise ValueError(f"There is no model folder {folder}.")
    for reader in _ALL_READERS.values():
        if reader.matches(folder):
            try:
                return reader.read(folder)
            except OSError as error:
                raise ValueError(
                    f"{folder} cannot be read as a model: {error}."
                ) from None
    looked_for = ", ".join(
        f"{reader.looks_for} ({name})" for name, reader in _ALL_READERS.items()
    )
    raise ValueError(
        f"{folder} is no model folder of a known format: looked for "
        f"{looked_for}."
    )


def _check_vocabulary(folder: pathlib.Path, contents: ModelContents) -> None:
    pieces = len(contents.tokenizer.vocabulary)
    rows = contents.config.vocabulary_size
    if not rows - _PADDED_ROWS < pieces <= rows:
        raise ValueError(
            f"{folder} has a vocabulary of {pieces} pieces, but "
            f"{rows} rows of word embeddings."
        )


def _without_padded_rows(contents: ModelContents) -> ModelContents:
    """Drop rows of the table that no piece has: they can only be noise."""
    pieces = len(contents.tokenizer.vocabulary)
    by_piece = (
        "bert/embeddings/word_embeddings",
        "cls/predictions/output_bias",
        "causal/encoder/word_embeddings/table",
    )
    return dataclasses.replace(
        contents,
        config=dataclasses.replace(contents.config, vocabulary_size=pieces),
        weights={
            name: array[:pieces] if name in by_piece else array
            for name, array in contents.weights.items()
        },
    )
