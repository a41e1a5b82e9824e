"""The tokenizer of the graph beside that of Python, on odd texts."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.exporting.text_graph import tokenize_in_graph
from tfdistill.text.word_pieces import WordPiece

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY += ["the", "film", "##s", "naive", "naïve", "σας", "σα", "##ς"]
VOCABULARY += ["The", "Film", "don", "'", "t", "!", "a", "中", "文", "[", "]"]
VOCABULARY += ["mask", "strasse", "straße", "##σ", "i", "##̇"]
ODD = [
    "the films",
    "The FILM",
    "naïve NAÏVE nai\u0308ve",
    "ΣΑΣ σασ",
    "don't!!",
    "a\u200bb \x00the\x07 film\ufffd",
    "the\tfilm\r\na",
    "",
    " \u00a0\u3000 ",
    "中文the",
    "[MASK] [SEP]",
    "Straße STRASSE",
    "İi",
    "e\u0301\u0327 ﬁlm",
    "a" * 300,
    "😀 the 👩‍👩‍👧",
    "the " * 50,
]


def both(tokenizer, columns, length):
    """Features by the graph, and rows of ids and segments by Python."""
    graph = tf.function(lambda *x: tokenize_in_graph(tokenizer, x, length))
    found = graph(*(tf.constant(column) for column in columns))
    tokens = [tokenizer.tokenize(column) for column in columns]
    seconds = tokens[1] if len(columns) > 1 else [None] * len(columns[0])
    expected = [
        tokenizer.join(first, second, length)
        for first, second in zip(tokens[0], seconds, strict=True)
    ]
    return {n: x.numpy() for n, x in found.items()}, expected


def assert_same(found, expected):
    longest = max(len(ids) for ids, _ in expected)
    assert found["input_ids"].shape == (len(expected), longest)
    for i, (ids, segments) in enumerate(expected):
        padding = [0] * (longest - len(ids))
        assert found["input_ids"][i].tolist() == ids + padding, i
        assert found["segment_ids"][i].tolist() == segments + padding, i
        assert found["input_mask"][i].sum() == len(ids), i
        assert (np.diff(found["input_mask"][i]) <= 0).all()
    assert {x.dtype for x in found.values()} == {np.dtype(np.int32)}


@pytest.mark.parametrize("is_uncased", [True, False])
def test_single_sentences(is_uncased):
    tokenizer = WordPiece(VOCABULARY, do_lower_case=is_uncased)
    assert_same(*both(tokenizer, [ODD], 16))


@pytest.mark.parametrize("length", [5, 8, 9, 24])
def test_pairs_are_cut_alike(length):
    tokenizer = WordPiece(VOCABULARY, do_lower_case=True)
    firsts = [x for x in ODD for _ in ODD]
    seconds = ODD * len(ODD)
    assert_same(*both(tokenizer, [firsts, seconds], length))


def test_one_example_is_enough():
    tokenizer = WordPiece(VOCABULARY, do_lower_case=True)
    assert_same(*both(tokenizer, [[""]], 4))
