"""Durable files: whole under their name, or not there at all."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

StrPath = str | os.PathLike[str]
_PARTIAL = ".partial"


@contextlib.contextmanager
def write_atomically(path: StrPath) -> Iterator[pathlib.Path]:
    """Give a temporary path that becomes `path` when the block succeeds.

    The block makes a file or a folder at the temporary path. It reaches the
    disk before it gets its name, so that neither a kill nor a power cut
    leaves half of it under that name. An error in the block removes it.

    Args:
        path: Where it ends up. A file there is replaced; a folder there
            must be empty. Its parent folder is made if need be.

    Yields:
        A path in the same folder, `.<name>.<process>.partial`.

    Raises:
        OSError: It cannot be written or renamed.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        yield temporary
        for made in [temporary, *temporary.rglob("*")]:
            _flush(made)
        os.replace(temporary, path)
        _flush(path.parent)
    except BaseException as error:
        # A full disk is reported without the file that did not fit.
        if isinstance(error, OSError) and error.errno and not error.filename:
            error.filename = os.fspath(path)
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        raise


def holds_anything(folder: pathlib.Path) -> bool:
    """Returns whether a folder holds more than what a kill left of a write."""
    return any(path.suffix != _PARTIAL for path in folder.iterdir())


def _flush(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: StrPath) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: StrPath) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        ValueError: It is not UTF-8, not JSON or not an object; the message
            is one line and names the file.
        OSError: It cannot be read.
    """
    try:
        value = json.loads(pathlib.Path(path).read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} cannot be decoded."
        ) from None
    except json.JSONDecodeError as error:
        byte = len(error.doc[: error.pos].encode())
        raise ValueError(
            f"{path} is not JSON: {error.msg} in line {error.lineno}, "
            f"byte {byte} of the file."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ValueError(
            f"{path} holds a JSON {type(value).__name__}, expected an object."
        )
    return value


def write_json(path: StrPath, value: Mapping[str, Any]) -> None:
    """Write one JSON object, atomically and for people to read.

    Raises:
        OSError: It cannot be written.
    """
    with write_atomically(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
