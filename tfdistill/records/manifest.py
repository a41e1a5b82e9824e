"""The manifest of a record set: what is in it, and what made it.

It is written last. Until then a mark says what the finished shards belong to.
"""

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from tfdistill.files import is_name, read_json, sha256_of, write_json

FORMAT = "tfdistill records"
VERSION = 2
MANIFEST = "manifest.json"
MARK = "unfinished.json"
MENDING = "Run the command that made these records again to mend them."
# Without it nothing says what made them, or what they have to be.
_REPLACING = "Put a copy back, or remove the folder and make its records again."

_HASHED = {
    "tokenizer": "the vocabulary or its casing",
    "text": "the text",
    "table": "the table",
    "questions": "the questions",
    "fingerprint": "the vocabulary of words",
    "teacher": "the teacher",
    "records": "the records that the teacher was asked about",
}

_OF_A_FILE = {"name": str, "bytes": int, "sha256": str}
_LISTED = {"files": _OF_A_FILE, "shards": {**_OF_A_FILE, "examples": int}}
# What the identity says, where it says it.
_OF_THE_IDENTITY = {
    "task": str,
    "tokenizer": str,
    "split": str,
    "submission": str,
    "num_classes": int,
    "labels": list,
    "metrics": list,
    "settings": dict,
    "teacher_shape": dict,
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
    manifest = read_manifest_alone(folder)
    for entry in (*manifest["shards"], *manifest["files"]):
        listed = folder / entry["name"]
        if not listed.exists():
            raise ValueError(
                f"{listed} is missing; {folder / MANIFEST} lists it. {MENDING}"
            )
        size = listed.stat().st_size
        if size != entry["bytes"]:
            raise ValueError(
                f"{listed} has {size} bytes, expected {entry['bytes']}: it "
                f"is cut or was changed. {MENDING}"
            )
        if entry in manifest["files"] and sha256_of(listed) != entry["sha256"]:
            raise ValueError(
                f"{listed} was changed: its SHA-256 is another. {MENDING}"
            )
    return manifest


def read_manifest_alone(folder: pathlib.Path) -> dict[str, Any]:
    """Read a manifest, whatever has become of the files it lists.

    Raises:
        ValueError: It is damaged, or of something else.
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
        raise ValueError(
            f"{path} is damaged: its digest does not match. {_REPLACING}"
        )
    written = json.dumps(
        manifest | {"digest": stated}, indent=2, ensure_ascii=False
    )
    if path.read_text("utf-8") != written + "\n":
        raise ValueError(
            f"{path} is damaged: it is not as it was written. {_REPLACING}"
        )
    _check_types(path, manifest)
    return manifest | {"digest": stated}


def _check_types(path: pathlib.Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a manifest that has a digest but was written by others."""

    def refuse(what: str) -> NoReturn:
        raise ValueError(f"{path} is no manifest of records: {what}.")

    for kind, types in _LISTED.items():
        entries = manifest.get(kind)
        if not isinstance(entries, list):
            refuse(f"it has no list of {kind}")
        for entry in entries:
            if not isinstance(entry, dict) or any(
                type(entry.get(name)) is not type_
                for name, type_ in types.items()
            ):
                refuse(f"{entry!r:.60} is no entry of {kind}")
            if not is_name(entry["name"]):
                refuse(f"{entry['name']!r:.60} is not beside it")
            if entry["bytes"] < 0 or not 0 <= entry.get("examples", 0) < 2**62:
                refuse(f"{entry['name']} cannot have that size")
    names = [entry["name"] for kind in _LISTED for entry in manifest[kind]]
    if len(set(names)) < len(names):
        refuse("a file is listed twice")
    identity = manifest.get("identity")
    if not isinstance(identity, dict):
        refuse("it does not say what made them")
    for name, type_ in _OF_THE_IDENTITY.items():
        if name in identity and type(identity[name]) is not type_:
            refuse(f"{name} is {identity[name]!r:.60}")
    for name in ("submission", "split"):
        value = identity.get(name)
        if value and not is_name(value):
            refuse(f"{name} {value!r:.60} is no file's name")


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
        manifest = read_manifest_alone(folder)
        names = [shard["name"] for shard in manifest["shards"]]
        return plan(manifest["identity"], manifest["schema"], names)
    if (folder / MARK).exists():
        return read_json(folder / MARK)
    return None


def check_identity(folder: pathlib.Path, known: Mapping[str, Any]) -> None:
    """Refuse a folder whose set is known to be made by something else.

    For what is known before what takes long to find out, as of a teacher.

    Args:
        folder: Where a set is, is being written, or will be.
        known: A part of an identity.

    Raises:
        ValueError: It is; or what says so is damaged.
    """
    found = plan_in(folder)
    stated = found.get("identity") if found else None
    if isinstance(stated, Mapping):
        wanted = json.loads(json.dumps(dict(known)))
        check_plan(folder, {key: stated.get(key) for key in wanted}, wanted)


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
