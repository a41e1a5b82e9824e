"""Tables are read as they are, and what is not as it should be is refused."""

import dataclasses
import logging
import random

import pytest

from tfdistill.text.tables import (
    Columns,
    Row,
    read_header,
    read_table,
    write_rows,
)

ONE = Columns(first="sentence", label="label")
PAIR = Columns(first="a", second="b", label="label")
COLA = Columns(first=3, label=1, has_header=False)


@pytest.fixture
def table(tmp_path):
    def write(content, name="t.tsv"):
        path = tmp_path / name
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        return path

    return write


def read(path, columns, **kwargs):
    return list(read_table(path, columns, **kwargs))


def texts(path, columns, **kwargs):
    return [(r.first, r.label) for r in read(path, columns, **kwargs)]


def refusal(path, columns, **kwargs):
    """The one line that a table is refused with."""
    with pytest.raises(ValueError) as error:
        read(path, columns, **kwargs)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


class TestTsv:
    def test_rows(self, table):
        path = table("index\ta\tb\tlabel\n7\tA one.\tB one.\tyes\n8\tA\tB\tno")
        columns = Columns(first="a", second=2, label=-1, index="index")
        assert read(path, columns) == [
            Row(
                "A one.",
                "B one.",
                "yes",
                "7",
                2,
                ("7", "A one.", "B one.", "yes"),
            ),
            Row("A", "B", "no", "8", 3, ("8", "A", "B", "no")),
        ]

    def test_quotes_are_characters(self, table):
        path = table('sentence\tlabel\n"Open\t1\nit\'s "\t0\n""\t1\n')
        assert texts(path, ONE) == [
            ('"Open', "1"),
            ("it's \"", "0"),
            ('""', "1"),
        ]

    def test_only_line_feeds_end_lines(self, table):
        odd = "a\x85b\u2028c\u2029d\x0be\x0cf\x1cg\rh\xa0i\x00"
        path = table(f"sentence\tlabel\r\n{odd}\t1\r\nlast\t0\r\n")
        assert texts(path, ONE) == [(odd, "1"), ("last", "0")]

    def test_byte_order_mark_is_dropped_once(self, table):
        path = table("\ufeffsentence\tlabel\n\ufeffx\t1\n")
        assert texts(path, ONE) == [("\ufeffx", "1")]
        assert texts(table("\ufeffgj04\t1\t\tX.\n"), COLA) == [("X.", "1")]

    def test_without_header(self, table):
        path = table("gj04\t1\t\tThe sailors rode.\ngj04\t0\t*\tThe rode.\n")
        rows = read(path, COLA)
        assert [(r.first, r.label, r.line) for r in rows] == [
            ("The sailors rode.", "1", 1),
            ("The rode.", "0", 2),
        ]
        assert rows[1].cells == ("gj04", "0", "*", "The rode.")

    def test_empty_lines_and_sentences(self, table):
        path = table("sentence\tlabel\n\nx\t1\n\t0\n\n")
        assert [(r.first, r.line) for r in read(path, ONE)] == [
            ("x", 3),
            ("", 4),
        ]
        # In a table of one column an empty line is an empty sentence.
        column = Columns(first="sentence")
        path = table("sentence\nx\n\ny\n")
        assert [r.first for r in read(path, column)] == ["x", "", "y"]

    def test_tabs_in_a_last_sentence_become_spaces(self, table, caplog):
        path = table("gj04\t1\t\tA.\ngj04\t0\t*\tB\tb \tb.\ngj04\t1\t\tC\tc.\n")
        with caplog.at_level(logging.WARNING):
            rows = read(path, COLA)
        assert [(r.first, r.label) for r in rows] == [
            ("A.", "1"),
            ("B b  b.", "0"),
            ("C c.", "1"),
        ]
        assert rows[1].cells == ("gj04", "0", "*", "B b  b.")
        (record,) = caplog.records
        assert "2 lines, the first is line 2." in record.getMessage()

    def test_tabs_in_a_sentence_beside_label_and_index(self, table):
        path = table("sentence\tlabel\nA\ta\t1\n")
        assert texts(path, ONE) == [("A a", "1")]
        path = table("index\tsentence\tlabel\n0\tA\ta\t1\n")
        assert texts(
            path, Columns(first="sentence", label="label", index="index")
        ) == [("A a", "1")]

    @pytest.mark.parametrize(
        ("content", "columns"),
        [
            ("a\tb\tlabel\nA\ta\tB\t1\n", PAIR),
            ("sentence\tgenre\tlabel\nA\ta\tnews\t1\n", ONE),
        ],
        ids=["pair", "unknown column"],
    )
    def test_tabs_that_may_be_anywhere(self, table, content, columns):
        assert (
            refusal(table(content), columns)
            == ": line 2 has 4 cells, expected 3; a tab stands inside a cell, "
            "but which one is not known."
        )

    def test_too_few_cells(self, table):
        path = table("a\tb\tlabel\nA\tB\t1\nA\tB\n")
        assert refusal(path, PAIR) == ": line 3 has 2 cells, expected 3."
        path = table("gj04\t1\t\tX\nx\n")
        assert refusal(path, COLA) == ": line 2 has 1 cell, expected 4."

    def test_other_numbers_of_cells_are_skipped(self, table, caplog):
        header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        path = table(
            header + "1\t2\t3\tA\tB\t0\n"
            '4\t5\t6\t"How\n\tWhat?\t1\n\n7\t8\t9\tC\tc\tD\t1\n7\t8\t9\tC\tD\t1\n'
        )
        columns = Columns(
            first="question1", second="question2", label=-1, num_cells=6
        )
        with caplog.at_level(logging.WARNING):
            rows = read(path, columns)
        assert [(r.first, r.second, r.line) for r in rows] == [
            ("A", "B", 2),
            ("C", "D", 7),
        ]
        (record,) = caplog.records
        assert record.getMessage() == (
            f"{path}: skipped 3 lines that have not 6 cells, the first is "
            "line 3."
        )
        assert refusal(table(header + "short\n"), columns) == " holds no rows."
        assert (
            refusal(table("a\tb\n" + "x\t" * 5 + "x\n"), columns)
            == ": line 1 has 2 cells, expected 6."
        )

    def test_rows_of_one_value(self, table):
        path = table("language\tsentence\nfr\tA\tb\nzh\tX\nzh\tY\nen\tB\n")
        columns = Columns(first="sentence", only=("language", "zh"))
        assert [r.first for r in read(path, columns)] == ["X", "Y"]
        columns = Columns(first="sentence", only=("language", "sw"))
        assert (
            refusal(path, columns) == " holds no rows with 'sw' in 'language'."
        )


class TestCsv:
    def test_quoting(self, table):
        path = table(
            '\ufeffsentence,label\r\n"a, ""b""\nsecond\u2028 line",1\r\n\r\n'
            "plain,0\r\n",
            "t.csv",
        )
        assert [(r.first, r.label, r.line) for r in read(path, ONE)] == [
            ('a, "b"\nsecond\u2028 line', "1", 2),
            ("plain", "0", 5),
        ]

    @pytest.mark.parametrize(
        ("row", "problem"),
        [
            ('"never closed,1\nx,0\n', ": line 3 is not CSV: unexpected end"),
            ('"a"b,1\n', ": line 3 is not CSV: ',' expected after"),
            ("a,b,1\n", ": line 3 has 3 cells, expected 2."),
            ("a\n", ": line 3 has 1 cell, expected 2."),
        ],
    )
    def test_refusals(self, table, row, problem):
        path = table("sentence,label\nfine,1\n" + row, "t.csv")
        assert refusal(path, ONE).startswith(problem)


class TestJsonLines:
    def test_rows(self, table):
        path = table(
            '\ufeff{"sentence": "a\\n\\u00e9", "tags": ["x", null], "label": 1}\n'
            '\n{"label": "0", "sentence": "\u2028b", "tags": {}, "more": 2}\n'
            '{"sentence": 2.50, "tags": true, "label": 1e3}',
            "t.jsonl",
        )
        assert read(path, ONE) == [
            Row("a\né", None, "1", None, 1, ("a\né", '["x", null]', "1")),
            Row("\u2028b", None, "0", None, 3, ("\u2028b", "{}", "0")),
            Row("2.50", None, "1e3", None, 4, ("2.50", "true", "1e3")),
        ]
        # Columns have the order of the first line's keys.
        numbers = Columns(first=0, label=-1, has_header=False)
        assert read(path, numbers) == read(path, ONE)

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ('{"sentence": "x", "lab', "is not JSON: Unterminated string"),
            ('["x", 1]', "is not a JSON object with keys."),
            ("{}", "is not a JSON object with keys."),
            ('{"sentence": "x"}', "lacks the key 'label'."),
            ('{"sentence": "\\ud800", "label": 1}', "is not JSON: 'utf-8'"),
            ("[" * 100_000, "is not JSON: maximum recursion depth"),
        ],
    )
    def test_refusals(self, table, line, problem):
        path = table('{"sentence": "x", "label": 1}\n' + line, "t.jsonl")
        assert refusal(path, ONE).startswith(f": line 2 {problem}")

    @pytest.mark.parametrize("value", ["null", "true", '["x"]', '{"x": 1}'])
    def test_what_is_neither_text_nor_number(self, table, value):
        path = table(f'{{"sentence": "x", "label": {value}}}', "t.json")
        assert (
            refusal(path, ONE)
            == ": line 1: 'label' is neither text nor a number."
        )
        assert len(read(path, Columns(first="sentence"))) == 1


class TestColumns:
    @pytest.mark.parametrize("name", ["t.tsv", "t.csv"])
    def test_missing(self, table, name):
        tab = "\t" if name.endswith("tsv") else ","
        path = table(f"a{tab}lab\u2028el\nA{tab}1\n", name)
        assert (
            refusal(path, Columns(first="sentence"))
            == r": there is no column 'sentence'. Known: 'a', 'lab\u2028el'."
        )

    def test_missing_key(self, table):
        path = table('{"text": "x"}\n', "t.jsonl")
        assert (
            refusal(path, ONE)
            == ": there is no column 'sentence'. Known: 'text'."
        )

    def test_number_beyond_the_line(self, table):
        assert (
            refusal(table("x\ty\n"), COLA)
            == ": there is no column 3, counted from 0: the first line has 2 "
            "cells."
        )

    def test_name_without_header(self, table):
        columns = Columns(first="sentence", has_header=False)
        assert "there is no header" in refusal(table("x\ty\n"), columns)

    def test_name_twice(self, table):
        path = table("sentence\tlabel\tlabel\nx\t1\t0\n")
        for optional in ((), ("label",)):
            columns = dataclasses.replace(ONE, optional=optional)
            problem = refusal(path, columns)
            assert problem.startswith(": 2 columns are called 'label'.")

    def test_optional(self, table):
        columns = Columns(
            first="sentence",
            label="label",
            index="index",
            optional=("label", "index"),
        )
        (row,) = read(table("index\tsentence\n4\tx\n"), columns)
        assert (row.first, row.label, row.index) == ("x", None, "4")
        (row,) = read(table("sentence\tlabel\nx\t1\n"), columns)
        assert (row.first, row.label, row.index) == ("x", "1", None)

    def test_same_one_twice(self, table):
        with pytest.raises(ValueError, match="'a' is given twice"):
            Columns(first="a", second="a")
        path = table("x\n")
        columns = Columns(first=0, label=-1, has_header=False)
        assert "two columns are the same" in refusal(path, columns)

    def test_number_below_the_last(self):
        with pytest.raises(ValueError, match="-2 is below -1"):
            Columns(first=-2)

    def test_long_header_is_cut(self, table):
        path = table("word " * 1000 + "\tx\n")
        assert len(refusal(path, ONE)) < 400


class TestFiles:
    @pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.jsonl"])
    def test_empty(self, table, name):
        assert refusal(table("", name), ONE) == " is empty."

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("t.tsv", "sentence\tlabel\n\n"),
            ("t.csv", "sentence,label\n\n"),
        ],
    )
    def test_header_alone(self, table, name, content):
        assert refusal(table(content, name), ONE) == " holds no rows."

    def test_empty_first_line(self, table):
        assert refusal(table("\nx\t1\n"), ONE) == ": line 1 is empty."

    @pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.jsonl"])
    def test_not_utf8(self, table, name):
        good = {
            "t.tsv": b"sentence\tlabel\nx\t1\n",
            "t.csv": b"sentence,label\nx,1\n",
            "t.jsonl": b'{"sentence": "x", "label": 1}\n' * 2,
        }[name]
        path = table(good + b"ab\xff", name)
        assert (
            refusal(path, ONE)
            == f": line 3 is not UTF-8: byte {len(good) + 2} of the file "
            "cannot be decoded."
        )

    def test_kind_by_suffix_or_by_word(self, table):
        assert texts(table("sentence\tlabel\nx\t1\n", "t.TXT"), ONE)
        path = table("sentence,label\nx,1\n", "t.data")
        assert texts(path, ONE, kind="csv") == [("x", "1")]
        assert "Known: tsv, csv, jsonl" in refusal(path, ONE)
        assert "unknown kind" in refusal(path, ONE, kind="xml")

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "t.tsv", ONE)

    def test_rows_come_before_the_file_is_read(self, table):
        path = table("sentence\tlabel\nx\t1\n" + "y\t0\n" * 5 + "broken")
        rows = read_table(path, ONE)
        assert [next(rows).first for _ in range(6)] == ["x"] + ["y"] * 5
        with pytest.raises(ValueError, match="line 8"):
            next(rows)


CELLS = [
    ("7", 'a "quoted", text', "x\x85\u2028\r y", ""),
    ("8", " ", '"', "é\ufeff\\u"),
]


class TestWriting:
    @pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
    def test_round_trip(self, tmp_path, kind):
        path = tmp_path / f"t.{kind}"
        header = ("index", "a", "b\u2028", "label")
        cells = CELLS
        if kind != "tsv":
            cells = [*CELLS, ("9", "tab\tand\nline\r\nends", "\r", "\r\n")]
        columns = Columns(first="a", second="b\u2028", label=-1, index="index")
        write_rows(path, cells, header)
        rows = read(path, columns)
        assert [row.cells for row in rows] == cells
        assert rows[0].first == cells[0][1]
        assert read_header(path, columns) == header
        # What was read is written as the same file.
        again = tmp_path / "again"
        write_rows(again, (row.cells for row in rows), header, kind)
        assert again.read_bytes() == path.read_bytes()

    @pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
    def test_round_trip_of_any_text(self, tmp_path, kind):
        rng = random.Random(0)
        characters = "ab\"',\\\x00\x1c\x85\u2028\ufeff é中😀"
        if kind != "tsv":
            characters += "\t\n\r"
        cells = [
            tuple(
                "".join(rng.choices(characters, k=rng.randrange(6)))
                for _ in range(3)
            )
            for _ in range(500)
        ]
        path = tmp_path / f"t.{kind}"
        write_rows(path, cells, ("a", "b", "c"))
        rows = read(path, Columns(first="a"))
        assert [row.cells for row in rows] == cells

    @pytest.mark.parametrize("kind", ["tsv", "csv"])
    def test_round_trip_without_header(self, tmp_path, kind):
        path = tmp_path / f"t.{kind}"
        columns = Columns(first=1, has_header=False)
        write_rows(path, CELLS)
        assert [row.cells for row in read(path, columns)] == CELLS
        assert read_header(path, columns) is None

    @pytest.mark.parametrize("kind", ["tsv", "csv"])
    def test_empty_sentences_alone(self, tmp_path, kind):
        path = tmp_path / f"t.{kind}"
        write_rows(path, [("x",), ("",), ("y",)], ("sentence",))
        rows = read(path, Columns(first="sentence"))
        assert [row.first for row in rows] == ["x", "", "y"]

    @pytest.mark.parametrize("cell", ["a\tb", "a\nb", "b\r", "a\r\n"])
    def test_tsv_refuses_what_would_break_lines(self, tmp_path, cell):
        path = tmp_path / "t.tsv"
        with pytest.raises(ValueError, match=r"t\.tsv: row 2 has a tab or"):
            write_rows(path, [("1", "x"), ("2", cell)])
        with pytest.raises(ValueError, match=r"t\.tsv: the header has a tab"):
            write_rows(path, [("1", "x")], ("a", cell))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("rows", "problem"),
        [
            ([], "no rows"),
            ([("a", "b"), ("a",)], "row 2 has 1 cell, expected 2"),
            ([()], "row 1 has 0 cells"),
        ],
    )
    @pytest.mark.parametrize("kind", ["tsv", "csv"])
    def test_refuses_uneven_rows(self, tmp_path, rows, problem, kind):
        path = tmp_path / f"t.{kind}"
        path.write_text("old")
        with pytest.raises(ValueError, match=problem):
            write_rows(path, rows)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("header", [None, (), ("a", "a")])
    def test_json_lines_need_names(self, tmp_path, header):
        with pytest.raises(ValueError, match="a name for each column"):
            write_rows(tmp_path / "t.jsonl", [("x", "y")], header)
