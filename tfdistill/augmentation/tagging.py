"""Parts of speech of words, and the words seen with each of them.

The tags are those of the HanTa package (Wartena, "A probabilistic morphology
model for German lemmatization", 2019): the British National Corpus's for
English.
"""

import bisect
import dataclasses
import functools
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tfdistill.progress import Progress
from tfdistill.text.parallel import map_in_order

PACKAGE = "hanta==1.2.1"
MODELS = {
    "en": "morphmodel_en.pgz",
    "de": "morphmodel_ger.pgz",
    "nl": "morphmodel_dutch.pgz",
}
_SENTENCES_AT_ONCE = 500
# The tagger's time grows with the cube of a word's length, and it is the end
# of a word that tells its part of speech.
_MOST_CHARACTERS = 40


@dataclasses.dataclass(frozen=True, slots=True)
class Tagged:
    """A sentence's words and their parts of speech.

    Attributes:
        words: Words, none of them empty or with white space in it.
        tags: One for each word.

    Raises:
        ValueError: A word is no word, or tags are missing.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) != len(self.tags):
            raise ValueError(
                f"{len(self.words)} words need as many tags, got "
                f"{len(self.tags)}."
            )
        _check_words(self.words)


def _check_words(words: Sequence[str]) -> None:
    for word in words:
        if word.split() != [word]:
            raise ValueError(
                f"{word!r} is not a word: it is empty or holds white space."
            )


# What a row of a data set consists of: one sentence, or two.
TaggedSource = tuple[Tagged, ...]


def tag_sources(
    sources: Sequence[Sequence[Sequence[str]]],
    *,
    language: str = "en",
    num_processes: int = 1,
) -> list[TaggedSource]:
    """Tag the words of a data set, showing progress.

    Args:
        sources: Rows; a row is one or more sentences, a sentence its words,
            as `split_words` gives them.
        language: One of `MODELS`.
        num_processes: Processes that tag; they change nothing else.

    Returns:
        The same rows with tags. Each distinct word is held once.

    Raises:
        ValueError: The language is not known, HanTa is not installed, or a
            word is empty or holds white space.
    """
    if language not in MODELS:
        raise ValueError(
            f"Unknown language {language!r}. Known: {', '.join(MODELS)}."
        )
    # Here rather than in a process of its own, so that nothing is started.
    _tagger_class()
    held: dict[str, str] = {}

    def sentences() -> Iterator[tuple[str, ...]]:
        for source in sources:
            for words in source:
                _check_words(words)
                yield tuple(held.setdefault(word, word) for word in words)

    tagged = _tag(sentences(), language, num_processes)
    total = sum(map(len, sources))
    found = []
    with Progress("tagging", total, unit=" sentences") as progress:
        for source in sources:
            found.append(tuple(itertools.islice(tagged, len(source))))
            progress.advance(len(source))
    return found


def _tag(
    sentences: Iterator[tuple[str, ...]], language: str, num_processes: int
) -> Iterator[Tagged]:
    given, to_tag = itertools.tee(sentences)

    def jobs() -> Iterator[tuple[str, list[tuple[str, ...]]]]:
        while some := list(itertools.islice(to_tag, _SENTENCES_AT_ONCE)):
            yield language, some

    held: dict[str, str] = {}
    for rows in map_in_order(_tags_of, jobs(), num_processes):
        for tags in rows:
            same = tuple(held.setdefault(tag, tag) for tag in tags)
            yield Tagged(next(given), same)


def _tags_of(job: tuple[str, list[tuple[str, ...]]]) -> list[list[str]]:
    language, sentences = job
    tagger = _tagger(language)
    return [
        tagger.tag_sent([w[-_MOST_CHARACTERS:] for w in words], taglevel=0)
        for words in sentences
    ]


@functools.cache
def _tagger(language: str) -> Any:
    return _tagger_class()(MODELS[language])


def _tagger_class() -> Any:
    try:
        from HanTa.HanoverTagger import (  # type: ignore[import-untyped]
            HanoverTagger,
        )
    except ImportError:
        raise ValueError(
            f"Tagging words needs the package HanTa: pip install {PACKAGE}"
        ) from None
    return HanoverTagger


class WordsByTag:
    """The words seen with each tag, and how often each was seen.

    Letters keep their case. Drawing is uniform over occurrences, so frequent
    words are frequent among replacements, and a word may replace itself.

    Reference: Tang et al., "Distilling task-specific knowledge from BERT
    into simple neural networks", 2019, section 3.2.
    """

    def __init__(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Make a table.

        Args:
            counts: By tag and word, in [1, ∞). The order of the words
                decides what is drawn.
        """
        self.counts = {tag: dict(words) for tag, words in counts.items()}
        self._words = {tag: list(words) for tag, words in counts.items()}
        self._ends = {
            tag: list(itertools.accumulate(words.values()))
            for tag, words in counts.items()
        }

    @classmethod
    def of(cls, sources: Iterable[TaggedSource]) -> "WordsByTag":
        """Count the words of a data set, all sentences of a row alike."""
        counts: dict[str, dict[str, int]] = {}
        for source in sources:
            for sentence in source:
                for word, tag in zip(
                    sentence.words, sentence.tags, strict=True
                ):
                    words = counts.setdefault(tag, {})
                    words[word] = words.get(word, 0) + 1
        return cls(counts)

    def draw(self, tag: str, rng: random.Random) -> str:
        """Draw a word of a tag, with one draw below its occurrences.

        Raises:
            ValueError: No word was seen with the tag.
        """
        if tag not in self._ends:
            raise ValueError(f"No word was seen with the tag {tag!r}.")
        ends = self._ends[tag]
        drawn = rng.randrange(ends[-1])
        return self._words[tag][bisect.bisect_right(ends, drawn)]
