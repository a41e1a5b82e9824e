"""Durable files: whole under their name, or not there at all."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

StrPath = str | os.PathLike[str]
# A line of a table or an article is held in memory as a whole.
MOST_LINE_BYTES = 1 << 26
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


def is_name(text: str) -> bool:
    """Returns whether a text names something in a folder, and not elsewhere."""
    return text == pathlib.PurePath(text).name and text not in ("", "..")


def _flush(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lines_of(path: StrPath, file: BinaryIO) -> Iterator[bytes]:
    """Yield lines with their ends, as they arrive.

    Args:
        path: Name of the file, for messages.
        file: Its bytes.

    Raises:
        ValueError: A line is longer than `MOST_LINE_BYTES`.
    """
    number = 0
    while line := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES:
            raise ValueError(
                f"{path}: line {number} is longer than {MOST_LINE_BYTES:,} "
                "bytes."
            )
        yield line


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
