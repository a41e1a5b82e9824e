"""Learns a WordPiece vocabulary from text.

The learner is that of TensorFlow Text, whose words are split as BERT splits
them. It is called here threshold by threshold, since its own search may end
with more pieces than were asked for, and says nothing for hours.
"""

import collections
import math
from collections.abc import Callable, Iterable, Mapping

import tensorflow as tf
from tensorflow_text.python.ops.bert_tokenizer import BasicTokenizer
from tensorflow_text.tools.wordpiece_vocab import (
    wordpiece_tokenizer_learner_lib as learner,
)

from tfdistill.text.word_pieces import SPECIAL_PIECES, normalize

# BERT's own vocabularies keep about this many characters.
MOST_CHARACTERS = 1000
# All parts of these words are held in memory, a few gigabytes at most.
MOST_WORDS = 500_000
MOST_PIECE_CHARACTERS = 50
LEARNER_ROUNDS = 4
# A vocabulary this close to the size asked for is taken.
SLACK = 0.02
# Distinct strings between spaces that are held before they are split.
MOST_STRINGS = 1_000_000
STRINGS_AT_ONCE = 20_000

Count = collections.Counter[str]


class WordCounter:
    """Counts words as the tokenizer splits them.

    Neither normalising nor splitting looks across white space, so it is
    enough to do it once for every distinct string between spaces.
    """

    def __init__(self, do_lower_case: bool) -> None:
        self._do_lower_case = do_lower_case
        self._tokenizer = BasicTokenizer(lower_case=False)
        self._strings: Count = collections.Counter()
        self._words: Count = collections.Counter()

    def add(self, sentences: Iterable[str]) -> None:
        """Count the words of some sentences."""
        for sentence in sentences:
            self._strings.update(sentence.split())
        if len(self._strings) > MOST_STRINGS:
            self._split()

    def words(self) -> Count:
        """Returns the number of times that each word occurred."""
        self._split()
        return self._words

    def _split(self) -> None:
        strings = list(self._strings)
        for start in range(0, len(strings), STRINGS_AT_ONCE):
            some = strings[start : start + STRINGS_AT_ONCE]
            plain = [normalize(item, self._do_lower_case) for item in some]
            rows = self._tokenizer.tokenize(tf.constant(plain)).to_list()
            for string, row in zip(some, rows, strict=True):
                for word in row:
                    self._words[word.decode()] += self._strings[string]
        self._strings.clear()


def learn_vocabulary(
    words: Mapping[str, int],
    vocab_size: int,
    tried: Callable[[int, int], None] = lambda threshold, size: None,
) -> list[str]:
    """Learn the pieces of a vocabulary; the same words give the same pieces.

    Args:
        words: How often each word occurs.
        vocab_size: Pieces at most, the reserved ones included.
        tried: Called after each threshold with it and the number of pieces
            that are that frequent.

    Returns:
        The reserved pieces, then all characters in order, then pieces by
        falling frequency. Every one of the `MOST_CHARACTERS` most frequent
        characters has a piece, if the size allows.

    Raises:
        ValueError: There are no words.
    """
    # The learner breaks ties by the order in which it is given the words.
    counts = learner.get_input_words(
        sorted(words.items()), SPECIAL_PIECES, MOST_PIECE_CHARACTERS
    )
    if not counts:
        raise ValueError("the text holds no words.")
    # A character stands for two pieces, at the start of a word and within.
    most = min(MOST_CHARACTERS, (vocab_size - len(SPECIAL_PIECES)) // 2)
    allowed = learner.get_allowed_chars(counts, most)
    counts = learner.filter_input_words(counts, allowed, MOST_WORDS)
    # A character keeps its piece even where all of its words are too rare.
    missing = allowed - learner.extract_char_tokens(counts)
    counts += [(character, 1) for character in sorted(missing)]
    parameters = learner.Params(
        upper_thresh=None,
        lower_thresh=None,
        num_iterations=LEARNER_ROUNDS,
        max_input_tokens=MOST_WORDS,
        max_token_length=MOST_PIECE_CHARACTERS,
        max_unique_chars=most,
        vocab_size=vocab_size,
        slack_ratio=SLACK,
        include_joiner_token=True,
        joiner="##",
        reserved_tokens=list(SPECIAL_PIECES),
    )
    best: list[str] = []
    # Sizes fall about as a power of the threshold: halve its logarithm. A
    # piece occurs at most once per character.
    lowest = 1
    highest = MOST_PIECE_CHARACTERS * sum(count for _, count in counts) + 1
    while lowest <= highest:
        threshold = math.isqrt(lowest * highest)
        pieces = learner.learn_with_thresh(counts, threshold, parameters)
        tried(threshold, len(pieces))
        if len(pieces) > vocab_size:
            lowest = threshold + 1
            continue
        if len(pieces) > len(best):
            best = pieces
        if len(pieces) >= vocab_size * (1 - SLACK):
            break
        highest = threshold - 1
    return best


def characters_left_out(
    words: Mapping[str, int], vocabulary: Iterable[str]
) -> int:
    """Returns how many characters of the words have no piece."""
    known = set(vocabulary)
    return len(learner.extract_char_tokens(words.items()) - known)
