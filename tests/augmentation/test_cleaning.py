"""T7: which samples are kept, and in which form."""

import pytest

from tfdistill.augmentation.cleaning import Left, cleaned, distinct
from tfdistill.text.causal import END_OF_TEXT, CausalBytePair, CausalWords

WORDS = CausalWords(["<eos>", "<unk>", "a", "b", "c", "d"])


def ids(text):
    return [WORDS.vocabulary.index(word) for word in text.split()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b <eos> c d <eos>", ("a b", "c d")),
        ("a b <eos> <eos>", None),
        ("a <eos> b <eos> c <eos>", None),
        ("<eos> a <eos>", None),
    ],
)
def test_pairs_of_words(text, expected):
    assert cleaned(WORDS.decode(ids(text)), 2) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("a b <eos>", ("a b",)), ("<eos>", None)]
)
def test_sentences_of_words(text, expected):
    assert cleaned(WORDS.decode(ids(text)), 1) == expected


def test_pairs_of_byte_pairs():
    pieces = [*"abĠĉ", "é", END_OF_TEXT]
    text = CausalBytePair(pieces, [])
    found = [pieces.index(c) for c in "aĠĉĠb"] + [text.end_id, 0]
    assert cleaned(text.decode(found), 2) == ("a", "b")
    # A byte that begins a letter which does not go on.
    assert cleaned(text.decode([0, pieces.index("é"), 1]), 1) is None


def test_spaces_are_single():
    assert cleaned(" a  b \n", 1) == ("a b",)
    assert cleaned("a\tb", 1) is None
    assert cleaned("a", 2) is None


def test_nothing_is_kept_twice_or_as_it_was_given():
    left = Left()
    texts = ["a b", None, "a  c", "a c", "", "d", "a c "]
    found = list(distinct(texts, [("a  b",), ("b",)], left))
    assert found == [("a c",), ("d",)]
    assert left == Left(samples=7, unfinished=1, malformed=1, repeated=3)
