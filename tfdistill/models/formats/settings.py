"""Model configurations as the JSON settings of other formats."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tfdistill.models.configuration import BertConfig

# The number of heads cannot be read off the weights, so nothing is guessed.
_REQUIRED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
)


def make_config(path: pathlib.Path, fields: Mapping[str, Any]) -> BertConfig:
    """Make a configuration of what a file says.

    Raises:
        ValueError: A field is unknown or out of range; the message names
            the file.
    """
    try:
        return BertConfig(**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def require(
    path: pathlib.Path, settings: Mapping[str, Any], keys: Sequence[str]
) -> None:
    """Refuse a JSON file that lacks a setting.

    Raises:
        ValueError: It lacks one; the message names it and the file.
    """
    missing = [key for key in keys if key not in settings]
    if missing:
        raise ValueError(f"{path} lacks the setting {json.dumps(missing[0])}.")


def choose(
    path: pathlib.Path,
    settings: Mapping[str, Any],
    key: str,
    default: Any,
    known: Mapping[Any, Any],
) -> Any:
    """Translate a setting by a table of the values known.

    Raises:
        ValueError: It has another value; the message lists them.
    """
    value = settings.get(key, default)
    if value not in known:
        choices = ", ".join(map(str, known))
        raise ValueError(f"{path}: unknown {key} {value!r}. Known: {choices}.")
    return known[value]


def common_fields(
    path: pathlib.Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the fields that have one meaning in every BERT configuration.

    There is one rate of dropout here; that of the hidden states is taken.

    Raises:
        ValueError: One that has no sensible default is missing.
    """
    require(path, settings, _REQUIRED)
    dropout = settings.get("hidden_dropout_prob", 0.1)
    of_attention = settings.get("attention_probs_dropout_prob", dropout)
    if of_attention != dropout:
        logging.warning(
            "%s has dropout %s in attention and %s elsewhere; %s is used.",
            path,
            of_attention,
            dropout,
            dropout,
        )
    return {
        "vocabulary_size": settings["vocab_size"],
        "num_layers": settings["num_hidden_layers"],
        "hidden_dim": settings["hidden_size"],
        "num_heads": settings["num_attention_heads"],
        "intermediate_dim": settings["intermediate_size"],
        "dropout": dropout,
        "max_sequence_length": settings.get("max_position_embeddings", 512),
        "initializer_range": settings.get("initializer_range", 0.02),
    }
