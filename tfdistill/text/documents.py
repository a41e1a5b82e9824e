"""Reads text: one sentence per line, a blank line between documents."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfdistill.text.sources import decoded_lines

MANIFEST = "manifest.json"
FORMAT = "tfdistill text"
VERSION = 1


def text_files(path: str) -> list[Path]:
    """List the files of a text, in reading order.

    Args:
        path: One file of any name, or a folder of `*.txt` files. Where the
            folder has a manifest, the files are those that it lists.

    Raises:
        FileNotFoundError: There is nothing at `path`, or no text in it, or
            a file of the manifest is not there.
        ValueError: The files are empty, or differ from the manifest.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"{path}: no such file or folder.")
    if root.is_file():
        files = [root]
    else:
        manifest = read_manifest(root)
        if manifest is None:
            files = sorted(root.glob("*.txt"))
        else:
            files = _listed_files(root, manifest)
        if not files:
            raise FileNotFoundError(f"{path}: the folder holds no *.txt file.")
    if not any(file.stat().st_size for file in files):
        raise ValueError(f"{path}: empty, there is no text.")
    return files


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a text folder, None if it has none.

    Raises:
        ValueError: The manifest is not one of a text of this version.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_bytes())
        known = (manifest["format"], manifest["version"])
    except (ValueError, KeyError, TypeError):
        known = (None, None)
    if known != (FORMAT, VERSION):
        raise ValueError(
            f"{path}: not the manifest of a {FORMAT} of version {VERSION}."
        )
    return manifest


def read_documents(paths: Iterable[Path]) -> Iterator[list[str]]:
    """Yield documents, each as the list of its sentences.

    A blank line ends a document, and so does the end of a file.

    Args:
        paths: Text files, as `text_files` lists them.

    Raises:
        ValueError: A file is not UTF-8.
    """
    for path in paths:
        document: list[str] = []
        with open(path, "rb") as file:
            for sentence in decoded_lines(path, file):
                if sentence:
                    document.append(sentence)
                elif document:
                    yield document
                    document = []
        if document:
            yield document


def _listed_files(root: Path, manifest: dict[str, Any]) -> list[Path]:
    files = []
    for shard in manifest["shards"]:
        file = root / shard["name"]
        if not file.exists():
            raise FileNotFoundError(
                f"{file}: missing, though {MANIFEST} lists it."
            )
        size = file.stat().st_size
        if size != shard["bytes"]:
            raise ValueError(
                f"{file}: {size:,} bytes where {MANIFEST} says "
                f"{shard['bytes']:,}."
            )
        files.append(file)
    return files
