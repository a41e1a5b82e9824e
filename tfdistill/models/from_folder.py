"""Students that start as the model of a folder."""

import dataclasses
from collections.abc import Collection, Sequence

from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.text.tokenizer import Pieces
from tfdistill.text.words import Words

NO_WORDS = (
    "{} reads whole words, which the records do not hold: make_records puts "
    "them there with --words_file."
)


def load_student(
    path: str,
    *,
    tokenizer: Pieces,
    words: Words | None,
    heads: Collection[str],
    num_classes: int,
    classes: Sequence[Sequence[str]],
    seed: int,
) -> LoadedModel:
    """Load a student that reads what records hold.

    Args: as `build_student` and `load_model`.

    Raises:
        ValueError: As `load_model`, or it has another vocabulary.
    """
    student = load_model(
        path, heads=heads, num_classes=num_classes, classes=classes, seed=seed
    )
    theirs = student.tokenizer
    given = words if isinstance(theirs, Words) else tokenizer
    if given is None:
        raise ValueError(NO_WORDS.format(path))
    if theirs.fingerprint != given.fingerprint:
        raise ValueError(
            f"{path} has another vocabulary or casing than the records."
        )
    # Equal pieces; records may be those of a conditional model.
    return dataclasses.replace(student, tokenizer=given)
