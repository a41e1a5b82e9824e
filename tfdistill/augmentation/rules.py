"""Transfer sets made by rules: masks, same-tag words and n-grams.

A student that learns a teacher's logits can do so on sentences without a
label; these are made of a task's own sentences.

Reference: Tang et al., "Distilling task-specific knowledge from BERT into
simple neural networks", 2019, section 3.2, and the code that was published
with it. Three of the code's habits are not kept: windows never reached a
sentence's last words, a sentence shorter than a window got no further
samples, and sentences of nothing but masks were written.
"""

import dataclasses
import functools
import pathlib
import random
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from tfdistill.augmentation.seen import SeenHashes, hashes_of
from tfdistill.augmentation.tagging import Tagged, TaggedSource, WordsByTag
from tfdistill.files import read_json, write_json
from tfdistill.text.parallel import map_in_order

MASK = "[MASK]"
SINGLE_ROUNDS = 20
PAIR_ROUNDS = 10
# A pair's first, second or both sentences are altered, a third each.
SINGLE_ONLY_PROB = 2 / 3
_SOURCES_AT_ONCE = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """How samples are made; the defaults are the paper's.

    Attributes:
        rounds: Samples to try for each row; 0: `SINGLE_ROUNDS` for
            sentences, `PAIR_ROUNDS` for pairs.
        mask_prob: Probability in [0, 1] of a word to become [MASK].
        replace_prob: Probability in [0, 1] of a word to become one with the
            same tag; the two together are at most 1.
        window_prob: Probability in [0, 1] of a sample to be cut to an
            n-gram. (The published code has 0 unless told otherwise.)
        window_lengths: The n of n-grams, drawn uniformly; what is shorter
            stays whole.

    Raises:
        ValueError: A value is out of range.
    """

    rounds: int = 0
    mask_prob: float = 0.1
    replace_prob: float = 0.1
    window_prob: float = 0.25
    window_lengths: tuple[int, ...] = (1, 2, 3, 4, 5)

    def __post_init__(self) -> None:
        for name in ("mask_prob", "replace_prob", "window_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name}={getattr(self, name)} is not in [0, 1]."
                )
        if self.mask_prob + self.replace_prob > 1:
            raise ValueError(
                f"mask_prob={self.mask_prob} and replace_prob="
                f"{self.replace_prob} are more than 1 together."
            )
        if self.rounds < 0:
            raise ValueError(f"rounds={self.rounds} is negative.")
        if not self.window_lengths or min(self.window_lengths) < 1:
            raise ValueError(
                f"window_lengths={self.window_lengths}: expected lengths of "
                "1 or more."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One example of a transfer set.

    Attributes:
        source: Row that it was made of, from 0.
        sentences: Its sentences, words joined by single spaces.
    """

    source: int
    sentences: tuple[str, ...]


def rule_samples(
    sources: Sequence[TaggedSource],
    table: WordsByTag,
    rules: Rules,
    *,
    seed: int,
    num_processes: int = 1,
) -> Iterator[Sample]:
    """Yield the samples of a data set, in the order of its rows.

    No sample equals a row or another sample. What is tried for a row
    depends on the seed, its number, its words and the table alone; of equal
    samples the first one is kept.

    Args:
        sources: Rows of one sentence, or all of them pairs. They are not
            among the samples.
        table: Where words are drawn from.
        rules: How samples are made.
        seed: Decides all draws.
        num_processes: Processes that make samples; they change nothing.

    Raises:
        ValueError: Rows are neither sentences nor pairs, or a tag is not in
            the table.
    """
    widths = {len(source) for source in sources}
    if not widths <= {1} and not widths <= {2}:
        raise ValueError(
            f"Rows have {', '.join(map(str, sorted(widths)))} sentences, "
            "expected one in each or two in each."
        )
    seen = SeenHashes()
    for start in range(0, len(sources), _SOURCES_AT_ONCE):
        some = sources[start : start + _SOURCES_AT_ONCE]
        seen.add(hashes_of(_key(_texts(source)) for source in some))
    with tempfile.TemporaryDirectory() as folder:
        # In a file, so that a process reads it once and not with each chunk.
        path = pathlib.Path(folder) / "words_by_tag.json"
        write_json(path, table.counts)
        chunks = (
            _Chunk(
                str(path),
                rules,
                seed,
                first,
                sources[first : first + _SOURCES_AT_ONCE],
            )
            for first in range(0, len(sources), _SOURCES_AT_ONCE)
        )
        for numbers, text, hashes in map_in_order(
            _samples_of_chunk, chunks, num_processes
        ):
            is_new = seen.add(hashes).tolist()
            for number, key, new in zip(
                numbers, text.splitlines(), is_new, strict=True
            ):
                if new:
                    yield Sample(number, tuple(key.split("\t")))


def make_sample(
    source: TaggedSource, table: WordsByTag, rules: Rules, rng: random.Random
) -> tuple[str, ...] | None:
    """Make one sample of a row.

    Args:
        source: One sentence, which is altered, or two, of which one is or
            both are.
        table: Where words are drawn from.
        rules: How it is made.
        rng: Source of the draws.

    Returns:
        Its sentences; None where one of them has no words or masks alone,
        or no word of a single one was kept.
    """
    if len(source) == 1:
        words, kept = alter(source[0], table, rules, rng)
        made = [words] if kept else [[]]
    else:
        which = rng.random()
        both = rng.random() > SINGLE_ONLY_PROB
        made = [
            alter(sentence, table, rules, rng)[0]
            if is_altered
            else list(sentence.words)
            for sentence, is_altered in zip(
                source, (both or which < 0.5, both or which >= 0.5), strict=True
            )
        ]
    if any(words.count(MASK) == len(words) for words in made):
        return None
    return tuple(map(" ".join, made))


def alter(
    sentence: Tagged, table: WordsByTag, rules: Rules, rng: random.Random
) -> tuple[list[str], int]:
    """Mask and replace words, and cut a window out of what that gives.

    The draws are made in the order of the published code for pairs: one for
    each word, a word right after the draw that asks for it, and one for the
    window, whatever its probability.

    Returns:
        The words, and how many were kept before the window was cut.
    """
    most_replaced = rules.replace_prob
    most_altered = rules.replace_prob + rules.mask_prob
    words = []
    kept = 0
    for word, tag in zip(sentence.words, sentence.tags, strict=True):
        drawn = rng.random()
        if drawn >= most_altered:
            words.append(word)
            kept += 1
        elif drawn < most_replaced:
            words.append(table.draw(tag, rng))
        else:
            words.append(MASK)
    if rng.random() < rules.window_prob:
        length = rng.choice(rules.window_lengths)
        if length <= len(words):
            start = rng.randrange(len(words) - length + 1)
            words = words[start : start + length]
    return words, kept


@dataclasses.dataclass(frozen=True)
class _Chunk:
    table: str
    rules: Rules
    seed: int
    first: int
    sources: Sequence[TaggedSource]


def _samples_of_chunk(chunk: _Chunk) -> tuple[list[int], str, np.ndarray]:
    """Returns rows' numbers, their samples' keys as lines, and the hashes.

    One text goes from process to process much faster than many.
    """
    table, rules = _read_table(chunk.table), chunk.rules
    numbers: list[int] = []
    keys: list[str] = []
    for number, source in enumerate(chunk.sources, chunk.first):
        rounds = rules.rounds or (
            SINGLE_ROUNDS if len(source) == 1 else PAIR_ROUNDS
        )
        rng = random.Random(f"{chunk.seed} {number}")
        # A dictionary, as most of a short sentence's samples are equal.
        distinct = dict.fromkeys(
            _key(sample)
            for _ in range(rounds)
            if (sample := make_sample(source, table, rules, rng))
        )
        numbers += [number] * len(distinct)
        keys += distinct
    return numbers, "\n".join(keys), hashes_of(keys)


@functools.lru_cache(maxsize=1)
def _read_table(path: str) -> WordsByTag:
    return WordsByTag(read_json(path))


def _texts(source: TaggedSource) -> tuple[str, ...]:
    return tuple(" ".join(sentence.words) for sentence in source)


def _key(sentences: tuple[str, ...]) -> str:
    # Words hold no white space, so keys are lines and tell all rows apart.
    return "\t".join(sentences)
