"""Articles are read from every kind of source."""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tfdistill.text.wikipedia import Wikipedia

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">
<siteinfo><namespaces><namespace key="6">Datei</namespace></namespaces>
</siteinfo>
<page><title>Cat</title><ns>0</ns><id>1</id>
<revision><id>9</id><text>Old.</text></revision>
<revision><id>10</id><text>A cat. [[Datei:x|y]]</text></revision></page>
<page><title>Cats</title><ns>0</ns><id>2</id><redirect title="Cat"/>
<revision><id>1</id><text>#REDIRECT [[Cat]]</text></revision></page>
<page><title>Kitty</title><ns>0</ns><id>3</id>
<revision><id>1</id><text> #redirect [[Cat]]</text></revision></page>
<page><title>Talk:Cat</title><ns>1</ns><id>4</id>
<revision><id>1</id><text>Hello.</text></revision></page>
<page><title>Empty</title><ns>0</ns><id>5</id>
<revision><id>1</id><text/></revision></page>
</mediawiki>"""


def _read(path: Path) -> list[tuple[str, list[str]]]:
    return [(a.title, a.sentences()) for a in Wikipedia(str(path))]


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        bz2.compress,
        gzip.compress,
        lambda data: bz2.compress(data[:99]) + bz2.compress(data[99:]),
        lambda data: data.decode().encode("utf-16"),
        lambda data: b"\n" + data,
    ],
    ids=["xml", "bz2", "gz", "many streams", "utf-16", "blank line"],
)
def test_dump(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "dump"
    path.write_bytes(pack(DUMP.encode()))
    wikipedia = Wikipedia(str(path))
    articles = [(a.title, a.sentences()) for a in wikipedia]
    assert articles == [("Cat", ["A cat."]), ("Empty", [])]
    assert wikipedia.skipped == {"redirects": 2, "other_namespaces": 1}
    assert wikipedia.consumed == wikipedia.size == path.stat().st_size


def test_hash_is_the_same_read_or_unread(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(bz2.compress(DUMP.encode()))
    read = Wikipedia(str(path))
    list(read)
    assert read.sha256() == Wikipedia(str(path)).sha256()


def test_json_lines(tmp_path: Path) -> None:
    def line(title: str, text: str) -> str:
        page = {"id": "1", "url": "u", "title": title, "text": text}
        return json.dumps(page) + "\n"

    (tmp_path / "AB").mkdir()
    (tmp_path / "AA").mkdir()
    (tmp_path / "AB" / "wiki_00").write_text(line("C", "Without title. X."))
    (tmp_path / "AA" / "wiki_01.bz2").write_bytes(
        bz2.compress(line("R&amp;D", "R&amp;D\n\nOne &lt; two.").encode())
    )
    (tmp_path / "AA" / "wiki_00").write_text(
        line("A", "A\n\nFirst. Second.\nNext part") + "\n" + line("B", "B")
    )
    (tmp_path / "AA" / ".hidden").write_text("junk")
    assert _read(tmp_path) == [
        ("A", ["First.", "Second.", "Next part"]),
        ("B", []),
        ("R&D", ["One < two."]),
        ("C", ["Without title.", "X."]),
    ]


def test_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeff\nÉin. Zwei.\r\nDrei.\n \n\nVier".encode())
    assert _read(path) == [("", ["Éin.", "Zwei.", "Drei."]), ("", ["Vier"])]


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


PACKED = bz2.compress(DUMP.encode())
DAMAGED = {
    "cut bz2": (PACKED[:-20], "bz2 data are cut short"),
    "flipped byte": (_flip(PACKED, len(PACKED) // 2), "damaged bz2 data"),
    "damage after a stream": (PACKED + b"junk", "damaged bz2 data"),
    "cut gzip": (gzip.compress(DUMP.encode())[:-9], "gzip data are cut"),
    "cut XML": (DUMP[:700].encode(), "XML is damaged or cut short"),
    "junk after XML": (DUMP.encode() + b"<a>", "XML is damaged"),
    "other XML": (b"<html></html>", "not a MediaWiki dump"),
    "page without title": (
        b"<mediawiki><page><ns>0</ns></page></mediawiki>",
        "not a MediaWiki dump",
    ),
    "not UTF-8": (b"good\nb\xffd", "byte offset 6"),
    "broken JSON": (b'{"title": "", "text": ""}\n{"te', "line 2 is not"),
    "JSON without text": (b'{"title": "A"}', "line 1 is no JSON object"),
    "JSON with a number": (b'{"title": "A", "text": 1}', "line 1 is no"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_source(tmp_path: Path, name: str) -> None:
    data, cause = DAMAGED[name]
    path = tmp_path / "source"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=cause) as caught:
        _read(path)
    assert str(path) in str(caught.value)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        Wikipedia(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="holds no files"):
        Wikipedia(str(tmp_path))
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="empty"):
        Wikipedia(str(tmp_path / "empty"))
