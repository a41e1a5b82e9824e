"""Notes on the finished shards of a set that has no manifest yet.

A note holds what the manifest will say of its shard. Each shard has one of its
own, so processes that write different shards of a set need not agree; and it
is there before its shard gets its name, so that no shard is without.
"""

import pathlib
from collections.abc import Iterable
from typing import Any

from tfdistill.files import read_json, sha256_of, write_json
from tfdistill.records.manifest import digest, entry

NOTES = "finished"

Entry = dict[str, Any]


def write_note(
    path: pathlib.Path, temporary: pathlib.Path, examples: int
) -> None:
    """Note what a shard is that is whole and about to get its name.

    Args:
        path: Where the shard will be.
        temporary: Where it is.
        examples: How many are in it.

    Raises:
        OSError: It cannot be written.
    """
    noted = entry(temporary) | {"name": path.name, "examples": examples}
    write_json(_note_of(path), noted | {"digest": digest(noted)})


def read_notes(folder: pathlib.Path, names: Iterable[str]) -> dict[str, Entry]:
    """Returns what is noted of shards, but for lost and damaged notes."""
    found = {}
    for name in names:
        try:
            noted = read_json(_note_of(folder / name))
        except (ValueError, FileNotFoundError):
            continue
        stated = noted.pop("digest", None)
        if stated == digest(noted) and noted.get("name") == name:
            found[name] = noted
    return found


def is_as_listed(path: pathlib.Path, listed: Entry) -> bool:
    """Returns whether a file has the size and the SHA-256 that are listed."""
    return (
        path.is_file()
        and path.stat().st_size == listed["bytes"]
        and sha256_of(path) == listed["sha256"]
    )


def _note_of(path: pathlib.Path) -> pathlib.Path:
    return path.parent / NOTES / f"{path.name}.json"
