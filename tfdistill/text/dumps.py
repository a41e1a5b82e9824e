"""Pages of MediaWiki XML dumps."""

import collections
import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import ParseError

from mwxml import Page
from mwxml.element_iterator import ElementIterator
from mwxml.errors import MalformedXML

from tfdistill.text.sources import DamagedSourceError
from tfdistill.text.wikitext import HIDDEN_PREFIXES

# Media, special pages, files and categories: links to them show no text.
_HIDDEN_NAMESPACES = frozenset({"-2", "-1", "6", "14"})
# A page is held in memory as a whole, with all its revisions.
MOST_PAGE_BYTES = 1 << 26
_REDIRECT = re.compile(r"\s*#redirect\b", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class ArticlePage:
    """Title, wikitext, and the wiki's names of namespaces without text."""

    title: str
    text: str
    hidden_prefixes: frozenset[str]


def read_pages(
    path: Path, file: io.BufferedReader, skipped: collections.Counter[str]
) -> Iterator[ArticlePage]:
    """Yield the articles of a dump, with the last revision of each.

    Args:
        path: Name of the dump, for messages.
        file: Its XML.
        skipped: Counts the pages left out, under "redirects" and
            "other_namespaces".

    Raises:
        ValueError: This is no dump, or it is cut short or damaged.
    """
    bounded = _Bounded(path, file)
    try:
        root = ElementIterator.from_file(bounded)
        if root.tag != "mediawiki":
            raise MalformedXML(f"<{root.tag}> where <mediawiki> was expected")
        hidden = HIDDEN_PREFIXES
        for element in root:
            if element.tag == "siteinfo":
                hidden |= _hidden_names(element)
            elif element.tag == "page":
                page = Page.from_element(element)
                # Only a whole page is known to be sound.
                text = _last_text(page)
                if page.namespace:
                    skipped["other_namespaces"] += 1
                elif page.redirect is not None or _REDIRECT.match(text):
                    skipped["redirects"] += 1
                else:
                    yield ArticlePage(page.title, text, hidden)
            # The tree would keep an empty element for each of the many
            # million pages that have gone by.
            del root.element[:]
            bounded.size = 0
        for _ in root.pointer.etree_events:
            pass
    except ParseError as error:
        raise ValueError(
            f"{path}: the XML is damaged or cut short ({_brief(error)})."
        ) from None
    except DamagedSourceError:
        raise
    # A number that is none is a ValueError.
    except (MalformedXML, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a MediaWiki dump ({_brief(error)})."
        ) from None


class _Bounded:
    """A file that ends with an error where a page does not end.

    Attributes:
        size: Bytes read since it was last set to 0.
    """

    def __init__(self, path: Path, file: io.BufferedReader) -> None:
        self._path, self._file = path, file
        self.size = 0

    def read(self, size: int) -> bytes:
        if self.size > MOST_PAGE_BYTES:
            raise DamagedSourceError(
                f"{self._path}: a page is longer than {MOST_PAGE_BYTES:,} "
                "bytes."
            )
        data = self._file.read(size)
        self.size += len(data)
        return data


def _hidden_names(siteinfo: ElementIterator) -> frozenset[str]:
    names = set()
    for part in siteinfo:
        if part.tag == "namespaces":
            for namespace in part:
                key, name = namespace.attr("key"), namespace.text
                if key in _HIDDEN_NAMESPACES and name:
                    names.add(name.lower())
    return frozenset(names)


def _last_text(page: Page) -> str:
    text = ""
    for revision in page:
        text = revision.text or ""
    return text


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:100]
