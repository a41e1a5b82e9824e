"""Tables that were harmed: what is read is what stands there."""

import csv
import io
import json

import pytest
from hostile import cases, harmed, hostile_reading, retyped

from tfdistill.text.tables import Columns, read_table

GOOD = {
    "tsv": 'index\ta\tb\tlabel\r\n0\tA "a.\tÉ\u2028b\t1\r\n1\tC\tD\t0\r\n' * 3,
    "csv": 'index,a,b,label\n0,"A ""a"", b\nc",É,1\n1,C,D,0\n' * 3,
    "jsonl": '{"index": 0, "a": "A \\u00e9", "b": "É", "label": 1}\n' * 5,
}
PAIRS = Columns(first="a", second="b", label="label", index="index")
WORDS = (b"index", b'"a"', b"\\ud800", b"\\u0000", b'""', b"\x85")


def expected(kind, data):
    """The cells of all rows by the standard library, and their names."""
    text = data.decode().removeprefix("\ufeff")
    if kind == "jsonl":
        lines = [x for x in text.split("\n") if x and not x.isspace()]
        made = [json.loads(x, parse_int=str, parse_float=str) for x in lines]
        # As `read_table` says, the first line's keys name all columns.
        return [{n: row[n] for n in made[0]} for row in made]
    if kind == "tsv":
        lines = [x.removesuffix("\r").split("\t") for x in text.split("\n")]
        lines = [x for x in lines if x != [""]]
    else:
        lines = [x for x in csv.reader(io.StringIO(text, newline="")) if x]
        lines = [x for x in lines if x != [""]]
    names, *rows = lines
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.parametrize("kind", GOOD)
def test_harmed_tables(tmp_path, kind):
    path = tmp_path / "table"
    with hostile_reading() as found:
        for draw in cases(kind, 3000):
            data = harmed(GOOD[kind].encode(), draw, WORDS)
            path.write_bytes(data)
            rows = found.of(path, list, read_table(path, PAIRS, kind=kind))
            if rows is None:
                continue
            right = expected(kind, data)
            assert len(rows) == len(right)
            for row, cells in zip(rows, right, strict=True):
                assert (row.first, row.second) == (cells["a"], cells["b"])
                assert (row.label, row.index) == (
                    cells["label"],
                    cells["index"],
                )
    assert found.read > 50 and found.refused > 200


def test_sentences_keep_what_tabs_part(tmp_path):
    path = tmp_path / "table.tsv"
    good = b"label\ta\n1\tOne two.\n0\tThree.\n1\tFour five\tsix.\n" * 2
    columns = Columns(first="a", label="label")
    with hostile_reading() as found:
        for draw in cases("sentences", 3000):
            data = harmed(good, draw, WORDS)
            path.write_bytes(data)
            rows = found.of(path, list, read_table(path, columns))
            if rows is None:
                continue
            text = data.decode().removeprefix("\ufeff")
            lines = [x.removesuffix("\r") for x in text.split("\n")]
            cells = [line.split("\t") for line in lines if line]
            head, *cells = cells
            if head.index("a") == 1 and len(head) == 2:
                assert [(r.label, r.first) for r in rows] == [
                    (label, " ".join(rest)) for label, *rest in cells
                ]
    assert found.read > 50 and found.refused > 200


def test_json_lines_of_other_types(tmp_path):
    path = tmp_path / "table.jsonl"
    line = {"a": "A", "b": "É", "label": 1, "index": 0, "more": {"x": [1, 2]}}
    with hostile_reading() as found:
        for draw in cases("types", 3000):
            lines = [retyped(line, draw) if draw.random() < 0.5 else line]
            lines += [line, retyped(line, draw)]
            path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
            rows = found.of(path, list, read_table(path, PAIRS))
            if rows is None:
                continue
            for row, values in zip(rows, lines, strict=True):
                texts = (row.first, row.second, row.label, row.index)
                for text, name in zip(
                    texts, ("a", "b", "label", "index"), strict=True
                ):
                    value = values[name]
                    assert isinstance(value, str | int | float)
                    assert not isinstance(value, bool)
                    assert text == (
                        value if isinstance(value, str) else json.dumps(value)
                    )
    assert found.read > 50 and found.refused > 200


def test_a_line_without_end_is_refused_in_little_memory(tmp_path):
    path = tmp_path / "table.tsv"
    with open(path, "wb") as file:
        file.write(b"a\tlabel\n")
        # A file with a hole in it: 8 GB, and a few blocks on disk.
        file.truncate(8 << 30)
    with hostile_reading() as found:
        columns = Columns(first="a", label="label")
        assert found.of(path, list, read_table(path, columns)) is None
    (message,) = found.lines
    assert "line 2 is longer than" in message
