"""Text to the ids of language models and back: T3, T4 and T9."""

import json

import pytest

from tfdistill.text.causal import (
    END,
    END_OF_TEXT,
    SEPARATOR,
    UNKNOWN,
    CausalBytePair,
    CausalWords,
    count_words,
    learn_byte_pairs,
    learn_words,
    num_given,
    read_causal_tokenizer,
)

# The ids of GPT-2 for a space and a tab; the pieces between are of no use.
GPT2 = [*"abcd", *(f"x{i}" for i in range(193)), "ĉ"]
GPT2 += [f"y{i}" for i in range(220 - len(GPT2))] + ["Ġ", END_OF_TEXT]


def test_ids_of_gpt2():
    text = CausalBytePair(GPT2, [])
    end = GPT2.index(END_OF_TEXT)
    assert text.encode([("ab",), ("abcd",)]) == [[0, 1, end], [0, 1, 2, 3, end]]
    # The tab between spaces: 220 197 220.
    assert text.encode([("a", "b")]) == [[0, 220, 197, 220, 1, end]]
    assert text.decode([0, 220, 197, 220, 1, end, 3]) == "a \t b"
    assert text.ends(1) == text.ends(2) == 1


def test_ids_of_words():
    text = CausalWords([END, UNKNOWN, "a", "b", "c"])
    assert text.encode([("a", "b"), ("a b c a b",)]) == [
        [2, 0, 3, 0],
        [2, 3, 4, 2, 3, 0],
    ]
    assert text.encode([("a A",)]) == [[2, 1, 0]]
    assert text.decode([2, 0, 3, 0]) == "a \t b"
    assert text.ends(1) == 1 and text.ends(2) == 2
    assert text.never_ids == (1,)
    # The word that an end is written as is none.
    assert text.encode([("a <eos>", "b")]) == [[2, 1, 0, 3, 0]]
    pair = [2, 3, 0, 3, 0]
    assert num_given(text, pair) == 1
    text = CausalWords(text.vocabulary, is_conditional=True)
    assert text.encode([("a b", "b")]) == [pair]
    assert num_given(text, pair) == 3


def test_ids_of_a_conditional_gpt2():
    """The second half of T3."""
    text = CausalBytePair(GPT2, [], is_conditional=True)
    end = GPT2.index(END_OF_TEXT)
    pair, other = text.encode([("a", "b"), ("ab", "cd")])
    assert pair == [0, end, 220, 1, end]
    assert other == [0, 1, end, 220, 2, 3, end]
    assert num_given(text, pair) == 2 and num_given(text, other) == 3
    assert text.decode(pair) == text.decode([*pair, 3]) == "a \t b"
    assert text.decode(pair[:1]) == text.decode([0]) == "a"
    assert text.decode([0, end, end]) == "a \t"
    assert text.ends(2) == 2
    # It reads what other models of language read.
    assert text.fingerprint == CausalBytePair(GPT2, []).fingerprint
    assert text.settings == {"is_causal": True, "is_conditional": True}


def test_what_stands_between_sentences():
    """T9: the text of a pair is that of the published cache."""
    assert SEPARATOR.join(("A a ?", 'B "b ?')) == 'A a ? \t B "b ?'
    text = learn_byte_pairs(['A a ? B "b ?'], 300)
    (ids,) = text.encode([("A a ?", 'B "b ?')])
    assert text.decode(ids) == 'A a ? \t B "b ?'


LINES = ["the film is good .", "the plot , the film ?", "Don't — naïve"]


def test_learnt_byte_pairs_hold_all_text(tmp_path):
    text = learn_byte_pairs(LINES, 280)
    assert len(text.vocabulary) == 280
    assert text.vocabulary[text.end_id] == END_OF_TEXT
    odd = "\N{SNOWMAN} <|endoftext|> x"
    for line in [*LINES, odd]:
        (ids,) = text.encode([(line,)])
        assert ids.count(text.end_id) == 1
        assert text.decode(ids) == line
    again = learn_byte_pairs(LINES, 280)
    assert again.files() == text.files()
    for name, content in text.files().items():
        (tmp_path / name).write_bytes(content)
    read = read_causal_tokenizer(tmp_path)
    assert read.fingerprint == text.fingerprint
    assert read.encode([(LINES[0],)]) == text.encode([(LINES[0],)])
    again = read_causal_tokenizer(tmp_path, is_conditional=True)
    assert again.is_conditional and not read.is_conditional


def test_learnt_words(tmp_path):
    text = learn_words(count_words(LINES), 2)
    assert text.vocabulary == (END, UNKNOWN, "the", "film")
    whole = learn_words(count_words(LINES))
    assert whole.vocabulary[2:7] == ("the", "film", ",", ".", "?")
    (tmp_path / "words.txt").write_bytes(whole.files()["words.txt"])
    for path in (tmp_path, tmp_path / "words.txt"):
        assert read_causal_tokenizer(path).fingerprint == whole.fingerprint
    assert whole.fingerprint != text.fingerprint


def test_other_vocabularies_are_refused(tmp_path):
    with pytest.raises(ValueError, match="lacks the piece <"):
        CausalBytePair(["a"], [])
    with pytest.raises(ValueError, match="of the merge 'a b'"):
        CausalBytePair(["a", "b", END_OF_TEXT], [("a", "b")])
    with pytest.raises(ValueError, match="does not begin with <eos>, <unk>"):
        CausalWords(["[PAD]", "[UNK]"])
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"a": 0, END_OF_TEXT: 2}))
    (tmp_path / "merges.txt").write_text("")
    with pytest.raises(ValueError, match="ids of its 2 pieces are not"):
        read_causal_tokenizer(path)
