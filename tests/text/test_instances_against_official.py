"""Instances equal those of the TensorFlow model garden's builder.

The garden takes masks from the end of its shuffled candidates where BERT's
published code, and ours, takes them from the beginning; a generator that
turns just that shuffle round makes both draw alike.
"""

import random

import pytest

from tfdistill.text.instances import sentence_pairs
from tfdistill.text.masking import mask_tokens, num_predictions

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{i}" for i in range(60)] + [f"##p{i}" for i in range(20)]
VOCABULARY = SPECIAL + WORDS


class ReversingRandom(random.Random):
    """Reverses what it has shuffled, if that is the candidates to mask."""

    def shuffle(self, x):
        super().shuffle(x)
        if x and type(x[0]).__name__ == "_Gram":
            x.reverse()


@pytest.fixture(scope="module")
def documents():
    rng = random.Random(3)
    return [
        [
            [rng.choice(WORDS) for _ in range(rng.randint(1, 30))]
            for _ in range(rng.randint(1, 15))
        ]
        for _ in range(40)
    ]


@pytest.mark.parametrize("max_seq_length", [16, 64, 128])
def test_equal_draws_give_equal_instances(documents, max_seq_length):
    from official.nlp.data import create_pretraining_data as official

    theirs_rng, ours_rng = ReversingRandom(5), random.Random(5)
    ids = {piece: i for i, piece in enumerate(VOCABULARY)}
    numbers = [[[ids[w] for w in s] for s in d] for d in documents]
    for index in range(len(documents)):
        theirs = official.create_instances_from_document(
            documents,
            index,
            max_seq_length,
            0.1,
            0.15,
            20,
            VOCABULARY,
            theirs_rng,
        )
        ours = []
        for instance in sentence_pairs(
            numbers,
            index,
            max_seq_length=max_seq_length,
            short_seq_prob=0.1,
            cls_id=ids["[CLS]"],
            sep_id=ids["[SEP]"],
            rng=ours_rng,
        ):
            length = len(instance.input_ids)
            tokens, positions, labels = mask_tokens(
                instance.input_ids,
                num_to_predict=num_predictions(length, 0.15, 20),
                special_ids=frozenset({ids["[CLS]"], ids["[SEP]"]}),
                mask_id=ids["[MASK]"],
                vocabulary_size=len(VOCABULARY),
                rng=ours_rng,
            )
            ours.append(
                (
                    [VOCABULARY[i] for i in tokens],
                    instance.first_segment_length,
                    instance.is_random_next,
                    positions,
                    [VOCABULARY[i] for i in labels],
                )
            )
        assert ours == [
            (
                t.tokens,
                t.segment_ids.count(0),
                t.is_random_next,
                t.masked_lm_positions,
                t.masked_lm_labels,
            )
            for t in theirs
        ]
