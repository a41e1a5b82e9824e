"""Articles of Wikipedia: from a dump, from extracted JSON lines, from text.

The kind of a file is told by its first character: `<` opens XML, `{` a line
of JSON, anything else is plain text.
"""

import codecs
import collections
import dataclasses
import io
import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path

from tfdistill.text import dumps, sources
from tfdistill.text.sentences import split_sentences
from tfdistill.text.wikitext import prose_paragraphs


@dataclasses.dataclass(frozen=True)
class Article:
    """A page of text.

    Attributes:
        title: Its title; empty where the source gives none.
        text: Wikitext, or plain paragraphs of one line each.
        hidden_prefixes: Namespaces whose links show nothing, where the text
            is wikitext; None where it is plain.
    """

    title: str
    text: str
    hidden_prefixes: frozenset[str] | None = None

    def sentences(self) -> list[str]:
        """Returns its sentences; none of them spans two paragraphs.

        Raises:
            ValueError: The wikitext is broken beyond reading.
        """
        if self.hidden_prefixes is None:
            paragraphs = self.text.split("\n")
        else:
            paragraphs = prose_paragraphs(self.text, self.hidden_prefixes)
        return [s for text in paragraphs for s in split_sentences(text)]


class Wikipedia:
    """The articles at a path, in a fixed order; iterate over it once.

    Attributes:
        path: The path as it was given.
        size: Bytes on disk of all its files.
        skipped: Pages that are no articles: "redirects" and
            "other_namespaces".
    """

    def __init__(self, path: str) -> None:
        """Find the files at `path`, a file or a folder.

        Raises:
            OSError: There are none.
            ValueError: They are empty.
        """
        self.path = path
        self._root = Path(path)
        self._files = sources.source_files(path)
        self._digests: dict[str, str] = {}
        self._done = 0
        self._stream: sources.SourceStream | None = None
        self.size = sum(file.stat().st_size for file in self._files)
        self.skipped: collections.Counter[str] = collections.Counter()

    @property
    def name(self) -> str:
        """Name of the file or the folder, without the path to it."""
        return self._root.resolve().name

    @property
    def consumed(self) -> int:
        """Bytes on disk that have been read so far."""
        return self._done + (self._stream.consumed if self._stream else 0)

    def sha256(self) -> str:
        """Returns a hash of the files; reads them if they were not yet."""
        for file in self._files:
            if self._key(file) not in self._digests:
                self._digests[self._key(file)] = sources.file_sha256(file)
        return sources.fingerprint(self._digests)

    def __iter__(self) -> Iterator[Article]:
        """Yield the articles.

        Raises:
            ValueError: A file is damaged. The message names it, and the
                place as far as it is known.
        """
        for file in self._files:
            with sources.SourceStream(file) as self._stream:
                buffered: io.BufferedReader = io.BufferedReader(
                    self._stream, sources.BLOCK_BYTES
                )
                yield from self._read(file, buffered)
                self._digests[self._key(file)] = self._stream.sha256()
                self._done += self._stream.consumed
                self._stream = None

    def _key(self, file: Path) -> str:
        return file.relative_to(self._root).as_posix()

    def _read(self, path: Path, file: io.BufferedReader) -> Iterator[Article]:
        kind = _first_character(file)
        if kind == b"<":
            for page in dumps.read_pages(path, file, self.skipped):
                yield Article(page.title, page.text, page.hidden_prefixes)
        elif kind == b"{":
            yield from _read_json_lines(path, file)
        else:
            yield from _read_plain(path, file)


def _first_character(file: io.BufferedReader) -> bytes:
    start = file.peek(1)
    for mark in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        start = start.removeprefix(mark)
    # XML may be UTF-16: there every other byte of "<mediawiki" is zero.
    return start.replace(b"\0", b"").lstrip()[:1]


def _read_json_lines(path: Path, file: io.BufferedReader) -> Iterator[Article]:
    for number, line in enumerate(sources.decoded_lines(path, file), 1):
        if not line:
            continue
        try:
            page = json.loads(line)
            title, text = page.get("title", ""), page["text"]
            if not isinstance(title, str) or not isinstance(text, str):
                raise TypeError
        except (ValueError, RecursionError):
            raise ValueError(
                f"{path}: line {number} is not whole JSON."
            ) from None
        except (TypeError, KeyError, AttributeError):
            raise ValueError(
                f"{path}: line {number} is no JSON object with texts "
                '"title" and "text".'
            ) from None
        # The extractor escapes &, < and > for HTML unless told otherwise.
        title, text = unescape(title).strip(), unescape(text).strip()
        first, _, rest = text.partition("\n")
        yield Article(title, rest if first.strip() == title else text)


def _read_plain(path: Path, file: io.BufferedReader) -> Iterator[Article]:
    lines: list[str] = []
    for line in sources.decoded_lines(path, file):
        if line:
            lines.append(line)
        elif lines:
            yield Article("", "\n".join(lines))
            lines = []
    if lines:
        yield Article("", "\n".join(lines))
