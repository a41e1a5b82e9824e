"""Tags: the package's own, in any number of processes, errors in one line."""

import importlib.metadata
import random
import sys
import time

import pytest

from tfdistill.augmentation import Tagged, WordsByTag, split_words, tag_sources
from tfdistill.augmentation.tagging import PACKAGE

PIGS = Tagged(("What", "do", "pigs", "eat", "?"), ("W", "V", "N", "V", "."))


def words_of(*sentences):
    return tuple(split_words(sentence) for sentence in sentences)


def test_english():
    [(first, second)] = tag_sources(
        [words_of("The dog doesn't eat.", "What do pigs eat?")]
    )
    assert first.words == ("The", "dog", "does", "n't", "eat", ".")
    assert first.tags == ("AT0", "NN1", "VDZ", "XX0", "VVI", "PUN")
    assert second.tags == ("DTQ", "VDB", "NN2", "VVI", "PUN")


def test_german():
    [(tagged,)] = tag_sources([words_of("Der Hund schläft .")], language="de")
    assert tagged.tags == ("ART", "NN", "VV(FIN)", "$.")


def test_processes_and_odd_words_change_nothing():
    # More than is tagged at once, some rows empty or of odd characters.
    sources = [
        words_of(f"Sentence {i} is about dogs.", "" if i % 3 else "\x00 😀 的")
        for i in range(400)
    ]
    tagged = tag_sources(sources)
    assert tagged == tag_sources(sources, num_processes=2)
    assert [tuple(s.words for s in row) for row in tagged] == sources
    # Words are held once.
    assert tagged[0][0].words[2] is tagged[399][0].words[2]


def test_long_words_take_no_time():
    started = time.monotonic()
    [(tagged,)] = tag_sources([(("the", "x" * 3000 + "ly", "dog"),)])
    assert time.monotonic() - started < 5
    assert len(tagged.words[1]) == 3002


def test_errors_are_one_line(monkeypatch):
    with pytest.raises(ValueError, match=r"Unknown language 'xx'\. Known: en"):
        tag_sources([], language="xx")
    for word in ("", "a b", "a\u00a0b"):
        with pytest.raises(ValueError, match="is not a word"):
            tag_sources([((word,),)])
        with pytest.raises(ValueError, match="is not a word"):
            Tagged((word,), ("N",))
    with pytest.raises(ValueError, match="1 words need as many tags, got 2"):
        Tagged(("a",), ("N", "N"))
    monkeypatch.setitem(sys.modules, "HanTa.HanoverTagger", None)
    with pytest.raises(ValueError, match=f"pip install {PACKAGE}"):
        tag_sources([(("a",),)])


def test_the_package_named_is_the_one_tested():
    name, version = PACKAGE.split("==")
    assert importlib.metadata.version(name) == version


def test_table_counts_both_sentences_of_pairs():
    pair = (PIGS, Tagged(("How", "do", "cows"), ("W", "V", "N")))
    table = WordsByTag.of([pair, (PIGS,)])
    assert table.counts == {
        "W": {"What": 2, "How": 1},
        "V": {"do": 3, "eat": 2},
        "N": {"pigs": 2, "cows": 1},
        ".": {"?": 2},
    }


def test_draws_are_uniform_over_occurrences():
    table = WordsByTag({"N": {"a": 1, "b": 3, "c": 2}})

    class Scripted(random.Random):
        def randrange(self, stop):
            assert stop == 6
            return self.number

    rng = Scripted()
    drawn = []
    for rng.number in range(6):
        drawn.append(table.draw("N", rng))
    assert drawn == list("abbbcc")
    with pytest.raises(ValueError, match="No word was seen with the tag 'V'"):
        table.draw("V", rng)
