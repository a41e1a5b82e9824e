"""Cuts text of any size into units of work, without holding it in memory.

A unit is some whole documents, as ranges of bytes. How text is cut depends
on the text and the unit's size alone, never on the number of processes.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

SPLITS = ("train", "eval")


@dataclasses.dataclass(frozen=True)
class Unit:
    """Documents that are worked on together.

    Attributes:
        ranges: File, first byte and end of each document, in text order.
    """

    ranges: tuple[tuple[str, int, int], ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Units by split, and the hash of the text they are cut from."""

    units: dict[str, list[Unit]]
    documents: dict[str, int]
    text_fingerprint: str


def plan_units(
    paths: Iterable[Path], *, unit_bytes: int, eval_fraction: float
) -> Plan:
    """Read text through once and cut it into units.

    Which split a document is in depends on its bytes alone, so equal
    documents are always on the same side. A document longer than a unit is
    cut at line ends into several.

    Args:
        paths: Text files: a sentence per line, blank lines between
            documents.
        unit_bytes: Bytes of a unit, about.
        eval_fraction: Share of the documents in `eval`.

    Raises:
        ValueError: The text is not UTF-8; names the file and the byte.
    """
    ranges: dict[str, list[tuple[str, int, int]]] = {s: [] for s in SPLITS}
    text = hashlib.sha256()
    # A share of the 64-bit numbers that hashes are.
    bound = int(eval_fraction * 2**64)
    for path in paths:
        for start, end, number in _documents(path, unit_bytes, text):
            split = "eval" if number < bound else "train"
            ranges[split].append((str(path), start, end))
    return Plan(
        {s: list(_grouped(ranges[s], unit_bytes)) for s in SPLITS},
        {s: len(ranges[s]) for s in SPLITS},
        text.hexdigest(),
    )


def read_unit(unit: Unit) -> list[list[str]]:
    """Read the documents of a unit as lists of sentences.

    Raises:
        ValueError: The text is not UTF-8; names the file and the byte.
    """
    documents = []
    for path, start, end in unit.ranges:
        with open(path, "rb") as file:
            file.seek(start)
            raw = file.read(end - start)
        text = _decoded(path, raw, start)
        lines = [line.strip() for line in text.split("\n")]
        documents.append([line for line in lines if line])
    return documents


def _decoded(path: str | Path, raw: bytes, start: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {start + error.start} cannot be "
            "decoded."
        ) from None


def _documents(
    path: Path, unit_bytes: int, text: "hashlib._Hash"
) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and a 64-bit hash of each document of a file."""
    start = end = 0
    content = hashlib.blake2b(digest_size=8)

    def number() -> int:
        return int.from_bytes(content.digest(), "little")

    with open(path, "rb") as file:
        for line in file:
            _decoded(path, line, end)
            text.update(line)
            is_blank = not line.strip()
            if end > start and (
                is_blank or end - start + len(line) > unit_bytes
            ):
                yield start, end, number()
                content = hashlib.blake2b(digest_size=8)
                start = end
            end += len(line)
            if is_blank:
                start = end
            else:
                content.update(line)
        if end > start:
            yield start, end, number()


def _grouped(
    ranges: list[tuple[str, int, int]], unit_bytes: int
) -> Iterator[Unit]:
    groups: list[list[tuple[str, int, int]]] = []
    size = 0
    for entry in ranges:
        length = entry[2] - entry[1]
        if not groups or size + length > unit_bytes:
            groups.append([])
            size = 0
        groups[-1].append(entry)
        size += length
    # A lone document has no partner for random next sentences.
    if len(groups) > 1 and len(groups[-1]) == 1:
        lone = groups.pop()
        groups[-1] += lone
    for group in groups:
        yield Unit(tuple(group))
