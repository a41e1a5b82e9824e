"""Dumps and extracted articles that were harmed."""

import bz2
import gzip
import html
import json
import xml.etree.ElementTree as etree

import pytest
from hostile import cases, harmed, hostile_reading, retyped

from tfdistill.text.wikipedia import Wikipedia

DUMP = b"""<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">
<siteinfo><namespaces><namespace key="6">Datei</namespace></namespaces>
</siteinfo>
<page><title>Cat &amp; dog</title><ns>0</ns><id>1</id>
<revision><id>9</id><text>Old.</text></revision>
<revision><id>10</id><text>A cat. [[Datei:x|y]] {{t|a=[[b]]}}</text></revision>
</page>
<page><title>Cats</title><ns>0</ns><id>2</id><redirect title="Cat"/>
<revision><id>1</id><text>#REDIRECT [[Cat]]</text></revision></page>
<page><title>Talk:Cat</title><ns>1</ns><id>4</id>
<revision><id>1</id><text>Hello.</text></revision></page>
<page><title>Empty</title><ns>0</ns><id>5</id>
<revision><id>1</id><text/></revision></page>
</mediawiki>"""
WORDS = (
    b"<page>",
    b"</page>",
    b"<ns>x</ns>",
    b"<text>",
    b"&x;",
    b"&#0;",
    b"<![CDATA[",
    b"<!--",
    b'<!DOCTYPE a [<!ENTITY x "y">]>',
    b"<id/>",
    b"<ns/>",
    b"{{{{[[",
    b"<revision/>",
)


def articles(path):
    return [(a.title, a.text) for a in Wikipedia(str(path))]


def sentences(path):
    return [a.sentences() for a in Wikipedia(str(path))]


def pages_of(data):
    """Titles and last texts of articles, by the standard library alone."""
    found = []
    for page in etree.fromstring(data).iterfind("{*}page"):
        # Where there are several, the last one counts.
        texts = [
            ([x.text or "" for x in r.findall("{*}text")] or [""])[-1]
            for r in page.findall("{*}revision")
        ]
        is_article = int(page.findtext("{*}ns", "0") or 0) == 0
        redirect = page.find("{*}redirect")
        text = texts[-1] if texts else ""
        if (
            is_article
            and (redirect is None or redirect.get("title") is None)
            and not text.lstrip().lower().startswith("#redirect ")
        ):
            found.append((page.findtext("{*}title"), text))
    return found


def in_two(data):
    return bz2.compress(data[:99]) + bz2.compress(data[99:])


@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        (bz2.compress, bz2.decompress),
        (gzip.compress, gzip.decompress),
        (in_two, bz2.decompress),
    ],
    ids=["bz2", "gzip", "many streams"],
)
def test_harmed_archives(tmp_path, pack, unpack):
    path, plain = tmp_path / "dump", tmp_path / "plain"
    packed = pack(DUMP)
    with hostile_reading() as found:
        for draw in cases(str(len(packed)), 2000):
            data = harmed(packed, draw, (b"BZh9", b"\x1f\x8b"))
            path.write_bytes(data)
            read = found.of(path, articles, path)
            # The first bytes say what a file is: others are plain text.
            if read is not None and data[:3] == packed[:3]:
                plain.write_bytes(unpack(data))
                assert read == articles(plain)
    assert found.refused > 1000


def test_harmed_xml(tmp_path):
    path = tmp_path / "dump"
    with hostile_reading() as found:
        for draw in cases("xml", 3000):
            data = harmed(DUMP, draw, WORDS)
            path.write_bytes(bz2.compress(data))
            read = found.of(path, articles, path)
            if read is None or not data.lstrip().startswith(b"<"):
                continue
            assert read == pages_of(data), data
    assert found.read > 100 and found.refused > 1000


def test_sentences_of_harmed_wikitext(tmp_path):
    path = tmp_path / "dump"
    wikitext = (
        "'''Cats''' are [[animal|animals]].<ref>{{cite|a}}</ref> They "
        "sleep.\n\n== Food ==\n{|\n| a\n|}\n* Mice.\n[[File:a.jpg|thumb|b]]\n"
    )
    with hostile_reading() as found:
        for draw in cases("wikitext", 2000):
            text = harmed(wikitext.encode(), draw, WORDS).decode(
                "utf-8", "replace"
            )
            text = "".join(c for c in text if c.isprintable() or c == "\n")
            path.write_bytes(
                DUMP.replace(
                    b"<text/>", f"<text>{html.escape(text)}</text>".encode()
                )
            )
            read = found.of(path, sentences, path)
            if read is not None:
                for sentence in [x for y in read for x in y]:
                    assert "\n" not in sentence and sentence.strip()
    assert found.read > 500


def test_harmed_json_lines(tmp_path):
    path = tmp_path / "wiki_00"
    page = {"id": "1", "title": "R&amp;D", "text": "R&amp;D\n\nA. B &lt; c."}
    with hostile_reading() as found:
        for draw in cases("json lines", 3000):
            pages = [page, retyped(page, draw), page]
            data = "\n".join(map(json.dumps, pages)).encode()
            if draw.random() < 0.5:
                data = harmed(data, draw)
            path.write_bytes(data)
            read = found.of(path, articles, path)
            if read is None or not data.lstrip(
                b"\xef\xbb\xbf\r\n\t "
            ).startswith(b"{"):
                continue
            right = [
                json.loads(x)
                for x in data.decode("utf-8-sig").split("\n")
                if x.strip()
            ]
            for (title, text), entry in zip(read, right, strict=True):
                assert title == html.unescape(entry.get("title", "")).strip()
                assert text in html.unescape(entry["text"])
    assert found.read > 200 and found.refused > 200


BILLION = (
    b'<!DOCTYPE a [<!ENTITY a "'
    + b"x" * 1000
    + b'">'
    + b"".join(
        b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10)
        for i in range(9)
    )
    + b"]><mediawiki><page><title>&j;</title></page></mediawiki>"
)
LONG_PAGE = b"<mediawiki><page><title>" + b"x" * (1 << 29)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (BILLION, "XML is damaged"),
        (bz2.compress(LONG_PAGE), "a page is longer than"),
        (gzip.compress(LONG_PAGE, 1), "a page is longer than"),
        (bz2.compress(b"x" * (1 << 29)), "line 1 is longer than"),
    ],
    ids=["entities", "a long page", "a long page of gzip", "a long line"],
)
def test_bombs_are_refused_in_little_memory(tmp_path, data, says):
    path = tmp_path / "dump"
    path.write_bytes(data)
    with hostile_reading() as found:
        assert found.of(path, articles, path) is None
    (line,) = found.lines
    assert says in line
