"""Tables of sentences: one sentence or a pair, and maybe a label, a row."""

import dataclasses
import itertools
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from absl import logging

from tfdistill.files import StrPath, write_atomically
from tfdistill.text.table_formats import (
    Record,
    kind_of,
    open_input,
    read_records,
    record_writer,
)

Column = int | str

# Whole sentences can stand where names are expected.
_MOST_SHOWN = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row of a table; texts are as they stand in the file.

    Attributes:
        first: The first sentence, maybe empty.
        second: The second sentence of a pair.
        label: The label or score.
        index: The file's own number of the row.
        line: The line of the file that the row begins at, from 1.
        cells: All cells of the row; of JSON lines the values of the first
            line's keys, where what is neither text nor number stands as JSON.
    """

    first: str
    second: str | None
    label: str | None
    index: str | None
    line: int
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Where a table has what.

    A column is a number from 0, -1 for the last one, or a name: of the
    header, or a key of JSON lines, which have no header of their own.

    Attributes:
        first: The first sentence.
        second: The second sentence of a pair.
        label: The label or score.
        index: The file's own number of a row.
        has_header: Whether the first line names the columns.
        num_cells: Lines with another number of cells are skipped; 0: they
            are refused.
        width: Cells of a row where no header says it; 0: as many as the
            first line has.
        optional: Those of "label" and "index" that a file may lack; its rows
            then have None.
        only: A column and what it must hold; other rows are left out.

    Raises:
        ValueError: A number is below -1, or a column is given twice.
    """

    first: Column
    second: Column | None = None
    label: Column | None = None
    index: Column | None = None
    has_header: bool = True
    num_cells: int = 0
    width: int = 0
    optional: tuple[str, ...] = ()
    only: tuple[Column, str] | None = None

    def __post_init__(self) -> None:
        columns = (self.first, self.second, self.label, self.index)
        given = [column for column in columns if column is not None]
        for column in given:
            if isinstance(column, int) and column < -1:
                raise ValueError(f"The column {column} is below -1, the last.")
            if given.count(column) > 1:
                raise ValueError(f"The column {column!r} is given twice.")


def read_table(
    path: StrPath, columns: Columns, *, kind: str = ""
) -> Iterator[Row]:
    """Yield the rows of a table, in constant memory.

    A TSV line with more cells than the header or the first line has a tab
    inside a cell. If there is one sentence, and it stands last or beside
    nothing but label and index, that cell is the sentence, and a space takes
    the place of the tab; any other such line is refused. What is mended, and
    what `num_cells` skips, is counted and logged at the end. Empty lines of
    a table of several columns are no rows.

    Args:
        path: The file, UTF-8; a byte-order mark is dropped. "-" is standard
            input.
        columns: Where the table has what.
        kind: "tsv", "csv" or "jsonl"; "" decides by the file's suffix.

    Raises:
        ValueError: While reading: the file is not UTF-8 or not of its kind,
            it holds no rows, it lacks a column, a line has too few or too
            many cells, or a value that is asked for is neither text nor
            number. The message is one line and names the file, and the line
            if it is about one.
        OSError: The file cannot be read.
    """
    kind = kind_of(path, kind)
    path, file = open_input(path)
    with file:
        head, records = _head(path, read_records(path, file, kind))
        table = _Table(path, columns, kind, head)
        if not table.names:
            records = itertools.chain([head], records)
        num_rows = 0
        for line, cells in records:
            row = table.row(line, cells)
            if row is not None:
                num_rows += 1
                yield row
    table.log()
    if not num_rows:
        kept = ""
        if columns.only:
            kept = f" with {columns.only[1]!r} in {columns.only[0]!r}"
        raise ValueError(f"{path} holds no rows{kept}.")


def sentences_of(row: Row) -> tuple[str, ...]:
    """Returns the sentence of a row, or both of a pair."""
    return (row.first,) if row.second is None else (row.first, row.second)


def read_header(
    path: StrPath, columns: Columns, *, kind: str = ""
) -> tuple[str, ...] | None:
    """Returns the names of a table's columns, None if it has none.

    Raises:
        ValueError: As `read_table`.
        OSError: The file cannot be read.
    """
    kind = kind_of(path, kind)
    with open(path, "rb") as file:
        head, _ = _head(path, read_records(path, file, kind))
    return tuple(_Table(path, columns, kind, head).names) or None


def write_rows(
    path: StrPath,
    rows: Iterable[Sequence[str]],
    header: Sequence[str] | None = None,
    kind: str = "",
) -> None:
    """Write a table whose cells `read_table` gives back.

    Args:
        path: The file, which appears when it is whole.
        rows: The cells of each row, as many in each.
        header: Names of the columns; JSON lines need them.
        kind: "tsv", "csv" or "jsonl"; "" decides by the file's suffix.

    Raises:
        ValueError: There are no rows, one has no cells or not as many as the
            others, a cell of a TSV has a tab or a line end in it, or JSON
            lines lack names or have one twice. The message names the row,
            from 1 without the header.
        OSError: It cannot be written.
    """
    kind = kind_of(path, kind)
    names = header or ()
    if kind == "jsonl" and not 0 < len(names) == len(set(names)):
        raise ValueError(f"{path}: JSON lines need a name for each column.")
    width = len(names)
    number = 0
    with (
        write_atomically(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        write = record_writer(file, names, kind)
        if names and kind != "jsonl":
            write(names, f"{path}: the header")
        for number, cells in enumerate(rows, 1):
            where = f"{path}: row {number}"
            width = width or len(cells)
            if not cells or len(cells) != width:
                raise ValueError(
                    f"{where} has {_count(len(cells), 'cell')}, "
                    f"expected {width or 'some'}."
                )
            write(cells, where)
        if not number:
            raise ValueError(f"{path}: there are no rows to write.")


def _head(
    path: StrPath, records: Iterator[Record]
) -> tuple[Record, Iterator[Record]]:
    for head in records:
        return head, records
    raise ValueError(f"{path} is empty.")


class _Table:
    """Makes rows of the records of one file.

    Attributes:
        names: Names of the columns, empty if they have none.
    """

    def __init__(
        self, path: StrPath, columns: Columns, kind: str, head: Record
    ) -> None:
        self._path, self._kind, self._columns = path, kind, columns
        line, cells = head
        has_names = columns.has_header or kind == "jsonl"
        self.names: list[str] = cells if has_names else []
        self._width = columns.num_cells or columns.width or len(cells)
        # How many lines something was done to, and the first of them.
        self._noted: dict[str, tuple[int, int]] = {}
        if cells == [""]:
            raise ValueError(f"{path}: line {line} is empty.")
        if has_names and len(cells) != self._width:
            raise self._unfit(line, cells)
        first = self._place(columns.first)
        others = (
            self._place(getattr(columns, field), field in columns.optional)
            for field in ("second", "label", "index")
        )
        assert first is not None
        self._first, self._others = first, tuple(others)
        places = [p for p in (first, *self._others) if p is not None]
        if len(set(places)) < len(places):
            raise ValueError(
                f"{path}: of {_count(self._width, 'cell')}, two columns are "
                "the same."
            )
        only, self._wanted = columns.only or (None, "")
        self._only = self._place(only)

    def row(self, line: int, cells: list[Any]) -> Row | None:
        """Returns the row of a record, None if it is left out."""
        only = self._only
        if only is not None and cells[only : only + 1] != [self._wanted]:
            return None
        if len(cells) != self._width:
            if cells == [""]:
                return None
            if self._columns.num_cells:
                self._note(
                    f"skipped {{}} that have not {self._width} cells", line
                )
                return None
            self._mend(line, cells)
        if self._kind == "jsonl":
            cells = self._texts(line, cells)
        second, label, index = (
            None if place is None else cells[place] for place in self._others
        )
        return Row(cells[self._first], second, label, index, line, tuple(cells))

    def log(self) -> None:
        """Log what was done to uncommon lines."""
        for what, (count, first) in self._noted.items():
            logging.warning(
                "%s: %s, the first is line %d.",
                self._path,
                what.format(_count(count, "line")),
                first,
            )

    def _note(self, what: str, line: int) -> None:
        count, first = self._noted.get(what, (0, line))
        self._noted[what] = (count + 1, first)

    def _mend(self, line: int, cells: list[str]) -> None:
        first, extra = self._first, len(cells) - self._width
        is_sentence = self._columns.second is None and (
            first == self._width - 1
            or {first, *self._others} >= set(range(self._width))
        )
        if extra < 0 or self._kind != "tsv" or not is_sentence:
            raise self._unfit(line, cells)
        cells[first : first + extra + 1] = [
            " ".join(cells[first : first + extra + 1])
        ]
        self._note("made spaces of the tabs in the sentences of {}", line)

    def _unfit(self, line: int, cells: list[str]) -> ValueError:
        reason = ""
        if self._kind == "tsv" and len(cells) > self._width:
            reason = "; a tab stands inside a cell, but which one is not known"
        return ValueError(
            f"{self._path}: line {line} has {_count(len(cells), 'cell')}, "
            f"expected {self._width}{reason}."
        )

    def _texts(self, line: int, values: list[Any]) -> list[str]:
        for place in (self._first, *self._others):
            if place is not None and not isinstance(values[place], str):
                raise ValueError(
                    f"{self._path}: line {line}: {self.names[place]!r} is "
                    "neither text nor a number."
                )
        return [
            value if isinstance(value, str) else json.dumps(value)
            for value in values
        ]

    def _place(
        self, column: Column | None, is_optional: bool = False
    ) -> int | None:
        if column is None:
            return None
        problem = f"there is no column {column!r}"
        if isinstance(column, int):
            if column < self._width:
                return column % self._width
            cells = _count(self._width, "cell")
            problem += f", counted from 0: the first line has {cells}"
        elif not self.names:
            problem += ": there is no header, columns have numbers"
        else:
            num_found = self.names.count(column)
            if num_found == 1:
                return self.names.index(column)
            if num_found:
                is_optional = False
                problem = f"{num_found} columns are called {column!r}"
            known = ", ".join(map(repr, self.names))
            problem += f". Known: {textwrap.shorten(known, _MOST_SHOWN)}"
        if is_optional:
            return None
        raise ValueError(f"{self._path}: {problem}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
