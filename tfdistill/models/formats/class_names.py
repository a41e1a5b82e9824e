"""Classes by their names: models and tasks may have them in another order."""

import dataclasses
import pathlib
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tfdistill.models.formats.contents import ModelContents

# What Hugging Face calls classes that nobody has named.
_NO_NAME = re.compile("LABEL_[0-9]+")
_MOST_SHOWN = 300


def names_by_number(
    path: pathlib.Path, names: Mapping[str, Any]
) -> tuple[str, ...]:
    """Returns the names of classes that `id2label` gives by their number.

    Args:
        path: Of the settings, for messages.
        names: By "0", "1" and so on.

    Returns:
        The names, in the order of the classes; none if all are LABEL_0,
        LABEL_1 and so on.

    Raises:
        ValueError: A number is missing, or a name is no text or number.
    """
    found = []
    for number in range(len(names)):
        name = names.get(str(number))
        if not isinstance(name, str | int):
            raise ValueError(
                f"{path}: id2label has no name of the class {number}."
            )
        found.append(str(name))
    if all(map(_NO_NAME.fullmatch, found)):
        return ()
    return tuple(found)


def in_order_of(
    contents: ModelContents, classes: Sequence[Sequence[str]]
) -> ModelContents:
    """Put the classes of a model's classifier into the order of a task's.

    Names are compared as they are, then without regard to case and to space
    around them.

    Args:
        contents: Of a model with a classifier.
        classes: The names that each class of the task goes by, the task's
            own first.

    Returns:
        The same contents if the order is the same, or if model or task have
        no names.

    Raises:
        ValueError: The classes are not the same.
    """
    if not contents.labels or not classes:
        return contents
    order = _order(contents.labels, classes)
    if order is None:
        ours = _shown([names[0] for names in classes])
        raise ValueError(
            f"{contents.source} has the classes {_shown(contents.labels)}, "
            f"the task has {ours}; if they are the same, give the model's "
            "the task's names in its settings."
        )
    if order == sorted(order):
        return contents
    logging.info(
        "%s has the classes %s: they are put into the task's order.",
        contents.source,
        _shown(contents.labels),
    )
    return dataclasses.replace(
        contents,
        weights={
            name: array[..., order] if name.startswith("classifier/") else array
            for name, array in contents.weights.items()
        },
        labels=tuple(contents.labels[i] for i in order),
    )


def _order(
    found: Sequence[str], classes: Sequence[Sequence[str]]
) -> list[int] | None:
    """Returns where each class is found, None unless all are, once each."""
    for spelt in (str, _folded):
        places = [
            [i for i, name in enumerate(found) if spelt(name) in known]
            for known in ({spelt(name) for name in names} for names in classes)
        ]
        if sorted(places) == [[i] for i in range(len(found))]:
            return [place for (place,) in places]
    return None


def _folded(name: str) -> str:
    return name.strip().casefold()


def _shown(names: Sequence[str]) -> str:
    return textwrap.shorten(", ".join(names), _MOST_SHOWN, placeholder=" …")
