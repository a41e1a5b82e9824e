"""Masking for the masked-LM task.

Reference: Devlin et al., 2019, section 3.1 and appendix A.1; the order of
the random draws is that of the published code, so that equal generators give
equal masks.
"""

import functools
import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfdistill.text.tokenizer import Tokenizer

MASKED_PROB = 0.8
# Of the rest, this share keeps the token and the others get a random one.
KEPT_PROB = 0.5
_LENGTHS_KEPT = 1024
_MASK = re.compile(r"(?<!\S)\[MASK\](?!\S)")


def num_predictions(
    length: int, masked_lm_prob: float, max_predictions_per_seq: int
) -> int:
    """Returns how many of `length` tokens (special ones too) to mask.

    At least one; halves round to even, as in the published code.
    """
    wanted = max(1, round(length * masked_lm_prob))
    return min(max_predictions_per_seq, wanted)


def mask_tokens(
    input_ids: Sequence[int],
    *,
    num_to_predict: int,
    special_ids: frozenset[int],
    mask_id: int,
    vocabulary_size: int,
    rng: random.Random,
    continues_word: np.ndarray | None = None,
) -> tuple[list[int], list[int], list[int]]:
    """Choose tokens to predict and replace most of them.

    Of the chosen tokens 80 % become [MASK], 10 % stay, and 10 % become a
    piece drawn from the whole vocabulary, special pieces included.

    Args:
        input_ids: Token ids, special ones included.
        num_to_predict: Tokens to choose, at most.
        special_ids: Ids that are never chosen ([CLS], [SEP]).
        mask_id: Id of [MASK].
        vocabulary_size: V.
        rng: Source of the draws.
        continues_word: bool `[V]`; where given, whole words are chosen, and
            words too long for what is left are passed over.

    Returns:
        The new ids, the positions in ascending order, and the original ids
        at these positions.
    """
    own = [i for i, x in enumerate(input_ids) if x not in special_ids]
    if continues_word is None:
        shuffle(own, rng)
        chosen = own[:num_to_predict]
    else:
        words = _words(own, continues_word[np.array(input_ids)])
        shuffle(words, rng)
        chosen = []
        for word in words:
            if len(chosen) + len(word) <= num_to_predict:
                chosen += word
    ids = list(input_ids)
    for position in chosen:
        if rng.random() < MASKED_PROB:
            ids[position] = mask_id
        elif rng.random() >= KEPT_PROB:
            ids[position] = rng.randint(0, vocabulary_size - 1)
    chosen.sort()
    return ids, chosen, [input_ids[position] for position in chosen]


def _words(own: list[int], continues_word: np.ndarray) -> list[list[int]]:
    """Group positions into words, by whether the piece there goes on."""
    words: list[list[int]] = []
    for position in own:
        if words and continues_word[position]:
            words[-1].append(position)
        else:
            words.append([position])
    return words


def shuffle(values: list[Any], rng: random.Random) -> None:
    """Shuffle as `rng.shuffle` does, with the same draws, in less time.

    Half of the time that masking took was spent in calls of its draws.
    """
    draw = rng.getrandbits
    for i, bits in _places(len(values)):
        j = draw(bits)
        while j > i:
            j = draw(bits)
        values[i], values[j] = values[j], values[i]


@functools.lru_cache(maxsize=_LENGTHS_KEPT)
def _places(length: int) -> list[tuple[int, int]]:
    """Returns what is swapped, from the end, and the bits of its draws."""
    return [(i, (i + 1).bit_length()) for i in range(length - 1, 0, -1)]


def tokenize_with_masks(
    tokenizer: Tokenizer, lines: list[str]
) -> list[list[int]]:
    """Tokenize lines in which the word [MASK] is that piece."""
    parts = [_MASK.split(line) for line in lines]
    ids = iter(tokenizer.tokenize([part for line in parts for part in line]))
    found = []
    for line in parts:
        together = next(ids)
        for _ in line[1:]:
            together = [*together, tokenizer.mask_id, *next(ids)]
        found.append(together)
    return found
