"""Named arrays in one safetensors file, with a check sum for each.

A file holds an 8-byte length, a JSON header with the place of every tensor,
and their bytes. The format itself would not notice a changed byte, so the
check sums of ours stand in the header's metadata under `crc32`, as JSON:
one for each tensor, its type and shape included, and one for the rest of the
metadata.
"""

import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from tfdistill.files import StrPath, write_atomically

_CHECKSUMS = "crc32"
# A name that the format itself reserves.
_METADATA = "__metadata__"
_LENGTH_BYTES = 8


def save_tensors(
    path: StrPath,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
) -> None:
    """Write arrays atomically, with a check sum for each.

    Args:
        path: The file.
        tensors: Arrays by name.
        metadata: Anything to keep beside them.

    Raises:
        OSError: It cannot be written.
    """
    arrays, checked = _with_checksums(tensors, metadata)
    with write_atomically(path) as temporary:
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata=checked)
        except safetensors.SafetensorError as error:
            raise OSError(f"{path} cannot be written: {error}.") from None


def tensors_as_bytes(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> bytes:
    """Returns what `save_tensors` would write."""
    arrays, checked = _with_checksums(tensors, metadata)
    made: bytes = safetensors.numpy.save(arrays, metadata=checked)
    return made


def _with_checksums(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    # safetensors writes memory as it lies, so it must lie in C order.
    arrays = {
        name: np.require(array, requirements="C")
        for name, array in tensors.items()
    }
    checksums = {name: _checksum(array) for name, array in arrays.items()}
    checksums[_METADATA] = _metadata_checksum(metadata)
    return arrays, {**metadata, _CHECKSUMS: json.dumps(checksums)}


def load_tensors(
    path: StrPath, prefix: str = "", *, needs_checksums: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the arrays of a safetensors file.

    Files written elsewhere carry no check sums, and only their structure is
    checked then. Arrays of type bfloat16, which NumPy lacks, come back as
    float32 of the same values.

    Args:
        path: The file.
        prefix: Read only tensors whose name begins with this.
        needs_checksums: Whether to refuse a file without check sums, as one
            that was not written here, or not left as it was.

    Returns:
        Arrays by name, and the metadata given to `save_tensors`.

    Raises:
        ValueError: The file is cut, longer than its header says, changed,
            or no safetensors file at all; one line that names it.
        OSError: It cannot be read.
    """
    header = _read_header(path)
    try:
        # It refuses metadata that are no texts by name.
        arrays = _read_arrays(path, header, prefix)
        metadata = dict(header.pop(_METADATA, None) or {})
        checksums = dict(json.loads(metadata.pop(_CHECKSUMS, "{}")))
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from None
    if needs_checksums and not checksums:
        raise ValueError(f"{path} is damaged: it has no check sums.")
    if checksums:
        actual = {name: _checksum(array) for name, array in arrays.items()}
        actual[_METADATA] = _metadata_checksum(metadata)
        for name in {**header, **checksums}:
            if not name.startswith((prefix, _METADATA)):
                continue
            if checksums.get(name) != actual.get(name):
                raise ValueError(
                    f"{path} is damaged: {name} does not match its check sum."
                )
    return arrays, metadata


def _checksum(array: np.ndarray) -> int:
    kind = zlib.crc32(f"{array.dtype}{array.shape}".encode())
    return zlib.crc32(array.reshape(-1).view(np.uint8).data, kind)


def _metadata_checksum(metadata: Mapping[str, str]) -> int:
    return zlib.crc32(json.dumps(metadata, sort_keys=True).encode())


def _read_header(path: StrPath) -> dict[str, Any]:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        # A file of another kind begins with any number: read no more than
        # there is.
        length = min(length, os.fstat(file.fileno()).st_size)
        text = file.read(length)
    try:
        header = json.loads(text)
        if not isinstance(header, dict):
            raise ValueError("its header is no object")
    except (ValueError, RecursionError):
        raise ValueError(
            f"{path} is cut or no safetensors file: it has no readable header."
        ) from None
    return header


def _read_arrays(
    path: StrPath, header: Mapping[str, Any], prefix: str
) -> dict[str, np.ndarray]:
    arrays = {}
    # The reader checks that the header's extents fill the file exactly.
    with safetensors.safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118, a reader, no mapping
            if not name.startswith(prefix):
                continue
            if header[name]["dtype"] == "BF16":
                arrays[name] = _read_bfloat16(path, header[name])
            else:
                arrays[name] = file.get_tensor(name)
    return arrays


def _read_bfloat16(path: StrPath, entry: Mapping[str, Any]) -> np.ndarray:
    """Returns float32: bfloat16 is its upper half."""
    start, stop = entry["data_offsets"]
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        file.seek(_LENGTH_BYTES + length + start)
        halves = np.frombuffer(file.read(stop - start), "<u2")
    wide = halves.astype(np.uint32) << 16
    return wide.view(np.float32).reshape(entry["shape"])
