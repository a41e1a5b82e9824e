"""The manifest of a record set: what is in it, and what made it.

It is written last. Until then a mark says what the finished shards belong to.
"""

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfdistill.files import read_json, sha256_of, write_json

FORMAT = "tfdistill records"
VERSION = 2
MANIFEST = "manifest.json"
MARK = "unfinished.json"

_HASHED = {
    "tokenizer": "the vocabulary or its casing",
    "text": "the text",
    "table": "the table",
    "questions": "the questions",
    "fingerprint": "the vocabulary of words",
    "teacher": "the teacher's weights",
    "records": "the records that the teacher was asked about",
}


def digest(values: Any) -> str:
    """Returns a hash of JSON values that ignores the order of keys."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(folder: pathlib.Path, contents: Mapping[str, Any]) -> None:
    """Write the manifest of a set whose other files are all there.

    Raises:
        OSError: It cannot be written.
    """
    manifest = {"format": FORMAT, "version": VERSION, **contents}
    write_json(folder / MANIFEST, manifest | {"digest": digest(manifest)})


def read_manifest(folder: pathlib.Path) -> dict[str, Any]:
    """Read a manifest, and check that the files it lists are there.

    Of shards the sizes are compared, of the small files beside them the
    bytes.

    Raises:
        ValueError: The manifest or a file is damaged, missing or changed.
    """
    path = folder / MANIFEST
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{path} is no manifest of {FORMAT}.")
    if manifest.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {manifest.get('version')!r}; this program "
            f"reads version {VERSION}. Make the records again."
        )
    stated = manifest.pop("digest", None)
    if stated != digest(manifest):
        raise ValueError(f"{path} is damaged: its digest does not match.")
    written = json.dumps(
        manifest | {"digest": stated}, indent=2, ensure_ascii=False
    )
    if path.read_text("utf-8") != written + "\n":
        raise ValueError(f"{path} is damaged: it is not as it was written.")
    for entry in (*manifest["shards"], *manifest["files"]):
        listed = folder / pathlib.PurePath(entry["name"]).name
        if not listed.exists():
            raise ValueError(f"{listed} is missing; {path} lists it.")
        size = listed.stat().st_size
        if size != entry["bytes"]:
            raise ValueError(
                f"{listed} has {size} bytes, expected {entry['bytes']}: it "
                "is cut or was changed."
            )
        if entry in manifest["files"] and sha256_of(listed) != entry["sha256"]:
            raise ValueError(f"{listed} was changed: its SHA-256 is another.")
    return manifest | {"digest": stated}


def entry(path: pathlib.Path) -> dict[str, Any]:
    """Returns what a manifest says of a file."""
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
    }


def plan(
    identity: Mapping[str, Any],
    schema: Mapping[str, Any],
    shard_names: list[str],
) -> dict[str, Any]:
    """Returns what a set is to become, as JSON values that compare."""
    values = {"identity": identity, "schema": schema, "shards": shard_names}
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found


def plan_in(folder: pathlib.Path) -> dict[str, Any] | None:
    """Returns what the set in a folder is or is to become, if there is one.

    Raises:
        ValueError: What says so is damaged.
    """
    if (folder / MANIFEST).exists():
        manifest = read_manifest(folder)
        names = [shard["name"] for shard in manifest["shards"]]
        return plan(manifest["identity"], manifest["schema"], names)
    if (folder / MARK).exists():
        return read_json(folder / MARK)
    return None


def check_plan(
    folder: pathlib.Path, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuse a folder that holds something else than is wanted.

    Raises:
        ValueError: It does; the message names the first difference.
    """
    if found == wanted:
        return
    name, theirs, ours = next(_differences(found, wanted, ""))
    what = _HASHED.get(name, name)
    if name not in _HASHED:
        what += f" is {_short(theirs)} there and {_short(ours)} here"
    else:
        what += " differ" if name in ("records", "questions") else " differs"
    raise ValueError(
        f"{folder} holds records made from other input or settings: {what}. "
        "Remove it or choose another folder."
    )


def _differences(
    found: Any, wanted: Any, name: str
) -> Iterator[tuple[str, Any, Any]]:
    """Yield names and both values of what differs, the deepest names."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in {**wanted, **found}:
            yield from _differences(found.get(key), wanted.get(key), str(key))
    elif found != wanted:
        yield name, found, wanted


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:79] + "…"
