"""Join marks: the source system's examples, and exact round trips."""

import pytest

from tfdistill.text.join_marks import JoinMarks, read_join_marks
from tfdistill.text.shared_pieces import (
    END_ID,
    SPECIAL,
    shared_vocabulary,
)
from tfdistill.text.word_pieces import WordPiece

TOY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *[
        "i",
        "'",
        "m",
        "play",
        "##ing",
        "##s",
        "r",
        "&",
        "d",
        "20",
        "year",
        "e",
        ".",
        "g",
        "the",
        "a",
        "b",
        "-",
        "@",
        "#",
        "u",
        "##nk",
        "n",
    ],
    *("<", ">", "|", "[", "]", '"', ",", "ä", "##x"),
]


def marks(vocabulary=(), *, moses=True, lower=False):
    return JoinMarks(
        vocabulary,
        WordPiece(TOY, do_lower_case=lower),
        is_moses_tokenized=moses,
    )


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("i &apos;m playing", "i ' @@m play @@##ing"),
        ("r &amp; d", "r & d"),
        ("20 @-@ years e.g. .", "20 @-@ year @@##s e @@. @@g @@. ."),
        ("UNK play UNK", "<unk> play <unk>"),
        ("&apos;&apos; i", "' @@' i"),
    ],
)
def test_moses_text_becomes_the_published_pieces(text, pieces):
    assert marks().split([text]) == [pieces.split()]
    assert marks().detokenize(pieces.split()) == text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ("i ' @@m 20 @-@ year @@##s", "i &apos;m 20 @-@ years"),
        ("a & b", "a &amp; b"),
        ("the r @@& @@d", "the r&amp;d"),
        # Models emit what no text becomes.
        ("@@##s play", "s play"),
        ("<s> i ##s </s> <blank>", "i s"),
    ],
)
def test_pieces_become_moses_text(pieces, text):
    assert marks().detokenize(pieces.split()) == text


def test_what_moses_would_have_escaped_is_refused():
    with pytest.raises(ValueError, match="'&#8211;' is not as Moses"):
        marks().split(["a &#8211; b"])


@pytest.mark.parametrize(
    "text",
    [
        "i'm playing, playings... & a-b",
        "@@ @@i # ##s <unk> UNK [] a|b",
        "  play   the  year ",
        "ä[MASK]",
    ],
)
def test_raw_text_comes_back(text):
    # Every character has a piece, so nothing but extra spaces is lost.
    known = [*TOY, *"MASKUNs", *(f"##{c}" for c in "MASKUNk")]
    tokenizer = JoinMarks(
        (), WordPiece(known, do_lower_case=False), is_moses_tokenized=False
    )
    pieces = tokenizer.split([text])[0]
    assert tokenizer.detokenize(pieces) == " ".join(text.split())


def test_what_word_pieces_cannot_spell_stands_as_itself():
    tokenizer = marks(moses=False)
    text = "play猫 3☂️s 猫ing"
    pieces = tokenizer.split([text])[0]
    assert tokenizer.detokenize(pieces) == text
    assert "猫" in pieces and "[UNK]" not in pieces
    learnt = marks(shared_vocabulary([["play", "@@猫"]]), moses=False)
    assert learnt.ids(["play", "@@猫", "猫"]) == [5, 4, 0]


def test_vocabularies_are_by_frequency_and_whole_eights():
    made = shared_vocabulary([["b", "a", "<unk>"], ["b", "@@c", "a", "b"]])
    assert made == [
        *SPECIAL,
        *("b", "a", "@@c", "averyunlikelytoken0"),
    ]
    assert SPECIAL == ("<unk>", "<blank>", "<s>", "</s>")
    assert END_ID == 3


def test_ids_and_files(tmp_path):
    vocabulary = shared_vocabulary(marks().split(["i &apos;m playing"]))
    tokenizer = marks(vocabulary)
    assert tokenizer.tokenize(["i play the"]) == [
        [vocabulary.index("i"), vocabulary.index("play"), 0]
    ]
    for name, content in tokenizer.files().items():
        (tmp_path / name).write_bytes(content)
    again = read_join_marks(
        tmp_path / "pieces.txt", do_lower_case=False, is_moses_tokenized=True
    )
    assert again.fingerprint == tokenizer.fingerprint
    assert again.fingerprint != marks(vocabulary, moses=False).fingerprint
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(ValueError, match="beside it"):
        read_join_marks(
            tmp_path / "pieces.txt",
            do_lower_case=False,
            is_moses_tokenized=True,
        )


def test_what_bert_calls_a_piece():
    tokenizer = marks()
    assert [tokenizer.word_piece(p) for p in ("@@##s", "@@.", "i", "@-@")] == [
        *("##s", ".", "i", "-")
    ]
