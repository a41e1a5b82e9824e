"""Parallel text: pairs, what is left out of them, and the published split."""

import json

import pytest

from tfdistill.text.parallel_text import (
    Cleaning,
    Pair,
    clean_pairs,
    read_pair_table,
    read_pairs,
    split_off,
)


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def test_shards_are_one_file(tmp_path):
    sources = [
        write(tmp_path / "a", "ein\u2028 Hund", ""),
        write(tmp_path / "b", "c"),
    ]
    targets = write(tmp_path / "t", "a  dog ", "x", "y")
    assert read_pairs(",".join(sources), targets) == [
        Pair(0, "ein Hund", "a dog"),
        Pair(1, "", "x"),
        Pair(2, "c", "y"),
    ]


def test_files_of_unequal_length_are_refused(tmp_path):
    a, b = write(tmp_path / "a", *"abc"), write(tmp_path / "b", *"ab")
    with pytest.raises(ValueError, match=r"has 3 lines, but .*b has 2"):
        read_pairs(a, b)


def test_bad_files_are_named(tmp_path):
    empty = write(tmp_path / "a")
    with pytest.raises(ValueError, match="a is empty"):
        read_pairs(empty, empty)
    (tmp_path / "bad").write_bytes(b"one\ntwo\n\xff\n")
    with pytest.raises(ValueError, match="bad is not UTF-8: line 3"):
        read_pairs(str(tmp_path / "bad"), empty)


def test_empty_sides_are_counted_and_numbers_stay():
    pairs = [Pair(0, "a", ""), Pair(1, "a", "b"), Pair(2, "", "b")]
    assert clean_pairs(pairs, Cleaning()) == ([pairs[1]], {"empty": 2})


def test_lengths_and_ratios():
    pairs = [
        Pair(0, "a b", "a b c"),
        Pair(1, "a b", "a b c d"),
        Pair(2, "a b c d e", "a b c d e"),
    ]
    cleaning = Cleaning(max_words=4, max_length_ratio=1.5)
    kept, skipped = clean_pairs(pairs, cleaning)
    assert kept == pairs[:1]
    assert skipped == {"uneven": 1, "long": 1}


def test_markup_of_talks():
    pairs = [
        Pair(0, "<url>x</url>", "<url>x</url>"),
        Pair(1, "<title>Ein Titel</title>", "<title>A title</title>"),
    ]
    kept, skipped = clean_pairs(pairs, Cleaning(strips_markup=True))
    assert kept == [Pair(1, "Ein Titel", "A title")]
    assert skipped == {"markup": 1}


def test_every_23rd_line_is_held_out():
    pairs = [Pair(i, "a", "b") for i in range(46)]
    train, held_out = split_off(pairs, 23)
    assert [pair.number + 1 for pair in held_out] == [23, 46]
    assert len(train) == 44


@pytest.mark.parametrize("names", [("de", "en"), ("0", "1")])
def test_tables(tmp_path, names):
    path = tmp_path / "train.tsv"
    head = ["de\ten"] if names[0] == "de" else []
    write(path, *head, "ein Hund\ta dog", "eine Katze\ta cat")
    assert read_pair_table(path, *names) == [
        Pair(0, "ein Hund", "a dog"),
        Pair(1, "eine Katze", "a cat"),
    ]


def test_json_lines(tmp_path):
    path = tmp_path / "train.jsonl"
    write(path, json.dumps({"document": "long text", "summary": "text"}))
    assert read_pair_table(path, "document", "summary") == [
        Pair(0, "long text", "text")
    ]
    with pytest.raises(ValueError, match="all have names"):
        read_pair_table(path, "0", "summary")
