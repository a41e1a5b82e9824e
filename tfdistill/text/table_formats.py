r"""How tables are written down: TSV, CSV and JSON lines, all of them UTF-8.

TSV has no quoting: a quote is a character like any other, a tab always ends
a cell, and `\n` or `\r\n` a line, as nothing else does. CSV is that of
RFC 4180. A line of JSON lines is one object, whose keys name the columns.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from tfdistill.files import StrPath, lines_of

# The line that a record begins at, from 1, and its cells. Only values of JSON
# lines can be other than strings.
Record = tuple[int, list[Any]]
# Takes cells, and where they come from for messages.
WriteCells = Callable[[Sequence[str], str], object]

STANDARD_INPUT = "-"

_KINDS = {
    ".tsv": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".json": "jsonl",
}


def kind_of(path: StrPath, kind: str = "") -> str:
    """Returns "tsv", "csv" or "jsonl".

    Args:
        path: The file; its suffix decides if `kind` is "".
        kind: One of the three, or "".

    Raises:
        ValueError: The kind or the suffix is another one.
    """
    kind = kind or _KINDS.get(Path(path).suffix.lower(), "")
    if kind not in _READERS:
        raise ValueError(
            f"{path}: unknown kind of table. Known: {', '.join(_READERS)}, "
            f"by the suffixes {', '.join(_KINDS)}."
        )
    return kind


def open_input(path: StrPath) -> tuple[str, BinaryIO]:
    """Open a file, or standard input where the path is "-".

    Returns:
        Its name for messages, and its bytes; close them.

    Raises:
        OSError: It cannot be opened.
    """
    if str(path) == STANDARD_INPUT:
        return "standard input", open(0, "rb", closefd=False)
    return str(path), open(path, "rb")


def read_records(path: StrPath, file: BinaryIO, kind: str) -> Iterator[Record]:
    """Yield the records of a table, in constant memory.

    The first record of JSON lines is made of the names of the columns, as
    that of another table with a header is.

    Args:
        path: Name of the file, for messages.
        file: Its bytes; a byte-order mark is dropped.
        kind: "tsv", "csv" or "jsonl".

    Raises:
        ValueError: The file is not UTF-8 or not of its kind, or JSON lines
            lack a key of the first one. The message names file and line.
    """
    return _READERS[kind](path, read_lines(path, file))


def record_writer(file: TextIO, names: Sequence[str], kind: str) -> WriteCells:
    """Returns what writes the cells of one record.

    It raises a ValueError that says where, if a cell of a TSV has a tab or a
    line end in it.

    Args:
        file: Open for text, with line ends as they are written.
        names: Keys of JSON lines, as many as there are cells.
        kind: "tsv", "csv" or "jsonl".
    """
    return _WRITERS[kind](file, names)


def read_lines(path: StrPath, file: BinaryIO) -> Iterator[str]:
    """Yield lines with their ends, in constant memory, as they arrive.

    Args:
        path: Name of the file, for messages.
        file: Its bytes; a byte-order mark is dropped.

    Raises:
        ValueError: A line is not UTF-8, or too long; the message names it.
    """
    offset = 0
    for number, line in enumerate(lines_of(path, file), 1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}: line {number} is not UTF-8: byte "
                f"{offset + error.start} of the file cannot be decoded."
            ) from None
        yield text.removeprefix("\ufeff") if number == 1 else text
        offset += len(line)


def _read_tsv(path: StrPath, lines: Iterator[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        yield number, line.removesuffix("\n").removesuffix("\r").split("\t")


def _read_csv(path: StrPath, lines: Iterator[str]) -> Iterator[Record]:
    reader = csv.reader(lines, strict=True)
    number = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ValueError(
                f"{path}: line {number} is not CSV: {error}."
            ) from None
        if cells is None:
            return
        if cells:
            yield number, cells
        number = reader.line_num + 1


def _read_jsonl(path: StrPath, lines: Iterator[str]) -> Iterator[Record]:
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        where = f"{path}: line {number}"
        try:
            # Numbers stay as they are written.
            value = json.loads(
                line, parse_int=str, parse_float=str, parse_constant=str
            )
            if "\\u" in line:
                # Half of a surrogate pair can be escaped, but is no text.
                json.dumps(value, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{where} is not JSON: {error.msg} at column {error.colno}."
            ) from None
        except (UnicodeEncodeError, RecursionError) as error:
            raise ValueError(f"{where} is not JSON: {error}.") from None
        if not isinstance(value, dict) or not value:
            raise ValueError(f"{where} is not a JSON object with keys.")
        if not names:
            names = list(value)
            yield number, names
        for name in names:
            if name not in value:
                raise ValueError(f"{where} lacks the key {name!r}.")
        yield number, [value[name] for name in names]


def _tsv_writer(file: TextIO, names: Sequence[str]) -> WriteCells:
    def write(cells: Sequence[str], where: str) -> None:
        line = "\t".join(cells)
        # A carriage return ends a line only together with what follows.
        has_end = "\n" in line or line.endswith("\r")
        if has_end or line.count("\t") != len(cells) - 1:
            raise ValueError(f"{where} has a tab or a line end in a cell.")
        file.write(f"{line}\n")

    return write


def _csv_writer(file: TextIO, names: Sequence[str]) -> WriteCells:
    # Cells with a character of this line end are quoted; a shorter one would
    # leave carriage returns bare.
    writer = csv.writer(file, lineterminator="\r\n")
    return lambda cells, where: writer.writerow(cells)


def _jsonl_writer(file: TextIO, names: Sequence[str]) -> WriteCells:
    def write(cells: Sequence[str], where: str) -> None:
        values = dict(zip(names, cells, strict=True))
        file.write(json.dumps(values, ensure_ascii=False) + "\n")

    return write


_READERS: dict[str, Callable[[StrPath, Iterator[str]], Iterator[Record]]] = {
    "tsv": _read_tsv,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
}
_WRITERS: dict[str, Callable[[TextIO, Sequence[str]], WriteCells]] = {
    "tsv": _tsv_writer,
    "csv": _csv_writer,
    "jsonl": _jsonl_writer,
}
