"""Text becomes whole words as BERT splits it."""

import random

import pytest

from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece
from tfdistill.text.words import (
    RESERVED,
    Words,
    WordSplitter,
    count_words,
    read_words,
    word_vocabulary,
)


@pytest.fixture(scope="module")
def words():
    vocabulary = [*RESERVED, "film", "the", "cafe", "[SEP]"]
    return Words(vocabulary, do_lower_case=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("I [MASK] the Comedy !", "i [MASK] the comedy !"),
        ("it's a café.", "it ' s a cafe ."),
        # Special pieces stay whole alone and as they are spelt only.
        ("[mask]", "[ mask ]"),
        ("[MASK].", "[ mask ] ."),
        ("a[SEP]b", "a [ sep ] b"),
        ("[UNK] [SEP]\t[PAD]\n[CLS] [MASK]", "[UNK] [SEP] [PAD] [CLS] [MASK]"),
        ("中文 x", "中 文 x"),
        ("a\u00a0b\x01c\u200bd", "a bcd"),
        (" \t\u200b", ""),
    ],
)
def test_splitting(line, expected):
    (found,) = WordSplitter(do_lower_case=True).split([line])
    assert found == expected.split()


def test_case_and_accents_are_kept():
    (found,) = WordSplitter(do_lower_case=False).split(["Café [MASK] IT'S"])
    assert found == ["Café", "[MASK]", "IT", "'", "S"]


def test_vocabulary_is_ordered_by_count_then_alphabet():
    lines = ["b a b c", "[MASK] c [UNK] b", "A [SEP]"]
    counts = count_words(iter(lines), do_lower_case=True)
    assert counts == {
        **{"a": 2, "b": 3, "c": 2},
        **dict.fromkeys(("[MASK]", "[UNK]", "[SEP]"), 1),
    }
    expected = [*RESERVED, "b", "a", "c", "[SEP]"]
    assert word_vocabulary(counts) == expected
    assert word_vocabulary(dict(reversed(counts.items()))) == expected
    assert word_vocabulary(counts, min_count=3) == [*RESERVED, "b"]


def test_what_is_not_known_is_a_word_of_its_own(words):
    found = words.tokenize(["The [MASK] film", "gone [SEP] [CLS]", ""])
    assert found == [[4, 2, 3], [1, 6, 1], []]


def test_casing_counts(words):
    cased = Words(words.vocabulary, do_lower_case=False)
    assert cased.tokenize(["The café"]) == [[1, 1]]
    assert words.tokenize(["The café"]) == [[4, 5]]
    assert cased.fingerprint != words.fingerprint


@pytest.mark.parametrize(
    ("lengths", "limit", "kept"),
    [
        ((5, 5), 7, (4, 3)),
        ((6, 2), 5, (3, 2)),
        ((2, 6), 5, (2, 3)),
        ((3, 3), 5, (3, 2)),
        ((2, 0), 5, (2, 0)),
        ((9, None), 4, (4, 0)),
    ],
)
def test_sentences_are_joined_and_cut_at_their_ends(
    words, lengths, limit, kept
):
    first = list(range(10, 10 + lengths[0]))
    second = lengths[1] and list(range(30, 30 + lengths[1]))
    if lengths[1] == 0:
        second = []
    ids, segments = words.join(first, second, limit)
    assert ids == [*first[: kept[0]], *(second or [])[: kept[1]]]
    assert segments == [0] * kept[0] + [1] * kept[1]


def test_files_are_read_back(words, tmp_path):
    (name,) = words.files()
    (tmp_path / name).write_bytes(words.files()[name])
    for path in (tmp_path, tmp_path / name):
        again = read_words(path, {"do_lower_case": True, "more": 1})
        assert again.vocabulary == words.vocabulary
        assert again.fingerprint == words.fingerprint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("the\nfilm\n", r"does not begin with \[PAD\], \[UNK\], \[MASK\]"),
        ("[PAD]\n[UNK]\n[MASK]\na\na\n", "holds the piece 'a' twice"),
        ("", "is empty"),
    ],
)
def test_other_files_are_refused(tmp_path, content, says):
    path = tmp_path / "words.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=says) as error:
        read_words(path, {})
    assert str(path) in str(error.value)


def test_no_word_is_without_a_piece(words):
    """Of WordPiece: examples never have more words than tokens."""
    pieces = WordPiece([*SPECIAL_PIECES, "a", "##b"], do_lower_case=True)
    rng = random.Random(1)
    signs = "ab'.-é中\u0301\u00ad\u2028 \t[]MASK"
    lines = ["".join(rng.choices(signs, k=12)) for _ in range(400)]
    lines += ["[MASK]", "a [UNK] [SEP] b"]
    ours, theirs = words.tokenize(lines), pieces.tokenize(lines)
    for line, one, other in zip(lines, ours, theirs, strict=True):
        assert len(one) <= len(other), repr(line)
    assert max(map(len, ours)) > 8
