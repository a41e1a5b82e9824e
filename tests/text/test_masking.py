"""Masking against the published algorithm, draw by draw."""

import random

import numpy as np
import pytest
from golden import golden

from tfdistill.text.masking import mask_tokens, num_predictions, shuffle

GOLDEN = golden("transformer_distillation")["num_predictions"]


@pytest.mark.parametrize("length", GOLDEN["by_length"])
def test_num_predictions(length):
    found = num_predictions(
        int(length),
        GOLDEN["masked_lm_prob"],
        GOLDEN["max_predictions_per_seq"],
    )
    assert found == GOLDEN["by_length"][length]


# [CLS] a b c d e f [SEP] g h i j [SEP]
TOKENS = [100, 1, 2, 3, 4, 5, 6, 101, 7, 8, 9, 10, 101]
SPECIAL = frozenset({100, 101})


@pytest.mark.parametrize(
    ("p", "most", "positions", "labels"),
    [(0.15, 20, [9, 10], [8, 9]), (0.5, 3, [4, 9, 10], [4, 8, 9])],
)
def test_masks_draw_by_draw(p, most, positions, labels):
    ids, found, originals = mask_tokens(
        TOKENS,
        num_to_predict=num_predictions(len(TOKENS), p, most),
        special_ids=SPECIAL,
        mask_id=102,
        vocabulary_size=10,
        rng=random.Random(12345),
    )
    assert (found, originals) == (positions, labels)
    assert all(ids[i] == 102 for i in positions)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 64, 65, 509])
def test_shuffle_draws_as_the_library_does(size):
    ours, theirs = random.Random(size), random.Random(size)
    for _ in range(20):
        found, expected = list(range(size)), list(range(size))
        shuffle(found, ours)
        theirs.shuffle(expected)
        assert found == expected
    assert ours.getstate() == theirs.getstate()


def test_whole_words_are_masked_together():
    continues_word = np.zeros(200, bool)
    continues_word[[3, 4, 8]] = True  # words: 1 | 2 3 4 | 5 | 6 | 7 8 | 9 | 10
    words = [{1}, {2, 3, 4}, {5}, {6}, {8, 9}, {10}, {11}]
    seen = set()
    for seed in range(200):
        _, positions, _ = mask_tokens(
            TOKENS,
            num_to_predict=4,
            special_ids=SPECIAL,
            mask_id=102,
            vocabulary_size=10,
            rng=random.Random(seed),
            continues_word=continues_word,
        )
        assert len(positions) <= 4
        for word in words:
            assert word <= set(positions) or not word & set(positions)
        seen |= set(positions)
    assert seen == set().union(*words)
