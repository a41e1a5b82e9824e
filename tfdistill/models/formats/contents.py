"""What a reader finds in a model folder, whatever the format."""

import dataclasses
import pathlib
from collections.abc import Callable

from tfdistill.models.weights import Config, Weights
from tfdistill.text.tokenizer import Pieces
from tfdistill.text.words import Words


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelContents:
    """The contents of a model folder, not checked against each other yet.

    Attributes:
        config: Shape and conventions.
        weights: Arrays by canonical name.
        tokenizer: What makes text into its ids.
        source: File that the weights are from, for messages.
        labels: Names of a classifier's classes; empty if not known.
    """

    config: Config
    weights: Weights
    tokenizer: Pieces | Words
    source: str
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """A folder format.

    Attributes:
        looks_for: The files that tell the format, in words.
        matches: Whether a folder is of the format.
        read: Reads such a folder. Raises ValueError or OSError, with one
            line that names the file, if anything in it is wrong.
    """

    looks_for: str
    matches: Callable[[pathlib.Path], bool]
    read: Callable[[pathlib.Path], ModelContents]
