"""Vocabularies that were harmed, of every kind."""

import json

import pytest
import sentencepiece
from hostile import cases, harmed, hostile_reading, retyped
from model_folders import roberta_vocabulary

from tfdistill.text.join_marks import PIECES
from tfdistill.text.sentence_pieces import MODEL, learn_sentence_pieces
from tfdistill.text.tokenizer import read_pieces, read_tokenizer
from tfdistill.text.word_pieces import SPECIAL_PIECES
from tfdistill.text.words import read_words

PIECES_OF_BERT = [*SPECIAL_PIECES, "the", "##s", "é", "\u2028", "a", "b", "##c"]
WORDS = (b"[PAD]", b"[MASK]\n", b"##", b"the\n", b"\xc2\x85", b"Aa", b"1e3")
MERGES = ["h e", "Ġ t", "Ġt he"]


def lines(data):
    text = data.decode().removesuffix("\n")
    return [line.removesuffix("\r") for line in text.split("\n")]


def test_word_pieces(tmp_path):
    path = tmp_path / "vocab.txt"
    good = "".join(f"{piece}\n" for piece in PIECES_OF_BERT).encode()
    with hostile_reading() as found:
        for draw in cases("word pieces", 3000):
            data = harmed(good, draw, WORDS)
            path.write_bytes(data)
            made = found.of(path, read_tokenizer, path, {})
            if made is None:
                continue
            assert list(made.vocabulary) == lines(data)
            assert len(set(made.vocabulary)) == len(made.vocabulary)
            assert made.vocabulary[made.mask_id] == "[MASK]"
            if found.read % 20 == 0:
                (ids,) = made.tokenize(["the cs é " * 3])
                assert all(0 <= i < len(made.vocabulary) for i in ids)
    assert found.read > 200 and found.refused > 200


@pytest.mark.parametrize("harms", ["bytes", "types"])
def test_byte_pairs(tmp_path, harms):
    path = tmp_path / "vocab.json"
    pieces = roberta_vocabulary(MERGES)
    ids = {piece: i for i, piece in enumerate(pieces)}
    merges = "\n".join(["#version: 0.2", *MERGES, ""]).encode()
    with hostile_reading() as found:
        for draw in cases(f"byte pairs {harms}", 1000):
            given = ids if harms == "bytes" else retyped(ids, draw)
            content = json.dumps(given).encode()
            lists = merges
            if harms == "bytes" and draw.random() < 0.5:
                content = harmed(content, draw, WORDS)
            elif harms == "bytes":
                lists = harmed(merges, draw, ("Ġ".encode(), b"he t"))
            path.write_bytes(content)
            path.with_name("merges.txt").write_bytes(lists)
            made = found.of(tmp_path, read_tokenizer, path, {})
            if made is None:
                continue
            right = json.loads(content)
            assert {p: i for i, p in enumerate(made.vocabulary)} == right
            assert [" ".join(m) for m in made.merges] == [
                x for x in lines(lists) if x and not x.startswith("#version")
            ]
            if found.read % 10 == 0:
                (encoded,) = made.tokenize(["the thé hé"])
                assert all(0 <= i < len(right) for i in encoded)
    assert found.read > 10 and found.refused > 200


def test_words(tmp_path):
    path = tmp_path / "words.txt"
    good = "[PAD]\n[UNK]\n[MASK]\nthe\nfilm\nété\n".encode()
    with hostile_reading() as found:
        for draw in cases("words", 2000):
            data = harmed(good, draw, WORDS)
            path.write_bytes(data)
            made = found.of(path, read_words, tmp_path, {"do_lower_case": True})
            if made is not None:
                assert list(made.vocabulary) == lines(data)
    assert found.read > 100 and found.refused > 200


@pytest.mark.parametrize("name", [PIECES, "vocab.txt"])
def test_pieces_with_join_marks(tmp_path, name):
    from tfdistill.text.shared_pieces import SPECIAL

    texts = {
        "vocab.txt": "".join(f"{p}\n" for p in PIECES_OF_BERT),
        PIECES: "".join(f"{p}\n" for p in [*SPECIAL, "the", "##s", "a", "b"]),
    }
    with hostile_reading() as found:
        for draw in cases(f"join marks {name}", 1500):
            for file, text in texts.items():
                (tmp_path / file).write_text(text, "utf-8")
            data = harmed(texts[name].encode(), draw, WORDS)
            (tmp_path / name).write_bytes(data)
            made = found.of(tmp_path, read_pieces, tmp_path, {})
            if made is not None and name == PIECES:
                assert list(made.vocabulary) == lines(data)
    assert found.read > 50 and found.refused > 100


def test_sentence_pieces(tmp_path):
    path = tmp_path / MODEL
    texts = ["the film was fine", "a very fine film", "so grim was the film"]
    good = learn_sentence_pieces(texts, 40)
    with hostile_reading() as found:
        for draw in cases("sentence pieces", 2000):
            data = harmed(good, draw)
            path.write_bytes(data)
            made = found.of(path, read_pieces, path, {})
            if made is None:
                continue
            again = sentencepiece.SentencePieceProcessor(model_proto=data)
            assert len(made.vocabulary) == again.GetPieceSize()
            (ids,) = made.tokenize(["the film"])
            assert all(0 <= i < len(made.vocabulary) for i in ids)
    assert found.read > 50 and found.refused > 200
