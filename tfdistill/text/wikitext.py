"""Prose of wikitext: paragraphs of running text, without any markup.

Lists, tables and headings are left out along with the markup, as in the
corpus that BERT was trained on; what is linked or emphasised keeps its words.
"""

import re
from collections.abc import Collection, Iterator

import mwparserfromhell
from mwparserfromhell.nodes import (
    ExternalLink,
    Heading,
    HTMLEntity,
    Tag,
    Template,
    Text,
    Wikilink,
)
from mwparserfromhell.wikicode import Wikicode

from tfdistill.text import inline_templates

PARAGRAPH = "\n\n"
# Neither XML nor JSON text contains it.
LIST_ITEM = "\x00"
# Parsing takes time in proportion to this product; about ten seconds.
MOST_UNCLOSED_TIMES_LENGTH = 200_000_000

HIDDEN_PREFIXES = frozenset(
    {"file", "image", "media", "category", "special", "template"}
)
_LANGUAGE = re.compile(
    r"[a-z]{2,3}(-[a-z]+)*|simple|nds-nl|be-x-old|zh-min-nan"
)
_SISTERS = frozenset({"mw", "voy", "doi", "rfc"})
_MEDIA_FILE = re.compile(
    r"\.(jpe?g|png|svg|gif|tiff?|webp|og[gav]|webm|pdf|djvu|mid|mp3|wav)$", re.I
)

_HIDDEN_TAGS = frozenset(
    re.findall(
        r"\w+",
        "ref references gallery math chem ce code pre source syntaxhighlight "
        "timeline score hiero graph imagemap inputbox templatedata "
        "templatestyles categorytree mapframe maplink indicator section "
        "table tr td th caption ol ul dl li dt dd h1 h2 h3 h4 h5 h6 "
        "includeonly style script img",
    )
)
_BLOCK_TAGS = frozenset(
    {"blockquote", "p", "div", "center", "poem", "hr", "noinclude"}
)

_COMMENT_LINE = re.compile(r"(?<=\n)[ \t]*<!--(?:(?!-->).)*-->[ \t]*\n", re.S)
_MAGIC_WORD = re.compile(r"__[^\W\d_a-z]+__")
_QUOTES = re.compile(r"'{2,}")
_RESIDUES = (
    # What is left of links, templates and tables that were never closed.
    re.compile(r"\[\[[^\[\]|]{1,40}:[^\n]*$"),
    re.compile(r"\{\{[^\n]*$"),
    re.compile(r"\{\|[^\n]*$|^\|.*$|^!.*$"),
    re.compile(r"<ref\b.*$|</?[a-z][a-z0-9]*(\s[^<>]*)?/?>|<!--.*$|-->", re.I),
    re.compile(r"\[?\b(?:https?|ftp)://[^\s\]]*"),
    re.compile(
        r"\|\s*(?:thumb|thumbnail|left|right|center|frame|upright)\b[^|]*"
        r"|\|?\s*\d+(?:x\d+)?px\b"
    ),
    re.compile(r"\[\[|\]\]|\}\}|\|\}"),
)
# Dropped templates leave holes: "( ; born 1900)", "Foo , bar", "()".
_HOLES = (
    (re.compile(r"([(\[])(?:\s*[,;:–—/])+\s*(?=[^\s)\]])"), r"\1"),
    (re.compile(r"(?:\s*[,;:/])+\s*(?=[)\]])"), ""),
    (re.compile(r"([(\[])\s+(?=\S)"), r"\1"),
    (re.compile(r"\s+(?=[)\]])"), ""),
    (re.compile(r"\(\W*\)|\[\s*\]"), ""),
    (re.compile(r"\s+(?=[,.](?:\s|$))"), ""),
    (re.compile(r",(?:\s*,)+"), ","),
    (re.compile(r",\s*\.(?=\s|$)"), "."),
    (re.compile(r"\s{2,}"), " "),
)


def prose_paragraphs(
    wikitext: str, hidden_prefixes: Collection[str] = HIDDEN_PREFIXES
) -> list[str]:
    """Return the paragraphs of running text in wikitext.

    Args:
        wikitext: A page as its author wrote it.
        hidden_prefixes: Lower-case namespaces whose links show no text, such
            as "file" and "category", in the language of the wiki.

    Raises:
        ValueError: The markup is so broken that parsing would take very
            long: too many brackets or tags are opened and not closed.
    """
    _refuse_unclosed(wikitext)
    # On a line of its own a comment takes the line with it; it would look
    # like the end of a paragraph.
    wikitext = _COMMENT_LINE.sub("", wikitext.replace(LIST_ITEM, ""))
    code = mwparserfromhell.parse(wikitext, skip_style_tags=True)
    text = "".join(_render(code, hidden_prefixes))
    return list(_paragraphs(_QUOTES.sub(_apostrophes, text)))


def _refuse_unclosed(wikitext: str) -> None:
    pairs = (("{", "}"), ("[", "]"), ("<", ">"), ("<", "</"), ("\n{|", "\n|}"))
    counts = [wikitext.count(a) - wikitext.count(b) for a, b in pairs]
    # Half of the tags close the other half, and some close themselves.
    counts[3] -= wikitext.count("</") + wikitext.count("/>")
    unclosed = sum(count for count in counts if count > 0)
    if unclosed * len(wikitext) > MOST_UNCLOSED_TIMES_LENGTH:
        raise ValueError(
            f"{unclosed:,} brackets and tags are opened and not closed"
        )


def _render(code: Wikicode, hidden: Collection[str]) -> Iterator[str]:
    for node in code.nodes:
        if isinstance(node, Text):
            yield str(node)
        elif isinstance(node, HTMLEntity):
            yield _character(node)
        elif isinstance(node, Wikilink):
            yield from _render_link(node, hidden)
        elif isinstance(node, ExternalLink):
            if node.brackets and node.title is not None:
                yield from _render(node.title, hidden)
        elif isinstance(node, Heading):
            yield PARAGRAPH
        elif isinstance(node, Template):
            shown = inline_templates.shown_text(node)
            if shown is not None:
                yield from _render(shown, hidden)
        elif isinstance(node, Tag):
            yield from _render_tag(node, hidden)


def _character(entity: HTMLEntity) -> str:
    try:
        return entity.normalize()
    except (ValueError, OverflowError):
        return ""


def _render_link(link: Wikilink, hidden: Collection[str]) -> Iterator[str]:
    title = str(link.title).strip()
    prefix, colon, _ = title.partition(":")
    prefix = prefix.strip().lower()
    label = (
        link.text if link.text is not None and str(link.text).strip() else None
    )
    if (colon and prefix in hidden) or _MEDIA_FILE.search(title):
        return
    if (
        colon
        and label is None
        and title[0].islower()
        and _LANGUAGE.fullmatch(prefix)
        and prefix not in _SISTERS
    ):
        return
    if label is not None:
        yield from _render(label, hidden)
    else:
        shown = "".join(_render(link.title, hidden)).strip().lstrip(":")
        yield shown.partition("#")[0] or shown.lstrip("#")


def _render_tag(tag: Tag, hidden: Collection[str]) -> Iterator[str]:
    name = str(tag.tag).strip().lower()
    if tag.wiki_markup and name in ("li", "dt", "dd"):
        yield LIST_ITEM
    elif name in _HIDDEN_TAGS:
        # Tables and lists end a paragraph; references stand within one.
        yield PARAGRAPH if name in ("table", "ol", "ul", "dl") else ""
    elif name == "br":
        yield " "
    else:
        edge = PARAGRAPH if name in _BLOCK_TAGS else ""
        yield edge
        if tag.contents is not None:
            yield from _render(tag.contents, hidden)
        yield edge


def _apostrophes(quotes: re.Match[str]) -> str:
    # Two make italic, three bold, five both; others are apostrophes.
    return "'" * {4: 1}.get(
        len(quotes.group()), max(0, len(quotes.group()) - 5)
    )


def _paragraphs(text: str) -> Iterator[str]:
    lines: list[str] = []
    for line in [*text.split("\n"), ""]:
        line = _without_residue(line)
        if line and line[0] not in LIST_ITEM + "*#:;":
            lines.append(line)
        elif lines:
            paragraph = _mend(" ".join(lines))
            lines = []
            if any(map(str.isalpha, paragraph)):
                yield paragraph


def _without_residue(line: str) -> str:
    line = _MAGIC_WORD.sub("", line).strip()
    if line.startswith(LIST_ITEM):
        return ""
    for residue in _RESIDUES:
        line = residue.sub("", line).strip()
    return line


def _mend(paragraph: str) -> str:
    paragraph = " ".join(paragraph.split())
    for hole, filling in _HOLES:
        paragraph = hole.sub(filling, paragraph)
    return paragraph.strip()
