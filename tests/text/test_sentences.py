"""Paragraphs are split into clean sentences."""

import time

import pytest

from tfdistill.text.sentences import split_sentences


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("One here. Two there!", ["One here.", "Two there!"]),
        ("Dr. Smith came\n at  5\u00a0p.m.", ["Dr. Smith came at 5 p.m."]),
        (". Moreover, it is.", ["Moreover, it is."]),
        ("你好。我是人。", ["你好。", "我是人。"]),
        ("Bad \ud800 half.", ["Bad \ufffd half."]),
        ("", []),
        ("12 + 3 = 15", []),
    ],
)
def test_split_sentences(paragraph: str, expected: list[str]) -> None:
    assert [s for s in split_sentences(paragraph)] == expected


def test_long_brackets_are_not_cut() -> None:
    text = (
        "The word (from the Greek, meaning i.e. without rulers at all. It "
        "is old, and one of many in use) is used."
    )
    assert list(split_sentences(text)) == [text]


def test_long_paragraph_takes_little_time() -> None:
    started = time.monotonic()
    assert len(list(split_sentences("word, " * 50_000))) == 1
    assert time.monotonic() - started < 10
