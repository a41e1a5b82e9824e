"""Records of tables: each row becomes an example, in the table's order.

What an example holds is a `Layout`'s affair: `tasks.sentence_records` has that
of a task, `tasks.language_records` those of language models.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from absl import logging

from tfdistill.files import StrPath, sha256_of
from tfdistill.progress import Progress
from tfdistill.records import RecordSet, RecordSetWriter, Schema
from tfdistill.records.schema import Example
from tfdistill.tasks.glue import SentenceTask, label_of
from tfdistill.tasks.logit_columns import LogitColumns
from tfdistill.text.tables import Columns, Row, read_table

_ROWS_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class Split:
    """A table that was read through, and the records to make of it."""

    name: str
    path: str
    columns: Columns
    folder: str
    rows: int
    has_labels: bool
    fingerprint: str
    keeps_masks: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """What is made of the rows of a table.

    Attributes:
        schema: Of the examples.
        identity: What makes them, as JSON values.
        files: What is kept beside them, by name.
        encode: From some rows to their examples, in order.
    """

    schema: Schema
    identity: Mapping[str, Any]
    files: Mapping[str, bytes]
    encode: Callable[[list[Row]], Iterable[Example]]


def find_split(
    task: SentenceTask,
    name: str,
    path: StrPath,
    columns: Columns,
    folder: str,
    *,
    keeps_masks: bool = False,
    logits: LogitColumns | None = None,
) -> Split:
    """Read a table through, checking every row.

    Args:
        task: Whose labels it has.
        name: "train", "dev" or "test".
        path: The table.
        columns: Where it has what.
        folder: Of the records.
        keeps_masks: Whether the word [MASK] is that piece, as in what rules
            have made.
        logits: Columns with a teacher's logits, if there are some.

    Raises:
        ValueError: A row, a label or a logit is wrong, or there is no such
            table; or the rows of one that GLUE asks predictions for are not
            in the order of their own numbers, from 0.
    """
    rows = 0
    has_labels = False
    # The places of rows are the numbers that predictions of them have.
    is_numbered = name == "test" and task.submission
    for row in read_table(path, columns):
        if is_numbered and row.index not in (None, str(rows)):
            raise ValueError(
                f"{path}: line {row.line} has the index {row.index!r:.60}, "
                f"expected {rows}: rows are numbered from 0, in their order."
            )
        has_labels = label_of(task, row, path) is not None
        if logits is not None:
            logits.of(row)
        rows += 1
    return Split(
        name=name,
        path=str(path),
        columns=columns,
        folder=folder,
        rows=rows,
        has_labels=has_labels,
        fingerprint=sha256_of(path),
        keeps_masks=keeps_masks,
    )


def open_split(
    split: Split, layout: Layout, *, examples_per_shard: int
) -> RecordSetWriter:
    """Prepare to write the records of a split.

    Args:
        split: The table.
        layout: What becomes of its rows.
        examples_per_shard: In a shard, at most.

    Raises:
        ValueError: as `RecordSetWriter`.
    """
    num_shards = math.ceil(split.rows / examples_per_shard)
    return RecordSetWriter(
        split.folder,
        schema=layout.schema,
        identity=layout.identity,
        shard_names=[
            f"{split.name}-{i:05d}-of-{num_shards:05d}.tfrecord"
            for i in range(num_shards)
        ],
        files=layout.files,
    )


def write_split(
    split: Split,
    layout: Layout,
    writer: RecordSetWriter,
    *,
    examples_per_shard: int,
) -> dict[str, int]:
    """Write the records of a split in the order of its table.

    Args: as `open_split`, which made the writer.

    Returns:
        `examples` and `shards`.
    """
    if writer.finished is not None:
        logging.info("%s is finished already.", split.folder)
        return _summary(writer.finished)
    missing = set(writer.missing())
    rows = read_table(split.path, split.columns)
    with Progress(
        f"making {split.name} records", split.rows, unit=" rows"
    ) as progress:
        for name in writer.shard_names:
            of_shard = itertools.islice(rows, examples_per_shard)
            if name not in missing:
                for _ in of_shard:
                    progress.advance(1)
                continue
            with writer.shard(name) as shard:
                while some := list(itertools.islice(of_shard, _ROWS_AT_ONCE)):
                    for example in layout.encode(some):
                        shard.add(example)
                        progress.advance(1)
    return _summary(writer.finish())


def _summary(records: RecordSet) -> dict[str, int]:
    return {"examples": records.examples, "shards": len(records.shards)}
