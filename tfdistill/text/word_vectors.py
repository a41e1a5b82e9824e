"""Word vectors: read from the published formats, and nearest neighbours.

Reference: Pennington et al., "GloVe", 2014; Mikolov et al., "Distributed
representations of words and phrases", 2013, and the formats of their tools.
"""

import array
import dataclasses
import functools
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
from absl import logging

from tfdistill.files import StrPath
from tfdistill.text.sources import SourceStream

_BLOCK_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 12
# What is longer or wider is damage.
_MOST_WORD_BYTES = 1 << 16
_MOST_DIM = 1 << 16
_MOST_NUMBER_BYTES = 64
# Cosines of words with the whole table that are held at a time.
_COSINES_AT_ONCE = 1 << 24
# Products in float32 are right to less than this for vectors of length 1.
_FLOAT32_ERROR = 1e-5
_FLOAT64_DIGITS = 12


@dataclasses.dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: N words, each once.
        vectors: float32 `[N, D]`, finite.

    Raises:
        ValueError: There is not one vector for each word.
    """

    words: tuple[str, ...]
    vectors: np.ndarray

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.words):
            raise ValueError(
                f"{len(self.words)} words need as many vectors, got an array "
                f"of shape {list(self.vectors.shape)}."
            )

    @functools.cached_property
    def rows(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @functools.cached_property
    def _scales(self) -> np.ndarray:
        norms = np.sqrt(np.einsum("nd,nd->n", self.vectors, self.vectors))
        # Zeros stay zeros, so that their cosines are 0 and not 0 / 0.
        return np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)

    def nearest(self, words: Iterable[str], count: int) -> list[list[str]]:
        """Find the words with the largest cosines to each of some words.

        What is found for a word does not depend on the other ones: where
        cosines are close they are computed again in float64.

        Args:
            words: Any words.
            count: Neighbours to find of each.

        Returns:
            For each word its neighbours, the nearest first and equal ones
            in the table's order, without the word itself; fewer than
            `count` where the table is small, none for a word that it lacks.
            A vector of zeros has the cosine 0 with every other.
        """
        words = list(words)
        found: list[list[str]] = [[] for _ in words]
        known = [i for i, word in enumerate(words) if word in self.rows]
        count = min(count, len(self.words) - 1)
        if count < 1:
            return found
        step = max(1, _COSINES_AT_ONCE // len(self.words))
        for start in range(0, len(known), step):
            places = known[start : start + step]
            queries = [self.rows[words[place]] for place in places]
            near = self._nearest_rows(np.array(queries), count)
            for place, rows in zip(places, near, strict=True):
                found[place] = [self.words[row] for row in rows]
        return found

    def _nearest_rows(
        self, queries: np.ndarray, count: int
    ) -> Iterator[np.ndarray]:
        units = self.vectors[queries] * self._scales[queries, None]
        cosines = (units @ self.vectors.T) * self._scales
        cosines[np.arange(len(queries)), queries] = -np.inf
        last = len(self.words) - count
        bounds = np.partition(cosines, last, axis=1)[:, last]
        for query, row, bound in zip(queries, cosines, bounds, strict=True):
            near = np.flatnonzero(row >= bound - 2 * _FLOAT32_ERROR)
            order = np.argsort(-self._cosines(query, near), kind="stable")
            yield near[order[:count]]

    def _cosines(self, query: int, rows: np.ndarray) -> np.ndarray:
        cosines = np.zeros(len(rows))
        if self._scales[query]:
            is_some = self._scales[rows] > 0
            # Sums along an axis do not depend on where a row stands, as
            # products of matrices may. Vectors of one direction differ in
            # the last bits, which are rounded off.
            products = _units(self.vectors[rows[is_some]])
            products *= _units(self.vectors[[query]])
            cosines[is_some] = products.sum(axis=1).round(_FLOAT64_DIGITS)
        return cosines


def _units(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    return vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))


def read_word_vectors(
    path: StrPath,
    *,
    max_words: int = 0,
    wanted: frozenset[str] | None = None,
) -> WordVectors:
    """Read word vectors, holding no more in memory than is kept.

    The content tells what it is: GloVe's text, which has no header and
    whose words may hold spaces, or word2vec's text or binary format, each
    as it is or compressed by gzip or bzip2.

    Args:
        path: The file.
        max_words: Words to keep; what follows is not read. 0: all.
        wanted: Words to keep if they occur; None: all.

    Returns:
        Words in the file's order. Of a word that occurs twice the first
        vector is kept, and a warning says how often that was so.

    Raises:
        ValueError: The file is damaged, cut short or something else, or
            holds none of the wanted words. The message is one line and
            names the file and the line or the byte.
        OSError: It cannot be read.
    """
    path = Path(path)
    layout = _layout(path)
    most = min(
        max_words or math.inf, math.inf if wanted is None else len(wanted)
    )
    words: dict[str, None] = {}
    values = array.array("f")
    repeated = 0
    with _opened(path) as file:
        file.read(layout.header_bytes)
        rows = _binary_rows if layout.is_binary else _text_rows
        for where, raw, vector in rows(file, path, layout):
            word = _decoded(raw, path, where)
            if wanted is not None and word not in wanted:
                continue
            if word in words:
                repeated += 1
                continue
            if not np.isfinite(vector).all():
                _refuse(path, where, f"the vector of {word!r} is not finite")
            words[word] = None
            values.frombytes(vector.tobytes())
            if len(words) == most:
                break
    if repeated:
        logging.warning(
            "%s: %s rows are of words that an earlier row has; the first one "
            "of each is kept.",
            path,
            f"{repeated:,}",
        )
    if not words:
        which = "" if wanted is None else " of the words wanted"
        raise ValueError(f"{path} holds no word vectors{which}.")
    table = np.frombuffer(values, np.float32).reshape(len(words), layout.dim)
    return WordVectors(tuple(words), table)


# Where it stands ("line 3"), the word's bytes, and its vector.
_Row = tuple[str, bytes, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layout:
    """What the beginning of a file tells; no `count`: it has no header."""

    dim: int
    count: int | None = None
    is_binary: bool = False
    header_bytes: int = 0


def _opened(path: Path) -> io.BufferedReader:
    return io.BufferedReader(SourceStream(path), _BLOCK_BYTES)


def _layout(path: Path) -> _Layout:
    most = _MOST_WORD_BYTES + _MOST_DIM * _MOST_NUMBER_BYTES
    with _opened(path) as file:
        first = file.readline(most)
        sample = file.read(_SAMPLE_BYTES)
    fields = first.rstrip(b" \r\n").split(b" ")
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        count, dim = map(int, fields)
        # Text has no control characters, and float32 numbers have many.
        is_binary = any(byte < 32 and byte not in b"\t\n\r" for byte in sample)
        layout = _Layout(
            dim=dim, count=count, is_binary=is_binary, header_bytes=len(first)
        )
    else:
        dim = 0
        while dim < len(fields) - 1 and _is_number(fields[-1 - dim]):
            dim += 1
        layout = _Layout(dim=dim)
    if not first:
        raise ValueError(f"{path} is empty, expected word vectors.")
    if not 1 <= layout.dim <= _MOST_DIM:
        _refuse(path, "line 1", "expected a word and its vector, or a header")
    return layout


def _text_rows(
    file: io.BufferedReader, path: Path, layout: _Layout
) -> Iterator[_Row]:
    dim = layout.dim
    before = 0 if layout.count is None else 1
    most = _MOST_WORD_BYTES + dim * _MOST_NUMBER_BYTES
    number = before
    while line := file.readline(most):
        number += 1
        where = f"line {number:,}"
        # Only spaces divide: words hold other kinds of white space.
        parts = line.rstrip(b" \r\n").rsplit(b" ", dim)
        if len(parts) <= dim:
            _refuse(
                path, where, f"{len(parts) - 1} numbers, expected {dim} of them"
            )
        if b" " in parts[0] and _is_number(parts[0].rsplit(b" ", 1)[1]):
            _refuse(path, where, f"more than {dim} numbers")
        try:
            numbers = list(map(float, parts[1:]))
        except ValueError:
            bad = next(part for part in parts[1:] if not _is_number(part))
            _refuse(path, where, f"{bad[:40]!r} is not a number")
        with np.errstate(over="ignore"):
            yield where, parts[0], np.array(numbers, np.float32)
    if layout.count not in (None, number - before):
        _refuse(
            path,
            f"line {number:,}",
            f"it ends after {number - before:,} rows, but its header says "
            f"{layout.count:,}",
        )


def _binary_rows(
    file: io.BufferedReader, path: Path, layout: _Layout
) -> Iterator[_Row]:
    assert layout.count is not None
    size = layout.dim * 4
    buffer, start = b"", 0
    offset = layout.header_bytes
    for number in range(layout.count):
        where = f"byte {offset + start:,}"
        while True:
            space = buffer.find(b" ", start)
            if space < 0 and len(buffer) - start > _MOST_WORD_BYTES:
                _refuse(path, where, "expected a word and a space")
            if space >= 0 and len(buffer) > space + size:
                break
            block = file.read(_BLOCK_BYTES)
            if not block:
                _refuse(
                    path,
                    where,
                    f"it ends after {number:,} rows, but its header says "
                    f"{layout.count:,}",
                )
            buffer, offset = buffer[start:] + block, offset + start
            start = 0
        vector = np.frombuffer(buffer, "<f4", layout.dim, space + 1)
        # The published tool ends rows with a newline, others do not.
        yield where, buffer[start:space].lstrip(b"\n"), vector
        start = space + 1 + size
    if (buffer[start:] + file.read(_SAMPLE_BYTES)).strip(b"\n"):
        _refuse(
            path,
            f"byte {offset + start:,}",
            f"it goes on after the {layout.count:,} rows of its header",
        )


def _decoded(raw: bytes, path: Path, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse(path, where, f"the word {raw[:40]!r} is not UTF-8")


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _refuse(path: Path, where: str, cause: str) -> NoReturn:
    raise ValueError(f"{path}: {where}: {cause}.")
