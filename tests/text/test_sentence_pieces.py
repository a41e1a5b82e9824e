"""SentencePiece models: round trips, special pieces, bad files."""

import pytest

from tfdistill.text.sentence_pieces import (
    SentencePieces,
    learn_sentence_pieces,
    read_sentence_pieces,
)
from tfdistill.text.shared_pieces import SPECIAL

LINES = [f"der Hund {i} bellt, die Katze schläft." for i in range(60)]


@pytest.fixture(scope="module")
def model():
    return learn_sentence_pieces(LINES, 60)


def test_text_comes_back(model):
    tokenizer = SentencePieces(model, do_lower_case=False)
    assert tokenizer.vocabulary[:4] == SPECIAL
    for line in ["die Katze 17, der Hund.", "Hund-Katze", "schläft  Katze"]:
        pieces = tokenizer.split([line])[0]
        assert tokenizer.detokenize(pieces) == " ".join(line.split())
    assert tokenizer.tokenize(["Q"])[0][-1] == 0
    assert tokenizer.detokenize(["<s>", "▁die", "Q", "</s>"]) == "dieQ"
    assert tokenizer.word_piece("▁die") == "die"
    assert tokenizer.word_piece("e") == "##e"
    assert tokenizer.split([]) == []


def test_accents_stay_in_lower_case(model):
    tokenizer = SentencePieces(model, do_lower_case=True)
    pieces = tokenizer.split(["Die KATZE schläft"])[0]
    assert tokenizer.detokenize(pieces) == "die katze schläft"


def test_long_lines_are_learnt_from():
    long = "q " * 4000
    pieces = SentencePieces(
        learn_sentence_pieces([*LINES, long], 60), do_lower_case=False
    )
    assert "q" in pieces.vocabulary or "▁q" in pieces.vocabulary
    learn_sentence_pieces([" ".join(LINES) * 4] * 3, 60)


def test_the_same_text_gives_the_same_model(model):
    assert learn_sentence_pieces(LINES, 60) == model


def test_casing_is_of_the_fingerprint(model, tmp_path):
    path = tmp_path / "pieces.model"
    path.write_bytes(model)
    upper = read_sentence_pieces(path, do_lower_case=False)
    lower = read_sentence_pieces(path, do_lower_case=True)
    assert upper.fingerprint != lower.fingerprint
    assert lower.split(["HUND"]) == upper.split(["hund"])


def test_bad_models_are_refused(model, tmp_path):
    path = tmp_path / "pieces.model"
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"pieces\.model is no Sentence"):
        read_sentence_pieces(path, do_lower_case=True)
    with pytest.raises(ValueError, match="No SentencePiece model of 8"):
        learn_sentence_pieces(LINES, 8)
