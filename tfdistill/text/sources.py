"""Source files: which there are, and their bytes, decompressed and hashed."""

import bz2
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from tfdistill.files import lines_of

BLOCK_BYTES = 1 << 16

# A compression is told by the first bytes, since names are often changed.
DECOMPRESSORS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"BZh": ("bz2", bz2.BZ2Decompressor),
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(wbits=31)),
}
# A few kilobytes can hold gigabytes, so these come out piece by piece.
_MOST_AT_ONCE = 1 << 20


class DamagedSourceError(ValueError):
    """The bytes of a source cannot be read; the message names it."""


def source_files(path: str) -> list[Path]:
    """List the files of a source: itself, or all files below a folder.

    Args:
        path: A file, or a folder, which is searched in all its depth.

    Returns:
        Paths in sorted order; hidden files are left out.

    Raises:
        FileNotFoundError: There is nothing at `path`.
        ValueError: There are no files, or they are all empty.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"{path}: no such file or folder.")
    files = [root]
    if root.is_dir():
        files = sorted(
            file
            for file in root.rglob("*")
            if file.is_file()
            and not any(
                part.startswith(".") for part in file.relative_to(root).parts
            )
        )
        if not files:
            raise ValueError(f"{path}: the folder holds no files.")
    if not any(file.stat().st_size for file in files):
        raise ValueError(f"{path}: empty, there is nothing to read.")
    return files


def fingerprint(digests: dict[str, str]) -> str:
    """Combine the SHA-256 of files into one; that of a single file is kept.

    Args:
        digests: Hexadecimal SHA-256 by the name of the file.
    """
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decoded_lines(path: Path, file: io.BufferedReader) -> Iterator[str]:
    """Yield the lines of UTF-8 text, without white space at either end.

    Raises:
        ValueError: The text is not UTF-8, where the message names the offset
            of the first byte that is not; or a line is too long.
    """
    offset = 0
    for line in lines_of(path, file):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}: not UTF-8 text at byte offset "
                f"{offset + error.start:,}."
            ) from None
        yield (text.removeprefix("\ufeff") if offset == 0 else text).strip()
        offset += len(line)


class SourceStream(io.RawIOBase):
    """A file's decompressed bytes, as a raw binary stream.

    Unlike the standard library's readers it refuses damaged data after the
    first compressed stream; dumps consist of many such streams.

    Attributes:
        consumed: Bytes read so far of the file as it is on disk.

    Raises:
        ValueError: On reading, when the compressed data are damaged or cut
            short. The message names the file and the place.
    """

    def __init__(self, path: Path) -> None:
        self.consumed = 0
        self._path = path
        self._digest = hashlib.sha256()
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115, see close()
        self._blocks = self._decompress()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Returns True, as `io.RawIOBase` asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as `io.RawIOBase` asks; returns how far."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def sha256(self) -> str:
        """Returns the SHA-256 of the file; the stream must be at its end."""
        return self._digest.hexdigest()

    def _raw(self) -> bytes:
        try:
            block = self._file.read(BLOCK_BYTES)
        except OSError as error:
            raise OSError(
                f"{self._path}: cannot read: {error.strerror}"
            ) from error
        self.consumed += len(block)
        self._digest.update(block)
        return block

    def _decompress(self) -> Iterator[bytes]:
        block = self._raw()
        for magic, (name, make) in DECOMPRESSORS.items():
            if block.startswith(magic):
                yield from self._decompress_streams(block, name, magic, make)
                return
        while block:
            yield block
            block = self._raw()

    def _decompress_streams(
        self, block: bytes, name: str, magic: bytes, make: Callable[[], Any]
    ) -> Iterator[bytes]:
        stream = make()
        while block:
            try:
                yield from _pieces(stream, block)
            except (OSError, zlib.error):
                self._refuse(f"damaged {name} data")
            block = stream.unused_data if stream.eof else self._raw()
            if stream.eof:
                # The magic of the next stream can lie across two blocks.
                if len(block) < len(magic):
                    block += self._raw()
                if not block:
                    return
                if not block.startswith(magic):
                    self._refuse(f"damaged {name} data")
                stream = make()
        self._refuse(f"the {name} data are cut short")

    def _refuse(self, cause: str) -> NoReturn:
        raise DamagedSourceError(
            f"{self._path}: {cause} near byte {self.consumed:,}."
        )


def _pieces(stream: Any, block: bytes) -> Iterator[bytes]:
    """Yield what a block comes to, a piece at a time.

    The two libraries differ in who keeps what has not been used.
    """
    yield stream.decompress(block, _MOST_AT_ONCE)
    while not stream.eof:
        rest = getattr(stream, "unconsumed_tail", b"")
        if not rest and getattr(stream, "needs_input", True):
            return
        yield stream.decompress(rest, _MOST_AT_ONCE)
