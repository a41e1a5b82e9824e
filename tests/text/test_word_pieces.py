"""WordPiece against BERT's own tests and its published code."""

import pytest

from tfdistill.text.word_pieces import WordPiece, normalize, read_vocabulary

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [
    *SPECIAL,
    *["want", "##want", "##ed", "wa", "un", "runn", "##ing", ","],
    *["ah", "博", "推", "zz", "a", "b", "$", "`", "##s"],
]


@pytest.fixture(scope="module")
def tokenizer():
    return WordPiece(PIECES, do_lower_case=True)


def pieces(tokenizer, text):
    return [tokenizer.vocabulary[i] for i in tokenizer.tokenize([text])[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UNwantéd,running", "un ##want ##ed , runn ##ing"),
        ("unwantedX running", "[UNK] runn ##ing"),
        ("ah博推zz", "ah 博 推 zz"),
        ("a\u00a0b", "a b"),
        ("a$b`a", "a $ b ` a"),
        ("a\u200b\ufffdhb", "[UNK]"),
        ("w\u200bant", "want"),
        ("w\x07ant", "want"),
        ("a" + "s" * 199, "a" + " ##s" * 199),
        ("a" + "s" * 200, "[UNK]"),
        ("", ""),
    ],
)
def test_pieces(tokenizer, text, expected):
    assert " ".join(pieces(tokenizer, text)) == expected


def test_lines_stay_apart(tokenizer):
    assert tokenizer.tokenize(["a", "", "b a"]) == [[17], [], [18, 17]]


def test_cased_text_keeps_case_and_accents():
    assert normalize("É\u200b", do_lower_case=False) == "É"
    assert normalize("É", do_lower_case=True) == "e"


def test_equals_the_published_code(tmp_path):
    """The peer is the tokenizer of the TensorFlow model garden."""
    from official.nlp.tools import tokenization

    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*PIECES, "e", "##e", "o", "##ος", "#", "."]))
    lines = [
        "Wanted: running; é É ê, ah-zz…",
        "χρόνος ς σ ΣΑΣ a.b.a",
        "naïve ½ ﬁ ａ ª İ ſ \u00ad soft",
        "a\tb\r a\u3000b \u2028 a",
        "[MASK] a [SEP] ##ed",
    ]
    ours = WordPiece(read_vocabulary(path), do_lower_case=True)
    theirs = tokenization.FullTokenizer(str(path), do_lower_case=True)
    for line in lines:
        expected = theirs.convert_tokens_to_ids(theirs.tokenize(line))
        assert ours.tokenize([line])[0] == expected, line


@pytest.mark.parametrize("missing", SPECIAL)
def test_missing_special_piece_is_named(missing):
    kept = [p for p in PIECES if p != missing]
    with pytest.raises(
        ValueError, match=rf"v\.txt lacks the piece .{missing[1:-1]}"
    ):
        WordPiece(kept, do_lower_case=True, source="v.txt")


def test_padding_must_be_the_first_piece():
    with pytest.raises(ValueError, match="must be its first piece"):
        WordPiece(PIECES[1:] + PIECES[:1], do_lower_case=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a\nb\na\n", "'a' twice"),
        (b"a\n\xff\n", "not UTF-8: byte 2"),
    ],
)
def test_bad_vocabulary_file(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_vocabulary(path)


@pytest.mark.parametrize(
    ("second", "length", "ids", "segments"),
    [
        (None, 9, [2, 7, 8, 9, 3], [0] * 5),
        (None, 4, [2, 7, 8, 3], [0] * 4),
        ([5, 6], 9, [2, 7, 8, 9, 3, 5, 6, 3], [0] * 5 + [1] * 3),
        ([5, 6], 6, [2, 7, 8, 3, 5, 3], [0] * 4 + [1] * 2),
        ([], 9, [2, 7, 8, 9, 3, 3], [0] * 5 + [1]),
    ],
)
def test_layout(tokenizer, second, length, ids, segments):
    assert tokenizer.join([7, 8, 9], second, length) == (ids, segments)


def test_no_room_for_special_pieces(tokenizer):
    with pytest.raises(ValueError, match="max_length is 1 too short"):
        tokenizer.join([7], None, 1)
    with pytest.raises(ValueError, match="max_length is 2 too short"):
        tokenizer.join([7], [8], 1)


def test_fingerprint_is_of_pieces_and_casing(tokenizer):
    """A fingerprint that changed would part models from their records."""
    assert tokenizer.fingerprint == (
        "af87f3001648c2f8f3ca6ec0121bd26a983bd8b48f57660cf12ec13013e331dc"
    )
    cased = WordPiece(PIECES, do_lower_case=False)
    other = WordPiece([*PIECES, "more"], do_lower_case=True)
    assert len({t.fingerprint for t in (tokenizer, cased, other)}) == 3
