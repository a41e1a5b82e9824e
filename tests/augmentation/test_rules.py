"""Rule-made samples, against the published rules draw by draw.

The literal samples are what the published generator (castorini/d-bert,
commit 7c590fb) made of the same draws.
"""

import collections
import itertools
import random
import tracemalloc

import numpy as np
import pytest

from tfdistill.augmentation import (
    Rules,
    Sample,
    Tagged,
    WordsByTag,
    rule_samples,
    rules,
)
from tfdistill.augmentation.rules import (
    MASK,
    PAIR_ROUNDS,
    SINGLE_ROUNDS,
    alter,
    make_sample,
)
from tfdistill.augmentation.seen import SeenHashes, hashes_of

PIGS = Tagged(
    ("What", "do", "pigs", "eat", "?"), ("WP", "VBP", "NNS", "VB", ".")
)
TABLE = WordsByTag(
    {
        "WP": {"What": 1},
        "VBP": {"do": 2},
        "NNS": {"pigs": 1, "cows": 1},
        "VB": {"eat": 1, "sleep": 1},
        ".": {"?": 2},
        "WRB": {"How": 1},
    }
)
NOTHING = Rules(mask_prob=0, replace_prob=0, window_prob=0)


class Scripted(random.Random):
    """Gives uniform numbers from a list, and always the first choice."""

    def __init__(self, *numbers):
        super().__init__()
        self.numbers = list(numbers)

    def random(self):
        return self.numbers.pop(0)

    def randrange(self, stop):
        return 0

    def choice(self, items):
        return items[0]


def data(count, sentences=1, seed=5):
    """Rows of 1 to 12 words of a small vocabulary."""
    rng = random.Random(seed)
    tags = ("N", "V", "A")

    def sentence():
        chosen = [rng.choice(tags) for _ in range(rng.randint(1, 12))]
        words = (f"{tag.lower()}{rng.randrange(30)}" for tag in chosen)
        return Tagged(tuple(words), tuple(chosen))

    return [tuple(sentence() for _ in range(sentences)) for _ in range(count)]


def texts(row):
    return tuple(" ".join(sentence.words) for sentence in row)


def test_draws_of_a_sentence():
    rng = Scripted(0.05, 0.15, 0.5, 0.0999, 0.2, 0.99)
    words, kept = alter(PIGS, TABLE, Rules(), rng)
    assert " ".join(words) == "What [MASK] pigs eat ?"
    assert kept == 2
    assert not rng.numbers


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (
            0,
            [
                "What do [MASK] sleep [MASK]",
                "[MASK] [MASK] [MASK] eat [MASK]",
                "What do pigs [MASK] ?",
            ],
        ),
        (
            4,
            [
                "What do [MASK] eat [MASK]",
                "What do cows eat ?",
                "What do pigs sleep ?",
            ],
        ),
    ],
)
def test_golden_samples(seed, expected):
    often = Rules(mask_prob=0.3, replace_prob=0.3, window_prob=0)
    rng = random.Random(seed)
    found = [" ".join(alter(PIGS, TABLE, often, rng)[0]) for _ in expected]
    assert found == expected


def test_windows_reach_every_word():
    always = Rules(mask_prob=0, replace_prob=0, window_prob=1)
    rng = random.Random(1)
    found = collections.Counter(
        tuple(alter(PIGS, TABLE, always, rng)[0]) for _ in range(20_000)
    )
    expected = {
        PIGS.words[start : start + length]: 1 / (5 * (5 - length + 1))
        for length in range(1, 6)
        for start in range(5 - length + 1)
    }
    assert found.keys() == expected.keys()
    for window, share in expected.items():
        assert found[window] / 20_000 == pytest.approx(share, abs=0.01)


def test_what_is_shorter_than_a_window_stays_whole():
    longer = Rules(
        mask_prob=0, replace_prob=0, window_prob=1, window_lengths=(6,)
    )
    words, kept = alter(PIGS, TABLE, longer, random.Random(1))
    assert (tuple(words), kept) == (PIGS.words, 5)


def test_shares():
    """Of 4 words .8^4 stay as they are; a pair's cases are a third each."""
    four = Tagged(PIGS.words[:4], PIGS.tags[:4])
    rng = random.Random(2)
    draws = 20_000
    kept = [alter(four, TABLE, Rules(), rng)[1] for _ in range(draws)]
    assert kept.count(4) / draws == pytest.approx(0.4096, abs=0.01)
    all_masked = Rules(mask_prob=1, replace_prob=0, window_prob=0)
    mixed = Rules(mask_prob=0, replace_prob=1, window_prob=0)
    cows = WordsByTag({"X": {"cow": 1}})
    pair = (Tagged(("a",), ("X",)), Tagged(("b",), ("X",)))
    found = collections.Counter(
        make_sample(pair, cows, mixed, rng) for _ in range(draws)
    )
    assert set(found) == {("cow", "b"), ("a", "cow"), ("cow", "cow")}
    for count in found.values():
        assert count / draws == pytest.approx(1 / 3, abs=0.015)
    # Masks alone say nothing, on either side.
    assert make_sample((four,), TABLE, all_masked, rng) is None
    assert make_sample(pair, cows, all_masked, rng) is None
    # A single sentence keeps a word; a sentence of a pair need not.
    assert make_sample((four,), TABLE, mixed, rng) is None


def test_probabilities_0_and_1():
    rows = data(50)
    table = WordsByTag.of(rows)
    assert list(rule_samples(rows, table, NOTHING, seed=1)) == []
    masks = Rules(mask_prob=1, replace_prob=0)
    assert list(rule_samples(rows, table, masks, seed=1)) == []
    pairs = data(50, sentences=2)
    replace = Rules(mask_prob=0, replace_prob=1, window_prob=0)
    samples = list(rule_samples(pairs, table, replace, seed=1))
    assert samples
    for sample in samples:
        changed = 0
        for made, source in zip(
            sample.sentences, pairs[sample.source], strict=True
        ):
            # Words of a tag begin with its letter.
            assert [w[0].upper() for w in made.split()] == list(source.tags)
            changed += made != " ".join(source.words)
        assert changed


@pytest.mark.parametrize("sentences", [1, 2])
def test_samples_are_new(sentences):
    rows = data(300, sentences)
    table = WordsByTag.of(rows)
    samples = list(rule_samples(rows, table, Rules(), seed=3))
    made = [sample.sentences for sample in samples]
    assert len(set(made)) == len(made)
    assert not set(made) & {texts(row) for row in rows}
    numbers = [sample.source for sample in samples]
    assert numbers == sorted(numbers)
    most = {1: SINGLE_ROUNDS, 2: PAIR_ROUNDS}[sentences]
    counts = collections.Counter(numbers)
    long = [i for i, row in enumerate(rows) if len(row[0].words) > 4]
    assert set(long) <= counts.keys()
    assert most * 0.6 < max(counts.values()) <= most
    for sample in samples:
        for made_of, text in zip(
            rows[sample.source], sample.sentences, strict=True
        ):
            assert 1 <= len(text.split()) <= len(made_of.words)
            assert set(text.split()) != {MASK}


@pytest.mark.parametrize("sentences", [1, 2])
def test_processes_and_chunks_change_nothing(monkeypatch, sentences):
    rows = data(700, sentences)
    table = WordsByTag.of(rows)
    one = list(rule_samples(rows, table, Rules(rounds=3), seed=3))
    two = rule_samples(rows, table, Rules(rounds=3), seed=3, num_processes=2)
    assert list(two) == one
    other = list(rule_samples(rows, table, Rules(rounds=3), seed=4))
    assert other != one
    monkeypatch.setattr(rules, "_SOURCES_AT_ONCE", 7)
    assert list(rule_samples(rows, table, Rules(rounds=3), seed=3)) == one


def test_rows_do_not_depend_on_each_other():
    rows = data(40)
    table = WordsByTag.of(rows)

    def of_rows(sources, first):
        whole = Rules(window_prob=0)
        return {
            sample
            for sample in rule_samples(sources, table, whole, seed=3)
            if sample.source >= first
        }

    other = [(PIGS,)] * 30 + rows[30:]
    table.counts.update(TABLE.counts)
    table = WordsByTag(table.counts)
    found = of_rows(rows, 30)
    assert found
    # Samples of the first rows may be equal to one of the last.
    assert found <= of_rows(other, 30)


def test_rows_without_words_give_nothing():
    empty = Tagged((), ())
    rows = [(empty,), (PIGS,), (empty,)]
    samples = list(rule_samples(rows, TABLE, Rules(), seed=1))
    assert {sample.source for sample in samples} == {1}
    pairs = [(empty, PIGS), (PIGS, empty), (PIGS, PIGS)]
    samples = list(rule_samples(pairs, TABLE, Rules(), seed=1))
    assert {sample.source for sample in samples} == {2}
    assert list(rule_samples([], TABLE, Rules(), seed=1)) == []


def test_samples_come_while_rows_are_left():
    samples = rule_samples(data(2000), TABLE_OF_DATA, Rules(), seed=1)
    first = next(samples)
    assert isinstance(first, Sample)
    assert first.source == 0
    samples.close()


TABLE_OF_DATA = WordsByTag.of(data(2000))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_prob": 1.5}, r"mask_prob=1.5 is not in \[0, 1\]"),
        ({"replace_prob": -0.1}, "replace_prob=-0.1 is not"),
        ({"window_prob": float("nan")}, "window_prob=nan is not"),
        ({"mask_prob": 0.6, "replace_prob": 0.6}, "more than 1 together"),
        ({"rounds": -1}, "rounds=-1 is negative"),
        ({"window_lengths": ()}, r"window_lengths=\(\): expected"),
        ({"window_lengths": (0, 1)}, "expected lengths of 1 or more"),
    ],
)
def test_rules_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        Rules(**changes)


def test_wrong_rows():
    with pytest.raises(ValueError, match="Rows have 1, 2 sentences"):
        next(rule_samples([(PIGS,), (PIGS, PIGS)], TABLE, Rules(), seed=1))
    with pytest.raises(ValueError, match="Rows have 3 sentences"):
        next(rule_samples([(PIGS,) * 3], TABLE, Rules(), seed=1))
    replace = Rules(mask_prob=0, replace_prob=1)
    with pytest.raises(ValueError, match="No word was seen with the tag 'WP'"):
        next(rule_samples([(PIGS,)], WordsByTag({}), replace, seed=1))


def test_seen_hashes_are_a_set_in_few_bytes():
    rng = np.random.default_rng(1)
    # Few different ones, so that many are met again, in one call and later.
    numbers = rng.integers(1, 60_000, 200_000).astype(np.uint64)
    numbers *= np.uint64(0x9E3779B97F4A7C15)
    seen, expected = SeenHashes(), set()
    for some in np.array_split(numbers, 37):
        is_new = seen.add(some)
        for number, new in zip(some.tolist(), is_new.tolist(), strict=True):
            assert new == (number not in expected)
            expected.add(number)
        assert len(seen) == len(expected)


def test_bytes_of_seen_hashes():
    rng = np.random.default_rng(1)
    held = []
    tracemalloc.start()
    seen = SeenHashes()
    for _ in range(200):
        seen.add(rng.integers(1, 2**63, 5000).astype(np.uint64))
        if len(seen) > 100_000:
            held.append(tracemalloc.get_traced_memory()[0] / len(seen))
    peak = tracemalloc.get_traced_memory()[1] / len(seen)
    tracemalloc.stop()
    assert 10 < min(held) < max(held) < 16.5
    assert peak < 32


def test_hashes():
    found = hashes_of(["a", "b", "a", ""])
    assert found.dtype == np.uint64
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 3
    assert len(hashes_of([])) == 0
    many = hashes_of(map("".join, itertools.product("abcdef", repeat=6)))
    assert len(np.unique(many)) == 6**6
