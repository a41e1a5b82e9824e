"""Writes text as a folder of shards that appears only when it is whole."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from tfdistill.text.documents import FORMAT, MANIFEST, VERSION


class TextWriter:
    """Context manager that writes documents to a folder.

    Shards are written to `<folder>.partial`, which takes its final name when
    `finish` has written the manifest; without `finish` it is removed.
    """

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        """Begin with an empty partial folder.

        Args:
            folder: Where the text goes; does not exist yet, or is empty.
            shard_bytes: A shard is closed before the document that would
                make it larger. A larger document gets a shard of its own.

        Raises:
            OSError: The folder cannot be made.
        """
        self._folder = folder
        self._partial = folder.with_name(folder.name + ".partial")
        self._shard_bytes = shard_bytes
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._shards: list[dict[str, Any]] = []
        self._documents = self._sentences = 0
        if self._partial.exists():
            shutil.rmtree(self._partial)
        self._partial.mkdir(parents=True)

    def add(self, sentences: Sequence[str]) -> None:
        """Append a document, and the blank line that ends it.

        Raises:
            OSError: It cannot be written; the message names the file.
        """
        data = "".join(f"{line}\n" for line in (*sentences, "")).encode()
        if self._file is not None and (
            self._shards[-1]["bytes"] + len(data) > self._shard_bytes
        ):
            self._close_shard()
        try:
            if self._file is None:
                self._open_shard()
            assert self._file is not None
            self._file.write(data)
        except OSError as error:
            raise _named(error, self._partial) from error
        self._digest.update(data)
        self._shards[-1]["bytes"] += len(data)
        self._documents += 1
        self._sentences += len(sentences)

    def finish(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest and give the folder its name.

        Args:
            more: Entries of the manifest besides the writer's own.

        Returns:
            The manifest.

        Raises:
            OSError: It cannot be written; the message names the file.
        """
        self._close_shard()
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "articles": self._documents,
            "sentences": self._sentences,
            "bytes": sum(shard["bytes"] for shard in self._shards),
            "shards": self._shards,
            **more,
        }
        try:
            (self._partial / MANIFEST).write_text(
                json.dumps(manifest, indent=1, ensure_ascii=False) + "\n",
                encoding="utf-8",
            )
            self._partial.rename(self._folder)
        except OSError as error:
            raise _named(error, self._folder) from error
        return manifest

    def __enter__(self) -> "TextWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            # What could not be written fails once more; all of it goes.
            with contextlib.suppress(OSError):
                self._file.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _open_shard(self) -> None:
        name = f"text-{len(self._shards):05d}.txt"
        self._file = open(self._partial / name, "wb")  # noqa: SIM115
        self._digest = hashlib.sha256()
        self._shards.append({"name": name, "bytes": 0, "sha256": ""})

    def _close_shard(self) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            raise _named(error, self._partial) from error
        finally:
            self._file = None
        self._shards[-1]["sha256"] = self._digest.hexdigest()


def _named(error: OSError, path: Path) -> OSError:
    return OSError(f"{path}: cannot write: {error.strerror or error}")
