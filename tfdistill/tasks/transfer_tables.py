"""Tables of more sentences for a task, with labels or without.

They have a header, `sentence` or `sentence1` and `sentence2`, and `label`
where labels are known, whatever the task's own tables look like.
"""

from collections.abc import Iterable, Sequence

from tfdistill.files import StrPath
from tfdistill.tasks.glue import SentenceTask, path_of
from tfdistill.text.tables import Columns, write_rows

_SINGLE: tuple[str, ...] = ("sentence",)
_PAIR: tuple[str, ...] = ("sentence1", "sentence2")


def transfer_columns(task: SentenceTask) -> Columns:
    """Returns where such a table of a task has what."""
    names = _PAIR if task.is_pair else _SINGLE
    return Columns(
        first=names[0],
        second=names[1] if task.is_pair else None,
        label="label",
        optional=("label",),
    )


def table_of(
    task: SentenceTask, data_dir: StrPath, split: str, transfer_table: str
) -> tuple[StrPath, Columns]:
    """Find the table of a split, and where it has what.

    Args:
        task: The task.
        data_dir: Its folder.
        split: "train", "dev" or "test".
        transfer_table: What takes the place of the train table, if anything.

    Raises:
        ValueError: The task has no such split.
        FileNotFoundError: The table of the split is not there.
    """
    if split == "train" and transfer_table:
        return transfer_table, transfer_columns(task)
    return path_of(task, data_dir, split), task.columns[split]


def tables_of(
    task: SentenceTask, data_dir: StrPath, transfer_table: str
) -> list[tuple[StrPath, Columns]]:
    """Find the tables of all splits that are there, as `table_of`.

    Raises:
        FileNotFoundError: There is none.
    """
    found = []
    missing = None
    for split in task.files:
        try:
            found.append(table_of(task, data_dir, split, transfer_table))
        except FileNotFoundError as error:
            missing = missing or error
    if missing and not found:
        raise missing
    return found


def write_transfer_table(
    path: StrPath,
    task: SentenceTask,
    rows: Iterable[tuple[Sequence[str], str | None]],
    *,
    has_labels: bool,
) -> int:
    """Write sentences, and their labels if they have some.

    Args:
        path: The table; its suffix says the format.
        task: The task that they are for.
        rows: Sentences of an example, and the label's text.
        has_labels: Whether labels are written.

    Returns:
        The number of rows.

    Raises:
        ValueError: as `write_rows`.
    """
    none: tuple[str, ...] = ()
    with_logits = ((*row, none) for row in rows)
    return write_logits_table(path, task, with_logits, has_labels=has_labels)


def write_logits_table(
    path: StrPath,
    task: SentenceTask,
    rows: Iterable[tuple[Sequence[str], str | None, Sequence[str]]],
    *,
    has_labels: bool,
    names: Sequence[str] = (),
) -> int:
    """Write sentences, their labels if they have some, and logits.

    Args: as `write_transfer_table`, whose rows have logits as text behind
        the label, and `names`: those of the logits' columns.

    Returns:
        The number of rows.

    Raises:
        ValueError: as `write_rows`.
    """
    count = 0

    def cells() -> Iterable[tuple[str, ...]]:
        nonlocal count
        for sentences, label, logits in rows:
            count += 1
            labels = (label or "",) if has_labels else ()
            yield (*sentences, *labels, *logits)

    header = _PAIR if task.is_pair else _SINGLE
    header += ("label",) if has_labels else ()
    write_rows(path, cells(), (*header, *names))
    return count
