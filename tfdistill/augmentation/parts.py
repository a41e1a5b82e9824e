"""Long work in parts: what is killed goes on behind the last whole part."""

import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from absl import logging

from tfdistill.files import StrPath, read_json, write_json
from tfdistill.progress import Progress

# Numbers of a part: what a kill may cost.
PART = 2048

Make = Callable[[range], list[str | None]]


def in_parts(
    output: StrPath,
    made_of: Mapping[str, Any],
    make: Make,
    *,
    total: int,
) -> Iterator[str | None]:
    """Yield what is made of all numbers, in order.

    Parts that were made before, of the same, are read instead.

    Args:
        output: File that all of it becomes; the parts are in a hidden folder
            beside it, until `remove_parts`.
        made_of: What the result depends on, as JSON values.
        make: From some numbers to what is made of each.
        total: Numbers, from 0.
    """
    folder = _folder(output)
    note = folder / "made_of.json"
    if note.exists() and read_json(note) != dict(made_of):
        logging.info("%s is of other settings: it is made anew.", folder)
        shutil.rmtree(folder)
    write_json(note, dict(made_of))
    with Progress("sampling", total, unit=" samples") as progress:
        for start in range(0, total, PART):
            numbers = range(start, min(start + PART, total))
            part = folder / f"{start:09d}.json"
            if not part.exists():
                write_json(part, {"samples": make(numbers)})
            yield from read_json(part)["samples"]
            progress.advance(len(numbers))


def remove_parts(output: StrPath) -> None:
    """Remove the parts of what is finished."""
    shutil.rmtree(_folder(output), ignore_errors=True)


def _folder(output: StrPath) -> pathlib.Path:
    output = pathlib.Path(output)
    return output.with_name(f".{output.name}.parts")
