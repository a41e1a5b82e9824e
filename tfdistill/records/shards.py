"""One file of a record set, and whether it is sound."""

import dataclasses
import pathlib
import re

import tensorflow as tf

from tfdistill.files import sha256_of
from tfdistill.records.manifest import MENDING
from tfdistill.records.schema import Schema


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a record set.

    Attributes:
        path: The file.
        examples: How many are in it.
        sha256: Of its bytes; empty where no manifest says it.
    """

    path: pathlib.Path
    examples: int
    sha256: str = ""

    def damage(self, schema: Schema) -> str | None:
        """Read the file through; returns what is wrong with it, or None."""
        try:
            found = count_examples(self.path, schema)
            _check_examples(self.path, schema)
            if found != self.examples:
                raise ValueError(
                    f"{self.path} holds {found} examples, its manifest says "
                    f"{self.examples}."
                )
        except ValueError as error:
            # What was written like that would come out like that again.
            was_changed = self.change() is not None
            return f"{error} {MENDING}" if was_changed else str(error)
        return self.change()

    def change(self) -> str | None:
        """Hash the file; returns that it was changed, or None."""
        if not self.sha256 or sha256_of(self.path) == self.sha256:
            return None
        return (
            f"{self.path} was changed: its SHA-256 is not the one in its "
            f"manifest. {MENDING}"
        )


def count_examples(path: pathlib.Path, schema: Schema) -> int:
    """Count the records of a shard, checking every checksum.

    Raises:
        ValueError: The file is cut or damaged.
    """
    examples = schema.read([str(path)])
    try:
        count = examples.reduce(tf.constant(0, tf.int64), lambda n, _: n + 1)
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError):
        raise ValueError(f"{path} is cut or damaged.") from None
    except tf.errors.OpError as error:
        raise ValueError(f"{path} cannot be read: {error.message}") from None
    return int(count)


def _check_examples(path: pathlib.Path, schema: Schema) -> None:
    examples = schema.read([str(path)]).batch(256)
    try:
        for _ in examples.map(schema.decode):
            pass
    except tf.errors.InvalidArgumentError as error:
        # What is in front of the cause names parts of the pipeline.
        cause = re.sub(
            r"^.*Iterator::\S+ |Name: <unknown>, |assertion failed: |[][]|\n.*",
            "",
            error.message,
        )
        raise ValueError(f"{path}: {' '.join(cause.split())}.") from None
