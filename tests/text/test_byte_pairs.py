"""Byte-level BPE against pieces by hand and the published algorithm.

The pieces by hand equal those of Hugging Face's RobertaTokenizerFast.
"""

import itertools
import json
import random

import pytest
import regex
from model_folders import byte_pieces, roberta_vocabulary, write_byte_pairs

from tfdistill.text.byte_pairs import BytePair, in_order, parse_merges
from tfdistill.text.tokenizer import read_tokenizer

MERGES = [
    "h e",
    "Ġ t",
    "Ġt he",
    "l l",
    "o r",
    "Ġ w",
    "Ġw or",
    "1 2",
    "' t",
    "n '",
    "' l",
    "Ã ©",
    "Ġ Ġ",
    "r e",
]
PIECES = roberta_vocabulary(MERGES)
# As in GPT-2's encoder.py.
PATTERN = regex.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+"
)


@pytest.fixture(scope="module")
def tokenizer():
    return BytePair(PIECES, parse_merges(MERGES, "the test"))


def pieces(tokenizer, text):
    return [tokenizer.vocabulary[i] for i in tokenizer.tokenize([text])[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A space belongs to the word after it, and only to it.
        ("the the", "t he Ġthe"),
        (" the", "Ġthe"),
        ("the  the ", "t he Ġ Ġthe Ġ"),
        ("the   the", "t he ĠĠ Ġthe"),
        ("the\tthe", "t he ĉ t he"),
        ("the\n the", "t he Ċ Ġthe"),
        # Contractions are cut off in front of the apostrophe.
        ("don't", "d o n 't"),
        ("we'll, I'm 're", "w e ' ll , Ġ I ' m Ġ ' re"),
        ("DON'T", "D O N ' T"),
        # Letters, digits and everything else part.
        ("w12.3the", "w 12 . 3 t he"),
        ("the... $12", "t he . . . Ġ $ 12"),
        # Bytes of characters beyond ASCII.
        ("é hé", "Ã© Ġ h Ã©"),
        ("½²", "Â ½ Â ²"),
        ("a\u00a0the", "a Â ł t he"),
        ("博", "å į ļ"),
        ("\u200b", "â Ģ ĭ"),
        ("e\u0301", "e Ì ģ"),
        ("😀", "ð Ł ĺ Ģ"),
        ("\x00", "Ā"),
        # Special pieces do not come out of text.
        ("<mask>", "< m a s k >"),
        ("the</s>", "t he < / s >"),
        ("", ""),
    ],
)
def test_pieces(tokenizer, text, expected):
    assert " ".join(pieces(tokenizer, text)) == expected


def test_golden_ids(tokenizer):
    """The first ids are special, the next those of bytes."""
    lines = ["the word", "12 é", ""]
    assert tokenizer.tokenize(lines) == [
        [87, 260, 266, 71],
        [267, 224, 271],
        [],
    ]
    assert tokenizer.tokenize([]) == []
    assert (tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (
        0,
        2,
        274,
    )


def encode_as_published(text):
    """As `Encoder.bpe` of GPT-2's encoder.py."""
    characters = byte_characters()
    ranks = {tuple(merge.split()): i for i, merge in enumerate(MERGES)}
    encoded = []
    for word in PATTERN.findall(text):
        parts = [characters[byte] for byte in word.encode()]
        while len(parts) > 1:
            pairs = set(itertools.pairwise(parts))
            best = min(pairs, key=lambda pair: ranks.get(pair, 1e9))
            if best not in ranks:
                break
            merged, i = [], 0
            while i < len(parts):
                if tuple(parts[i : i + 2]) == best:
                    merged.append("".join(best))
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            parts = merged
        encoded += parts
    return encoded


def byte_characters():
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = [*visible, *(b for b in range(256) if b not in visible)]
    return dict(zip(order, byte_pieces(), strict=True))


def test_equals_the_published_algorithm(tokenizer):
    rng = random.Random(3)
    alphabet = "  \t\n'thellwordre12nsdm.é½²博\u00a0\u3000\u2028😀١_"
    for _ in range(500):
        text = "".join(rng.choices(alphabet, k=rng.randint(1, 20)))
        assert pieces(tokenizer, text) == encode_as_published(text), repr(text)


def test_prefix_space():
    prefixing = BytePair(
        PIECES, parse_merges(MERGES, "the test"), add_prefix_space=True
    )
    assert pieces(prefixing, "the the") == ["Ġthe", "Ġthe"]
    assert pieces(prefixing, " the") == ["Ġthe"]


@pytest.mark.parametrize(
    ("second", "length", "ids"),
    [
        (None, 9, [0, 7, 8, 9, 2]),
        (None, 4, [0, 7, 8, 2]),
        ([5, 6], 9, [0, 7, 8, 9, 2, 2, 5, 6, 2]),
        ([5, 6], 8, [0, 7, 8, 2, 2, 5, 6, 2]),
        ([5, 6], 7, [0, 7, 8, 2, 2, 5, 2]),
        ([], 9, [0, 7, 8, 9, 2, 2, 2]),
    ],
)
def test_layout(tokenizer, second, length, ids):
    assert tokenizer.join([7, 8, 9], second, length) == (ids, [0] * len(ids))


def test_no_room_for_special_pieces(tokenizer):
    with pytest.raises(ValueError, match="max_length is 1 too short"):
        tokenizer.join([7], [8], 3)


def test_words_begin_with_a_space(tokenizer):
    continuing = {
        piece
        for piece, continues in zip(
            tokenizer.vocabulary, tokenizer.continues_word, strict=True
        )
        if continues
    }
    assert {"he", "e", "12", "'t", "Ã©"} <= continuing
    assert continuing.isdisjoint(
        {"Ġ", "Ġthe", "<s>", "</s>", "<pad>", "<unk>", "<mask>"}
    )


@pytest.mark.parametrize("prefixes", [False, True])
def test_files_make_the_same_tokenizer(tmp_path, prefixes):
    made = BytePair(
        PIECES, parse_merges(MERGES, "the test"), add_prefix_space=prefixes
    )
    for name, content in made.files().items():
        (tmp_path / name).write_bytes(content)
    for path in (tmp_path, tmp_path / "vocab.json"):
        read = read_tokenizer(path, made.settings)
        assert read.fingerprint == made.fingerprint
        assert read.tokenize(["the é"]) == made.tokenize(["the é"])


def test_fingerprint_is_of_all_that_changes_ids(tokenizer):
    merges = parse_merges(MERGES, "the test")
    others = [
        BytePair([*PIECES, "more"], merges),
        BytePair(PIECES, merges[:-1]),
        BytePair(PIECES, merges, add_prefix_space=True),
        tokenizer,
    ]
    assert len({t.fingerprint for t in others}) == 4


@pytest.mark.parametrize("missing", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
def test_missing_special_piece_is_named(missing):
    kept = [p for p in PIECES if p != missing]
    with pytest.raises(ValueError, match=f"v.json lacks the piece {missing}"):
        BytePair(kept, [], source="v.json")


def test_missing_piece_of_a_merge_is_named():
    for merge in ("t zz", "zz t", "t x"):
        with pytest.raises(ValueError, match=f"of the merge '{merge}'"):
            BytePair(PIECES, [tuple(merge.split())])


def test_ids_with_gaps():
    with pytest.raises(ValueError, match=r"ids of its 2 .* not 0 to 1"):
        in_order({"a": 0, "b": 2}, "v.json")
    with pytest.raises(ValueError, match=r"ids of its 2 .* not 0 to 1"):
        in_order({"a": "0", "b": "1"}, "v.json")
    assert in_order({"a": 1, "b": 0}, "v.json") == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("merges.txt", b"#version: 0.2\nh e\nh\n", "'h' is no merge of two"),
        ("merges.txt", b"h e l\n", "'h e l' is no merge of two"),
        ("merges.txt", b"h \xff\n", "merges.txt is not UTF-8: byte 2"),
        ("vocab.json", b'["a"]', "vocab.json holds a JSON list"),
        ("vocab.json", json.dumps({"a": 1}).encode(), "ids of its 1 pieces"),
    ],
)
def test_bad_file(tmp_path, name, content, message):
    write_byte_pairs(tmp_path, PIECES, MERGES)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_tokenizer(tmp_path, {})
    assert name in str(caught.value)


def test_absent_merges(tmp_path):
    write_byte_pairs(tmp_path, PIECES, MERGES)
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(OSError, match=r"merges\.txt"):
        read_tokenizer(tmp_path, {})


def test_lines_of_merges_end_at_newlines_only(tmp_path):
    """Pieces of bytes may look like other line separators."""
    merges = ["Â ħ", "h e"]
    write_byte_pairs(tmp_path, roberta_vocabulary(merges), merges)
    text = (tmp_path / "merges.txt").read_text("utf-8")
    (tmp_path / "merges.txt").write_bytes(text.replace("\n", "\r\n").encode())
    read = read_tokenizer(tmp_path, {})
    assert read.merges == (("Â", "ħ"), ("h", "e"))
