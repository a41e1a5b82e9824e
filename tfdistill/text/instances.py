"""Examples of the pre-training tasks, made from tokenised documents.

Reference: Devlin et al., 2019, appendix A.2. The draws are made in the order
of the published code. `packed_sequences` follows the FULL-SENTENCES format of
Liu et al., "RoBERTa", 2019, section 4.2.
"""

import dataclasses
import random
from collections.abc import Iterator, Sequence

# [CLS] A [SEP] B [SEP], or [CLS] A [SEP].
_SPECIALS_OF_A_PAIR = 3
_SPECIALS_OF_A_SEQUENCE = 2
_TRIES_FOR_ANOTHER_DOCUMENT = 10

Document = Sequence[Sequence[int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """One example before masking.

    Attributes:
        input_ids: Token ids with their special tokens.
        first_segment_length: Tokens in segment 0; the rest are segment 1.
        is_random_next: Whether the second sentence is a random one; None
            where there is no second sentence.
    """

    input_ids: list[int]
    first_segment_length: int
    is_random_next: bool | None


def sentence_pairs(
    documents: Sequence[Document],
    index: int,
    *,
    max_seq_length: int,
    short_seq_prob: float,
    cls_id: int,
    sep_id: int,
    rng: random.Random,
) -> Iterator[Instance]:
    """Yield the pairs that one document gives in one pass.

    A pair follows the text half of the time; else its second part comes
    from another document (from the same one where ten draws find no other).

    Args:
        documents: Documents as lists of sentences as lists of token ids.
        index: The document to go through.
        max_seq_length: L.
        short_seq_prob: Probability of a target length drawn from 2 to L - 3
            for this document, instead of L - 3.
        cls_id: Id of [CLS].
        sep_id: Id of [SEP].
        rng: Source of the draws.
    """
    document = documents[index]
    max_num_tokens = max_seq_length - _SPECIALS_OF_A_PAIR
    target = max_num_tokens
    if rng.random() < short_seq_prob:
        target = rng.randint(2, max_num_tokens)
    chunk: list[Sequence[int]] = []
    length = 0
    i = 0
    while i < len(document):
        chunk.append(document[i])
        length += len(document[i])
        if i == len(document) - 1 or length >= target:
            a_end = 1
            if len(chunk) >= 2:
                a_end = rng.randint(1, len(chunk) - 1)
            first = [token for sentence in chunk[:a_end] for token in sentence]
            is_random_next = len(chunk) == 1 or rng.random() < 0.5
            if is_random_next:
                second = _random_second(
                    documents, index, target - len(first), rng
                )
                # The sentences that were not used are gone through again.
                i -= len(chunk) - a_end
            else:
                second = [t for sentence in chunk[a_end:] for t in sentence]
            _truncate_pair(first, second, max_num_tokens, rng)
            yield Instance(
                [cls_id, *first, sep_id, *second, sep_id],
                len(first) + 2,
                is_random_next,
            )
            chunk = []
            length = 0
        i += 1


def _random_second(
    documents: Sequence[Document],
    index: int,
    target: int,
    rng: random.Random,
) -> list[int]:
    for _ in range(_TRIES_FOR_ANOTHER_DOCUMENT):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    document = documents[other]
    tokens: list[int] = []
    for sentence in document[rng.randint(0, len(document) - 1) :]:
        tokens.extend(sentence)
        if len(tokens) >= target:
            break
    return tokens


def _truncate_pair(
    first: list[int],
    second: list[int],
    max_num_tokens: int,
    rng: random.Random,
) -> None:
    while len(first) + len(second) > max_num_tokens:
        longer = first if len(first) > len(second) else second
        if rng.random() < 0.5:
            del longer[0]
        else:
            longer.pop()


def packed_sequences(
    documents: Sequence[Document],
    *,
    max_seq_length: int,
    cls_id: int,
    sep_id: int,
) -> Iterator[Instance]:
    """Yield single sequences packed full with whole sentences.

    A sequence may cross from one document into the next, with a [SEP]
    between them. A sentence too long for a sequence is cut.
    """
    room = max_seq_length - _SPECIALS_OF_A_SEQUENCE
    packed: list[int] = []
    for document in documents:
        for number, sentence in enumerate(document):
            separator = [sep_id] if packed and number == 0 else []
            if packed and len(packed) + len(separator) + len(sentence) > room:
                yield _sequence(packed, cls_id, sep_id)
                packed, separator = [], []
            packed += [*separator, *sentence]
            while len(packed) > room:
                yield _sequence(packed[:room], cls_id, sep_id)
                packed = packed[room:]
    if packed:
        yield _sequence(packed, cls_id, sep_id)


def _sequence(tokens: list[int], cls_id: int, sep_id: int) -> Instance:
    return Instance([cls_id, *tokens, sep_id], len(tokens) + 2, None)
