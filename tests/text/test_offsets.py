"""Pieces know where they stand in the line as it was given."""

import random
import unicodedata

import numpy as np
import pytest
from model_folders import byte_pieces, roberta_vocabulary

from tfdistill.text.byte_pairs import BytePair, parse_merges
from tfdistill.text.offsets import LocatedPieces, characters_at, covering
from tfdistill.text.word_pieces import (
    WordPiece,
    normalize,
    normalize_with_places,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIAL, *"abcdei.,'日本ß", "cafe", "istanbul", "##s", "##ιας"]
MERGES = ["Ġ c", "Ġc a", "f e", "Ġ Ġ"]
# Accents of both kinds, letters that grow or shrink, spaces of all kinds,
# what is dropped, scripts without spaces, and marks in no canonical order.
ALPHABET = (
    "aB.é'日 \t\n\u00a0\u202f\u200b\u00ad\ufffd\x07İΣςßéçǅ한가"
    "\u0301\u0323\u0327\u302e\U0001d165😀\ufe0fﬁ²ö"
)

# In the order of `byte_pieces`: those that are visible come first.
_VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = [*_VISIBLE, *(b for b in range(256) if b not in _VISIBLE)]


@pytest.fixture(scope="module", params=["uncased", "cased", "bpe", "prefix"])
def tokenizer(request):
    if request.param in ("uncased", "cased"):
        return WordPiece(PIECES, do_lower_case=request.param == "uncased")
    return BytePair(
        roberta_vocabulary(MERGES),
        parse_merges(MERGES, "the test"),
        add_prefix_space=request.param == "prefix",
    )


@pytest.fixture(scope="module")
def lines():
    draw = random.Random(7)
    texts = ["", " ", "plain words, of ASCII.", "a" * 300 + " b"]
    texts += [
        "".join(draw.choices(ALPHABET, k=draw.randrange(1, 30)))
        for _ in range(400)
    ]
    return texts


def cuts(tokenizer, line):
    (pieces,) = tokenizer.tokenize_with_offsets([line])
    return [line[a:b] for a, b in zip(pieces.starts, pieces.ends, strict=True)]


def test_ids_are_those_without_offsets(tokenizer, lines):
    located = tokenizer.tokenize_with_offsets(lines)
    assert [x.ids for x in located] == tokenizer.tokenize(lines)
    assert tokenizer.tokenize_with_offsets([]) == []


def test_places_go_through_the_line(tokenizer, lines):
    found = tokenizer.tokenize_with_offsets(lines)
    for line, (ids, starts, ends) in zip(lines, found, strict=True):
        assert len(ids) == len(starts) == len(ends)
        assert all(
            0 <= a <= b <= len(line) for a, b in zip(starts, ends, strict=True)
        )
        if "\u302e" not in line and "\U0001d165" not in line:
            # These two may change their order when text is normalised.
            assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all()


def test_a_word_piece_is_cut_out_of_the_line(lines):
    """What is cut out becomes the very piece again."""
    checked = 0
    for lower in (True, False):
        tokenizer = WordPiece(PIECES, do_lower_case=lower)
        for line in lines:
            (found,) = tokenizer.tokenize_with_offsets([line])
            for number, a, b in zip(*found, strict=True):
                name = tokenizer.vocabulary[number]
                if not name.startswith(("##", "[")):
                    assert normalize(line[a:b], lower) == name
                    checked += 1
    assert checked > 1000


def test_all_that_is_visible_is_in_a_piece_of_bytes(lines):
    tokenizer = BytePair(
        roberta_vocabulary(MERGES), parse_merges(MERGES, "the test")
    )
    byte_of = dict(zip(byte_pieces(), BYTES, strict=True))
    for line in lines:
        (found,) = tokenizer.tokenize_with_offsets([line])
        covered = set()
        for number, a, b in zip(*found, strict=True):
            own = bytes(byte_of[c] for c in tokenizer.vocabulary[number])
            assert a == b or own.lstrip() in line[a:b].encode()
            covered |= set(range(a, b))
        visible = {i for i, c in enumerate(line) if not c.isspace()}
        assert covered == visible


# Lines and what is cut out for their pieces.
UNCASED = [
    ("Café, CAFÉ", ["Café", ",", "CAFÉ"]),
    # The accents are characters of their own.
    ("Cafe\u0301s b\u0301\u0323.", ["Cafe\u0301", "s", "b\u0301\u0323", "."]),
    # One letter becomes two, of which one is stripped.
    ("x İSTANBUL a", ["x", "İSTANBUL", "a"]),
    ("日本a\u200b b\u00ad.", ["日", "本", "a", "b", "."]),
    ("a\u200bb", ["a\u200bb"]),
    ("\u00a0a \t b\u202fc", ["a", "b", "c"]),
    ("qqqΣ qß", ["qqqΣ", "qß"]),
]


@pytest.mark.parametrize(("line", "expected"), UNCASED)
def test_word_pieces(line, expected):
    assert cuts(WordPiece(PIECES, do_lower_case=True), line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # A space is in the piece, but is not cut out with it.
        ("cafe cafe", ["c", "a", "fe", "ca", "fe"]),
        ("a  b", ["a", "", "", "b"]),
        (" a", ["", "a"]),
        # Three bytes of one character.
        ("日a", ["日", "日", "日", "a"]),
        ("a\n\n a ", ["a", "", "", "", "a", ""]),
    ],
)
def test_byte_pairs(line, expected):
    tokenizer = BytePair(
        roberta_vocabulary(MERGES), parse_merges(MERGES, "the test")
    )
    assert cuts(tokenizer, line) == expected


@pytest.mark.parametrize("lower", [True, False])
def test_normalized_text_is_the_same_with_places(lines, lower):
    for line in lines:
        text, starts, ends = normalize_with_places(line, lower)
        assert text == normalize(line, lower)
        assert len(text) == len(starts) == len(ends)
        for character, a, b in zip(text, starts, ends, strict=True):
            own = unicodedata.normalize("NFD", line[a].lower())
            assert not lower or character in own or line[a] == "Σ"
            assert a < b
            marks = map(unicodedata.category, line[a + 1 : b])
            assert set(marks) <= {"Mn"} and (lower or b == a + 1)


def test_characters_at():
    text = "aé日😀b"
    found = characters_at(text, np.array([0, 1, 3, 6, 10, 11]))
    assert found.tolist() == [0, 1, 2, 3, 4, 5]


def test_covering():
    pieces = LocatedPieces([7, 7, 7], np.array([0, 2, 5]), np.array([2, 4, 8]))
    assert covering(pieces, 0, 8) == (0, 2)
    assert covering(pieces, 1, 3) == (0, 1)
    assert covering(pieces, 2, 4) == (1, 1)
    assert covering(pieces, 4, 5) is None
    assert covering(pieces, 4, 6) == (2, 2)
