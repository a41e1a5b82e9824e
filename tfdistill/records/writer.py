"""Writing record sets: whole shards or none, and the manifest last."""

import contextlib
import functools
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import tensorflow as tf
from absl import logging

from tfdistill.files import holds_anything, write_atomically, write_json
from tfdistill.progress import Progress
from tfdistill.records.manifest import (
    MANIFEST,
    MARK,
    check_plan,
    entry,
    plan,
    plan_in,
    read_manifest_alone,
    write_manifest,
)
from tfdistill.records.notes import (
    NOTES,
    Entry,
    is_as_listed,
    read_notes,
    write_note,
)
from tfdistill.records.record_set import RecordSet, open_with_manifest
from tfdistill.records.schema import COMPRESSIONS, Schema


class RecordSetWriter:
    """Writes a record set shard by shard, and can go on after a kill.

    Shards appear under their names only when they are whole. Several
    processes may write different shards of one set; whichever sees all
    shards in place may finish it. A finished set of which something was lost
    or changed is mended: that is made again, and has to come out as before.

    Attributes:
        shard_names: All shards of the set.
    """

    def __init__(
        self,
        folder: str,
        *,
        schema: Schema,
        identity: Mapping[str, Any],
        shard_names: list[str],
        files: Mapping[str, bytes],
    ) -> None:
        """Prepare to write a set, or to take it up.

        Args:
            folder: Where it goes; made when the first shard is begun.
            schema: What the examples hold.
            identity: What makes them, as JSON values. A finished or
                unfinished set in the folder must have the same.
            shard_names: All shards of the set.
            files: What is kept beside them, such as a vocabulary, by name.

        Raises:
            ValueError: The folder holds something else.
        """
        self._folder = pathlib.Path(folder)
        self._schema = schema
        self.shard_names = shard_names
        self._identity = dict(identity)
        self._files = dict(files)
        self._wanted = plan(self._identity, schema.to_json(), shard_names)
        self._is_begun = False
        self._check_folder()

    @functools.cached_property
    def finished(self) -> RecordSet | None:
        """The set, once it is whole.

        All its bytes are read for that, the first time it is asked.
        """
        if not self._has_manifest():
            return None
        if damaged := self._damaged():
            logging.warning(
                "%s is mended; missing or damaged: %s.",
                self._folder,
                ", ".join(damaged),
            )
            return None
        self._tidy()
        return open_with_manifest(self._folder)

    def _has_manifest(self) -> bool:
        return (self._folder / MANIFEST).exists()

    def _listed(self) -> dict[str, Entry]:
        """Returns what is known of what the files have to be, by name."""
        if not self._has_manifest():
            return read_notes(self._folder, self.shard_names)
        manifest = read_manifest_alone(self._folder)
        entries = (*manifest["shards"], *manifest["files"])
        return {wanted["name"]: wanted for wanted in entries}

    def _damaged(self) -> list[str]:
        """Returns which files are not, byte for byte, what they have to be."""
        listed = self._listed()
        damaged = [name for name in self.shard_names if name not in listed]
        with Progress(
            "checking records",
            sum(wanted["bytes"] for wanted in listed.values()),
            unit="B",
            scale=True,
            shown=bool(listed),
        ) as progress:
            for name, wanted in listed.items():
                if not is_as_listed(self._folder / name, wanted):
                    damaged.append(name)
                progress.advance(wanted["bytes"])
        return damaged

    def _check_folder(self) -> None:
        folder = self._folder
        found = plan_in(folder)
        if found is not None:
            check_plan(folder, found, self._wanted)
        elif folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file, expected a folder.")
        elif any((folder / name).exists() for name in self.shard_names):
            raise ValueError(
                f"{folder} holds shards and no {MANIFEST}, so nothing says "
                "what made them. Put it back, or choose another folder."
            )
        elif folder.exists() and holds_anything(folder):
            raise ValueError(
                f"{folder} is not empty and holds no records of this "
                "program. Choose another folder."
            )

    def begin(self) -> None:
        """Make the folder and say in it what is being written.

        Raises:
            ValueError: Another process has begun something else there.
        """
        if self._is_begun:
            return
        self._check_folder()
        write_json(self._folder / MARK, self._wanted)
        listed = self._listed()
        for name, content in self._files.items():
            path = self._folder / name
            if name not in listed or not is_as_listed(path, listed[name]):
                with write_atomically(path) as temporary:
                    temporary.write_bytes(content)
        self._is_begun = True

    def join(self) -> None:
        """Take part in a set that another process has begun.

        Raises:
            ValueError: There is no such set in the folder.
        """
        mark = self._folder / MARK
        if not mark.exists():
            raise ValueError(
                f"{mark} is not to be seen here: all processes need the same "
                "folder."
            )
        self._check_folder()
        self._is_begun = True

    def missing(self) -> list[str]:
        """Returns the shards that are not there or are damaged."""
        damaged = set(self._damaged())
        return [name for name in self.shard_names if name in damaged]

    def shard(self, name: str) -> "ShardWriter":
        """Returns a context manager that writes one shard."""
        self.begin()
        return ShardWriter(self._folder / name, self._schema)

    def finish(self) -> RecordSet:
        """Write the manifest and open the set.

        Raises:
            ValueError: A shard is missing or damaged, or one that was made
                again is not what the manifest says.
        """
        for name in self._damaged():
            self._refuse(self._folder / name)
        if not self._has_manifest():
            listed = self._listed()
            write_manifest(
                self._folder,
                {
                    "schema": self._schema.to_json(),
                    "identity": self._identity,
                    "files": [entry(self._folder / n) for n in self._files],
                    "shards": [listed[name] for name in self.shard_names],
                },
            )
        self._tidy()
        return open_with_manifest(self._folder)

    def _refuse(self, path: pathlib.Path) -> NoReturn:
        if not path.exists():
            raise ValueError(f"{path} was not written.")
        if not self._has_manifest():
            raise ValueError(
                f"{path} was changed after it was written. Run the command "
                "again."
            )
        raise ValueError(
            f"{path} was made again and differs from what {MANIFEST} lists, "
            "as it may on another machine or with another version. Make all "
            "records again in another folder."
        )

    def _tidy(self) -> None:
        """Remove what processes that were killed have left of a whole set."""
        shutil.rmtree(self._folder / NOTES, ignore_errors=True)
        (self._folder / MARK).unlink(missing_ok=True)
        for name in (*self.shard_names, *self._files, MANIFEST, MARK):
            for partial in self._folder.glob(f".{name}.*.partial"):
                partial.unlink(missing_ok=True)


class ShardWriter:
    """Writes the examples of one shard; the file appears when it is whole."""

    def __init__(self, path: pathlib.Path, schema: Schema) -> None:
        """Prepare to write `path`.

        What cannot be written, as on a full disk, raises OSError.
        """
        self._path = path
        self._schema = schema
        self._atomic = write_atomically(path)
        self.examples = 0

    def __enter__(self) -> "ShardWriter":
        # The last bytes are written on closing, which may fail as well.
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(self._atomic)

            def note(*error: Any) -> None:
                if error[0] is None:
                    write_note(self._path, temporary, self.examples)

            stack.push(note)
            self._writer = stack.enter_context(
                tf.io.TFRecordWriter(
                    str(temporary), COMPRESSIONS[self._schema.compression]
                )
            )
            self._stack = stack.pop_all()
        return self

    def add(self, example: Mapping[str, Any]) -> None:
        """Encode and write one example."""
        self.add_serialized(self._schema.encode(example))

    def add_serialized(self, example: bytes) -> None:
        """Write one example that is encoded already."""
        with self._naming_the_file():
            self._writer.write(example)
        self.examples += 1

    def __exit__(self, *error: Any) -> None:
        with self._naming_the_file():
            self._stack.__exit__(*error)

    @contextlib.contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            what = error.message.rpartition("; ")[2]
            raise OSError(f"{self._path} cannot be written: {what}") from None
