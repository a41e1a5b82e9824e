"""Model configurations as the JSON settings of other formats."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tfdistill.models.configuration import BertConfig

# The names that BERT was published with. The number of heads cannot be read
# off the weights, so nothing is guessed.
BERT_NAMES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "hidden_dim": "hidden_size",
    "num_heads": "num_attention_heads",
    "intermediate_dim": "intermediate_size",
}


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


def check_switches(
    path: pathlib.Path, settings: Mapping[str, Any], keys: Sequence[str]
) -> None:
    """Refuse settings that are neither true nor false, where they are given.

    Raises:
        ValueError: One is something else.
    """
    for key in keys:
        if type(settings.get(key, False)) is not bool:
            raise ValueError(
                f"{path}: {key} is {settings[key]!r:.60}, expected true or "
                "false."
            )


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
    if value not in list(known):
        choices = ", ".join(map(str, known))
        raise ValueError(f"{path}: unknown {key} {value!r}. Known: {choices}.")
    return known[value]


def shape_fields(
    path: pathlib.Path,
    settings: Mapping[str, Any],
    names: Mapping[str, str] = BERT_NAMES,
) -> dict[str, Any]:
    """Returns the fields of `BertConfig` that fix a model's shape.

    Args:
        path: Of the settings, for messages.
        settings: What the file says.
        names: What it calls the fields that have no sensible default.

    Raises:
        ValueError: One of them is missing.
    """
    require(path, settings, list(names.values()))
    return {
        **{field: settings[name] for field, name in names.items()},
        "max_sequence_length": settings.get("max_position_embeddings", 512),
        "initializer_range": settings.get("initializer_range", 0.02),
    }


def one_dropout(
    path: pathlib.Path, rate: float, others: Mapping[str, float | None]
) -> float:
    """Returns the rate of dropout, of which there is one here.

    Args:
        path: Of the settings, for messages.
        rate: That of the hidden states, which is taken.
        others: Those of other places, where they are given; one that differs
            is warned of.
    """
    for where, other in others.items():
        if other is not None and other != rate:
            logging.warning(
                "%s has dropout %s in %s and %s elsewhere; %s is used.",
                path,
                other,
                where,
                rate,
                rate,
            )
    return rate


def check_classes(
    path: pathlib.Path, stated: Mapping[str, int], num_classes: int
) -> None:
    """Refuse settings that contradict a classifier's weights.

    Args:
        path: Of the settings, for messages.
        stated: Numbers of classes by the names of settings.
        num_classes: Those that the weights tell apart.

    Raises:
        ValueError: A number differs.
    """
    for name, number in stated.items():
        if number != num_classes:
            raise ValueError(
                f"{path}: {name} says {number} classes, the classifier's "
                f"weights have {num_classes}."
            )
