"""Word vectors: every format gives the same table, damage is named."""

import gzip
import re
import tracemalloc

import numpy as np
import pytest
from golden import golden

from tfdistill.text import word_vectors
from tfdistill.text.word_vectors import WordVectors, read_word_vectors

# A word with spaces comes first, where the width is not known yet.
WORDS = (". . .", "dog", "at me@x.org", "caf\u00e9", "a\u00a0b", "7")
# A space ends a word of the binary format.
BINARY_WORDS = tuple(word.replace(" ", "_") for word in WORDS)
VECTORS = np.array(
    [[0.5, -1, 2], [1, 0, 0], [0, 0.25, 1], [3, 3, 3], [0, 0, 0], [1e-3, 7, 1]],
    np.float32,
)


def text(separator="\n"):
    rows = (
        f"{word} {' '.join(map(str, vector.tolist()))}"
        for word, vector in zip(WORDS, VECTORS, strict=True)
    )
    return "".join(row + separator for row in rows).encode()


def binary(end):
    rows = (
        word.encode() + b" " + vector.tobytes() + end
        for word, vector in zip(BINARY_WORDS, VECTORS, strict=True)
    )
    return b"6 3\n" + b"".join(rows)


FORMATS = {
    "glove": text(),
    "glove, other line ends": text("\r\n"),
    "word2vec text": b"6 3\n" + text(" \n"),
    "word2vec": binary(b"\n"),
    "word2vec without line ends": binary(b""),
}


LAST_ROW = FORMATS["word2vec"].rindex(b"7 ")
CUT = FORMATS["word2vec"][:-3]
LONG = FORMATS["word2vec"] + b"more"
GZIP = gzip.compress(text())


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("name", FORMATS)
def test_formats(tmp_path, name, compress):
    path = tmp_path / "vectors"
    path.write_bytes(compress(FORMATS[name]))
    found = read_word_vectors(path)
    is_binary = name.startswith("word2vec") and "text" not in name
    assert found.words == (BINARY_WORDS if is_binary else WORDS)
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, VECTORS)


@pytest.mark.parametrize("name", ["glove", "word2vec"])
def test_small_blocks(tmp_path, monkeypatch, name):
    monkeypatch.setattr(word_vectors, "_BLOCK_BYTES", 5)
    path = tmp_path / "vectors"
    path.write_bytes(FORMATS[name])
    np.testing.assert_array_equal(read_word_vectors(path).vectors, VECTORS)


def test_what_is_kept(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(text() + b"damage\n")
    first = read_word_vectors(path, max_words=2)
    assert first.words == WORDS[:2]
    wanted = read_word_vectors(path, wanted=frozenset({"7", "dog"}))
    assert wanted.words == ("dog", "7")
    np.testing.assert_array_equal(wanted.vectors, VECTORS[[1, 5]])
    both = read_word_vectors(path, wanted=frozenset({"7", "dog"}), max_words=1)
    assert both.words == ("dog",)
    with pytest.raises(ValueError, match="line 7"):
        read_word_vectors(path)
    path.write_bytes(text())
    with pytest.raises(ValueError, match="no word vectors of the words wanted"):
        read_word_vectors(path, wanted=frozenset({"cat"}))


def test_memory_is_that_of_what_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(word_vectors, "_BLOCK_BYTES", 1 << 12)
    path = tmp_path / "vectors.txt"
    numbers = " ".join(["0.125"] * 100)
    path.write_text("".join(f"w{i} {numbers}\n" for i in range(3000)))
    wanted = frozenset(f"w{i}" for i in range(0, 3000, 500))
    tracemalloc.start()
    found = read_word_vectors(path, wanted=wanted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.words) == 6
    # The whole table takes 1.2 MB, and blocks of the file 0.07 MB each.
    assert peak < 400_000


def test_first_of_equal_words_is_kept(tmp_path, caplog):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 2\nb 3 4\na 5 6\na 7 8\n")
    with caplog.at_level("WARNING", logger="absl"):
        found = read_word_vectors(path)
    assert found.words == ("a", "b")
    assert found.vectors.tolist() == [[1, 2], [3, 4]]
    assert caplog.messages == [
        f"{path}: 2 rows are of words that an earlier row has; the first one "
        "of each is kept."
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"0 3\n", "holds no word vectors."),
        (b"some prose\n", "line 1: expected a word and its vector"),
        (b"a 1 2\nb 3\n", "line 2: 1 numbers, expected 2 of them"),
        (b"a 1 2\n\nb 3 4\n", "line 2: 0 numbers, expected 2"),
        (b"a 1 2\nb 3 4 5\n", "line 2: more than 2 numbers"),
        (b"a 1 2\nb 3 x\n", "line 2: b'x' is not a number"),
        (b"a 1 2\nb 3 nan\n", "line 2: the vector of 'b' is not finite"),
        (b"a 1 2\nb 3 1e99\n", "line 2: the vector of 'b' is not finite"),
        (b"a 1 2\n\xff 3 4\n", r"line 2: the word b'\xff' is not UTF-8"),
        (b"3 2\na 1 2\nb 3 4\n", "line 3: it ends after 2 rows"),
        (b"1 2\na 1 2\nb 3 4\n", "line 3: it ends after 2 rows"),
        (b"3 99999\na 1 2\n", "line 1: expected a word"),
        (CUT, f"byte {LAST_ROW - 1}: it ends after 5 rows"),
        (LONG, f"byte {len(LONG) - 5}: it goes on after the 6 rows"),
        (b"2 2\n" + bytes(70_000), "byte 4: expected a word and a space"),
        (GZIP[:-9], "the gzip data are cut short near byte"),
        (GZIP[:-8] + bytes(8), "damaged gzip data near byte"),
    ],
    ids=range(18),
)
def test_damage(tmp_path, content, message):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_word_vectors(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_cut_is_refused_or_a_whole_table(tmp_path):
    path = tmp_path / "vectors"
    whole = FORMATS["word2vec"]
    for end in range(len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError):
            read_word_vectors(path)


def test_golden_neighbours(tmp_path):
    case = golden("ckd_losses")["data_augmentation"]["neighbours"]
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(case["file_lines"]) + "\n")
    vectors = read_word_vectors(path)
    found = vectors.nearest(case["result"], case["M"])
    assert dict(zip(case["result"], found, strict=True)) == case["result"]


def test_zeros_and_ties():
    vectors = WordVectors(
        tuple("abcdefg"),
        np.array(
            [[0, 0], [1, 2], [-1, 1], [3, 6], [0, 0], [7, 14], [-2, 2]],
            np.float32,
        ),
    )
    found = vectors.nearest(["a", "b", "d", "?", "c"], 4)
    assert found[0] == ["b", "c", "d", "e"]  # all cosines are 0
    assert found[1] == ["d", "f", "c", "g"]
    assert found[2] == ["b", "f", "c", "g"]
    assert found[3] == []
    assert found[4] == ["g", "b", "d", "f"]
    assert vectors.nearest(["b"], 100) == [list("dfcgae")]
    assert vectors.nearest(["b"], 0) == [[]]


def test_neighbours_are_those_of_float64_in_any_batch(monkeypatch):
    rng = np.random.default_rng(3)
    table = rng.normal(size=(300, 20)).astype(np.float32)
    table[200:] = table[:100] * 3  # as near as the originals are
    words = tuple(f"w{i}" for i in range(300))
    vectors = WordVectors(words, table)
    units = table.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    cosines = (units @ units.T).round(12)
    np.fill_diagonal(cosines, -2)
    expected = [
        [words[i] for i in np.argsort(-row, kind="stable")[:15]]
        for row in cosines
    ]
    assert vectors.nearest(words, 15) == expected
    assert [vectors.nearest([word], 15)[0] for word in words] == expected
    monkeypatch.setattr(word_vectors, "_COSINES_AT_ONCE", 2100)
    assert vectors.nearest(words, 15) == expected


def test_words_and_vectors_must_agree():
    with pytest.raises(ValueError, match="2 words need as many vectors"):
        WordVectors(("a", "b"), np.zeros((3, 2), np.float32))
