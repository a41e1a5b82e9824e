"""TinyBERT's augmentation: likely words in the place of some words.

Reference: Jiao et al., "TinyBERT: Distilling BERT for natural language
understanding", 2020, algorithm 1, with the constants of the published code.
That code gives segment ids where the model expects the mask, so that it never
sees the masked sentence, and continues a pair with the last variant of its
first sentence instead of the sentence. Here it is as the paper says.
"""

import dataclasses
import itertools
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tfdistill.augmentation.candidates import (
    Ask,
    Query,
    candidate_words,
)
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.text.word_pieces import WordPiece, normalize
from tfdistill.text.word_vectors import WordVectors

NUM_CANDIDATES = 15
REPLACE_PROB = 0.4
ROUNDS = {
    "cola": 30,
    "mnli": 10,
    "mnli_mm": 10,
    "mrpc": 30,
    "qnli": 20,
    "qqp": 10,
    "rte": 30,
    "sst2": 20,
    "stsb": 30,
}
_MAX_SEQ_LENGTH = 512
_ROWS_AT_ONCE = 512
_LETTERS = re.compile("[a-z]+")
# The published list without its entries that hold more than letters.
_STOP_WORDS = """
i me my myself we our ours ourselves you your yours yourself yourselves he him
his himself she her hers herself it its itself they them their theirs
themselves this that these those am is are was were be been being have has had
having do does did doing a an the and but if or because as until while of at by
for with about against between into through during before after above below to
from up down in out on off over under again further then once here there all
any both each few more most other some such no nor not only own same so than
too very s t can will just don should now d ll m o re ve y ain aren couldn didn
doesn hadn hasn haven isn ma mightn mustn needn shan shouldn wasn weren won
wouldn
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def tinybert_variants(
    rows: Iterable[Sequence[str]],
    *,
    ask: Ask,
    tokenizer: Tokenizer,
    vectors: WordVectors | None,
    rounds: int,
    seed: int,
    replace_prob: float = REPLACE_PROB,
    num_candidates: int = NUM_CANDIDATES,
    batch_size: int = 64,
    max_seq_length: int = _MAX_SEQ_LENGTH,
) -> Iterator[list[tuple[str, ...]]]:
    """Yield the variants of each row of a data set.

    A row's variants depend on the models, the seed, the row's number and the
    row alone. A word that the tokenizer has as one piece gives way to what
    the masked LM finds likely, others to the nearest word vectors.

    Args:
        rows: Rows of one or more sentences; drawn some hundreds at a time.
        ask: The masked LM.
        tokenizer: Its tokenizer.
        vectors: For words of several pieces; None: these stay.
        rounds: Variants to try for each sentence; see `ROUNDS`.
        seed: Decides all draws, with the row's number.
        replace_prob: Probability in [0, 1] of a word to be replaced.
        num_candidates: Pieces of the masked LM, or neighbours, of a word.
        batch_size: Words that the model is asked about at a time, rounded
            up to a multiple of 16.
        max_seq_length: Tokens of the longest sequence that it takes.

    Yields:
        For each row its variants, itself first. Each of the others has
        one sentence that is new, and those of the row in the other places:
        at most `rounds` for each sentence.

    Raises:
        ValueError: An argument is out of range, the tokenizer is not
            WordPiece, or the model's logits are not finite.
    """
    if not isinstance(tokenizer, WordPiece):
        raise ValueError(
            "Words are replaced with a masked LM that has a WordPiece "
            f"vocabulary, not {type(tokenizer).__name__}."
        )
    if not 0 <= replace_prob <= 1:
        raise ValueError(f"replace_prob={replace_prob} is not in [0, 1].")
    for name, value, least in (
        ("rounds", rounds, 0),
        ("num_candidates", num_candidates, 1),
        ("batch_size", batch_size, 1),
        ("max_seq_length", max_seq_length, 4),
    ):
        if value < least:
            raise ValueError(f"{name}={value} is below {least}.")
    finder = _CandidateFinder(
        ask=ask,
        tokenizer=tokenizer,
        vectors=vectors,
        num_candidates=num_candidates,
        batch_size=batch_size,
        max_seq_length=max_seq_length,
    )
    rows = iter(rows)
    number = 0
    while some := list(itertools.islice(rows, _ROWS_AT_ONCE)):
        sentences = list(dict.fromkeys(itertools.chain.from_iterable(some)))
        found = dict(zip(sentences, finder.find(sentences), strict=True))
        for row in some:
            rng = random.Random(f"{seed} {number}")
            variants = [tuple(row)]
            for place, sentence in enumerate(row):
                words, candidates = found[sentence]
                for variant in vary(
                    sentence,
                    words,
                    candidates,
                    rounds=rounds,
                    replace_prob=replace_prob,
                    rng=rng,
                )[1:]:
                    variants.append((*row[:place], variant, *row[place + 1 :]))
            yield variants
            number += 1


def vary(
    sentence: str,
    words: Sequence[str],
    candidates: Mapping[int, Sequence[str]],
    *,
    rounds: int,
    replace_prob: float,
    rng: random.Random,
) -> list[str]:
    """Replace words at random, again and again.

    The draws are made in the order of the published code: a candidate for
    each word that has some, each followed by whether it is used.

    Args:
        sentence: The sentence as it is.
        words: Its words, normalised.
        candidates: By the place of a word what it may become, not empty.
        rounds: Variants to try.
        replace_prob: Probability in [0, 1] of a word to be replaced.
        rng: Source of the draws.

    Returns:
        The sentence, then those variants that are not there yet, words
        joined by single spaces.
    """
    variants = {sentence: None}
    for _ in range(rounds):
        new = list(words)
        for place, choices in candidates.items():
            candidate = rng.choice(choices)
            if rng.random() < replace_prob:
                new[place] = candidate
        variants[" ".join(new)] = None
    return list(variants)


def replaceable(words: Sequence[str]) -> list[int]:
    """Returns the places of words of plain letters that say something."""
    return [
        place
        for place, word in enumerate(words)
        if _LETTERS.fullmatch(word) and word not in STOP_WORDS
    ]


def basic_words(
    sentences: Sequence[str], do_lower_case: bool
) -> list[list[str]]:
    """Returns sentences split at white space and punctuation, as BERT does."""
    import tensorflow as tf
    from tensorflow_text.python.ops.bert_tokenizer import BasicTokenizer

    if not sentences:
        return []
    plain = [normalize(sentence, do_lower_case) for sentence in sentences]
    rows = BasicTokenizer(lower_case=False).tokenize(tf.constant(plain))
    return [[word.decode() for word in row] for row in rows.to_list()]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _CandidateFinder:
    """Finds what the words of sentences may become."""

    ask: Ask
    tokenizer: WordPiece
    vectors: WordVectors | None
    num_candidates: int
    batch_size: int
    max_seq_length: int
    near: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def find(
        self, sentences: Sequence[str]
    ) -> list[tuple[list[str], dict[int, list[str]]]]:
        """Returns words, and candidates by place, of each sentence."""
        tokenizer = self.tokenizer
        rows = basic_words(sentences, tokenizer.settings["do_lower_case"])
        distinct = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
        pieces = dict(zip(distinct, tokenizer.tokenize(distinct), strict=True))
        candidates: list[dict[int, list[str]]] = []
        queries: list[Query] = []
        asked: list[tuple[int, int]] = []
        unasked: list[tuple[int, int]] = []
        for number, words in enumerate(rows):
            ids = [i for word in words for i in pieces[word]]
            starts = list(
                itertools.accumulate((len(pieces[w]) for w in words), initial=0)
            )
            # A word that nothing is found for stays as it is.
            candidates.append({p: [words[p]] for p in replaceable(words)})
            for place in candidates[-1]:
                if len(pieces[words[place]]) > 1:
                    unasked.append((number, place))
                else:
                    queries.append(Query(ids, starts[place]))
                    asked.append((number, place))
        likely = candidate_words(
            queries,
            self.ask,
            tokenizer,
            count=self.num_candidates,
            batch_size=self.batch_size,
            max_seq_length=self.max_seq_length,
        )
        near = self._nearest(rows[number][place] for number, place in unasked)
        for (number, place), found in zip(
            asked + unasked, likely + near, strict=True
        ):
            if found:
                candidates[number][place] = found
        return list(zip(rows, candidates, strict=True))

    def _nearest(self, words: Iterable[str]) -> list[list[str]]:
        if self.vectors is None:
            return [[] for _ in words]
        words = list(words)
        new = [word for word in dict.fromkeys(words) if word not in self.near]
        found = self.vectors.nearest(new, self.num_candidates)
        self.near.update(zip(new, found, strict=True))
        return [self.near[word] for word in words]
