"""Instances against the published algorithm, draw by draw."""

import random

import pytest

from tfdistill.text.instances import (
    _truncate_pair,
    packed_sequences,
    sentence_pairs,
)
from tfdistill.text.masking import mask_tokens, num_predictions

CLS, SEP, MASK = 100, 101, 102


def numbered(*sentences: str) -> list[list[int]]:
    """Sentences of letters as ids: a1 is 11, b2 is 22, …"""
    return [
        [10 * (ord(t[0]) - 96) + int(t[1]) for t in s.split()]
        for s in sentences
    ]


def masked(instance, rng, *, p=0.15, most=3, vocabulary_size=10):
    return mask_tokens(
        instance.input_ids,
        num_to_predict=num_predictions(len(instance.input_ids), p, most),
        special_ids=frozenset({CLS, SEP}),
        mask_id=MASK,
        vocabulary_size=vocabulary_size,
        rng=rng,
    )


def test_pairs_draw_by_draw():
    documents = [
        numbered("a1 a2", "a3", "a4 a5 a6"),
        numbered("b1", "b2 b3"),
    ]
    rng = random.Random(12345)
    found = []
    for index in range(2):
        for instance in sentence_pairs(
            documents,
            index,
            max_seq_length=10,
            short_seq_prob=0.1,
            cls_id=CLS,
            sep_id=SEP,
            rng=rng,
        ):
            ids, positions, labels = masked(instance, rng)
            found.append((ids, instance.is_random_next, positions, labels))
    assert found == [
        ([CLS, MASK, 12, SEP, 13, 14, 15, 16, SEP], False, [1], [11]),
        ([CLS, 21, SEP, 14, MASK, 16, SEP], True, [4], [15]),
        (
            [CLS, 22, 23, SEP, 12, MASK, 14, 6, 16, SEP],
            True,
            [5, 7],
            [13, 15],
        ),
    ]


def test_truncation_draw_by_draw():
    first, second = list("abcdef"), list("gh")
    _truncate_pair(first, second, 5, random.Random(12345))
    assert (first, second) == (list("cde"), list("gh"))


def test_packed_sequences():
    documents = [[[1, 2, 3], [4, 5]], [[6, 7]], [list(range(10, 20))]]
    found = [
        i.input_ids
        for i in packed_sequences(
            documents, max_seq_length=8, cls_id=CLS, sep_id=SEP
        )
    ]
    assert found == [
        [CLS, 1, 2, 3, 4, 5, SEP],
        [CLS, 6, 7, SEP],
        [CLS, 10, 11, 12, 13, 14, 15, SEP],
        [CLS, 16, 17, 18, 19, SEP],
    ]


def test_packed_sequences_put_a_separator_between_documents():
    documents = [[[1, 2]], [[3, 4]]]
    found = list(
        packed_sequences(documents, max_seq_length=8, cls_id=CLS, sep_id=SEP)
    )
    assert [i.input_ids for i in found] == [[CLS, 1, 2, SEP, 3, 4, SEP]]
    assert found[0].first_segment_length == 7


@pytest.fixture(scope="module")
def corpus():
    rng = random.Random(7)
    return [
        [
            [rng.randint(0, 99) for _ in range(rng.randint(3, 25))]
            for _ in range(rng.randint(1, 20))
        ]
        for _ in range(200)
    ]


def test_statistics(corpus):
    rng = random.Random(1)
    kinds = {"mask": 0, "kept": 0, "random": 0}
    is_random_next = []
    for index in range(len(corpus)):
        for instance in sentence_pairs(
            corpus,
            index,
            max_seq_length=128,
            short_seq_prob=0.1,
            cls_id=CLS,
            sep_id=SEP,
            rng=rng,
        ):
            before = instance.input_ids
            assert len(before) <= 128
            # Both parts hold something.
            assert instance.first_segment_length >= 3
            assert len(before) - instance.first_segment_length >= 2
            is_random_next.append(instance.is_random_next)
            ids, positions, labels = masked(
                instance, rng, most=20, vocabulary_size=100_000
            )
            assert positions == sorted(set(positions))
            for position, label in zip(positions, labels, strict=True):
                assert label == before[position] not in (CLS, SEP)
                if ids[position] == MASK:
                    kinds["mask"] += 1
                elif ids[position] == label:
                    kinds["kept"] += 1
                else:
                    kinds["random"] += 1
    total = sum(kinds.values())
    assert total >= 5000
    assert abs(kinds["mask"] / total - 0.8) < 0.02
    assert abs(kinds["kept"] / total - 0.1) < 0.02
    assert abs(kinds["random"] / total - 0.1) < 0.02
    # One-sentence chunks have no next sentence, so it is more than half.
    assert 0.55 < sum(is_random_next) / len(is_random_next) < 0.67
