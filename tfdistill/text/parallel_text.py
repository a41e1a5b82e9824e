"""Parallel text: which line of one file belongs to which of another."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfdistill.text.tables import Column, Columns, read_table

# Lines of the TED talks of IWSLT that are about a talk, not of it.
_ABOUT = re.compile("<url>|<talkid>|<keywords>")
_TAGS = re.compile("</?(?:title|description)>")


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A line and what it says in the other language, or in short.

    Attributes:
        number: Of the line, or of the table's row, from 0; it stays whatever
            is skipped.
        source: Its text, with single spaces.
        target: Likewise.
    """

    number: int
    source: str
    target: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cleaning:
    """Which pairs are of use.

    Attributes:
        strips_markup: Whether text is as IWSLT has it: lines with `<url>`,
            `<talkid>` or `<keywords>` are left out, and other tags dropped.
        max_words: Words of a side, at most; 0: any number.
        max_length_ratio: Words of one side over those of the other, at most;
            0: any.
    """

    strips_markup: bool = False
    max_words: int = 0
    max_length_ratio: float = 0.0


def read_lines(paths: str) -> list[str]:
    """Read the lines of files that are named with commas between them.

    Raises:
        ValueError: A file is not UTF-8.
        OSError: One cannot be read.
    """
    lines: list[str] = []
    for path in paths.split(","):
        content = Path(path).read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise ValueError(
                f"{path} is not UTF-8: line {line} cannot be decoded."
            ) from None
        # Only newlines end lines, as other tools count them.
        lines += text.removesuffix("\n").split("\n") if text else []
    return lines


def read_pairs(source_files: str, target_files: str) -> list[Pair]:
    """Read two files, line by line.

    Args:
        source_files: A file, or several with commas between them.
        target_files: Likewise.

    Raises:
        ValueError: They have different numbers of lines, or none.
        OSError: One cannot be read.
    """
    sources, targets = read_lines(source_files), read_lines(target_files)
    if len(sources) != len(targets):
        raise ValueError(
            f"{source_files} has {len(sources):,} lines, but {target_files} "
            f"has {len(targets):,}: line n of one belongs to line n of the "
            "other."
        )
    if not sources:
        raise ValueError(f"{source_files} is empty.")
    return [
        Pair(i, tidy(source), tidy(target))
        for i, (source, target) in enumerate(zip(sources, targets, strict=True))
    ]


def read_pair_table(path: Path, source: str, target: str) -> list[Pair]:
    """Read a TSV, CSV or JSON lines file.

    Args:
        path: The file.
        source: Column of the source: a name, or a number from 0.
        target: Column of the target.

    Raises:
        ValueError: as `read_table`.
        OSError: It cannot be read.
    """
    numbers = [re.fullmatch("-?[0-9]+", name) for name in (source, target)]
    if any(numbers) and not all(numbers):
        raise ValueError(
            f"Columns all have names or all have numbers, unlike {source}, "
            f"{target}."
        )
    names: list[Column] = [source, target]
    if all(numbers):
        names = [int(source), int(target)]
    columns = Columns(
        first=names[0], second=names[1], has_header=not all(numbers)
    )
    return [
        Pair(i, tidy(row.first), tidy(row.second or ""))
        for i, row in enumerate(read_table(path, columns))
    ]


def clean_pairs(
    pairs: Iterable[Pair], cleaning: Cleaning
) -> tuple[list[Pair], Counter[str]]:
    """Leave out pairs that are of no use.

    Returns:
        The others, and how many were left out because of what: `empty`,
        `markup`, `long` or `uneven`.

    Reference: Moses, `clean-corpus-n.perl`, for lengths and ratios.
    """
    kept: list[Pair] = []
    skipped: Counter[str] = Counter()
    for pair in pairs:
        if cleaning.strips_markup:
            pair = dataclasses.replace(
                pair,
                source=tidy(_TAGS.sub(" ", pair.source)),
                target=tidy(_TAGS.sub(" ", pair.target)),
            )
        cause = _cause(pair, cleaning)
        if cause:
            skipped[cause] += 1
        else:
            kept.append(pair)
    return kept, skipped


def split_off(
    pairs: Sequence[Pair], every: int
) -> tuple[list[Pair], list[Pair]]:
    """Returns the pairs but each `every`-th one, and these.

    Reference: the published split of IWSLT14, with every 23rd line.
    """
    held_out = list(pairs[every - 1 :: every])
    numbers = {pair.number for pair in held_out}
    return [pair for pair in pairs if pair.number not in numbers], held_out


def _cause(pair: Pair, cleaning: Cleaning) -> str:
    """Returns why a pair is of no use, or ""."""
    if not pair.source or not pair.target:
        return "empty"
    if cleaning.strips_markup and (
        _ABOUT.search(pair.source) or _ABOUT.search(pair.target)
    ):
        return "markup"
    few, many = sorted(len(x.split()) for x in (pair.source, pair.target))
    if 0 < cleaning.max_words < many:
        return "long"
    if 0 < cleaning.max_length_ratio * few < many:
        return "uneven"
    return ""


def tidy(line: str) -> str:
    """Returns a line with single spaces, as models read and write it."""
    return " ".join(line.split())
