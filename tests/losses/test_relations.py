"""Relations between tokens by other formulas, and what is refused."""

import numpy as np
import pytest

from tfdistill.losses.reduction import loss_of
from tfdistill.losses.relations import relation_kl

LENGTHS = (4, 3)
MASK = np.arange(4) < np.array(LENGTHS)[:, None]
DRAW = np.random.default_rng(0)
# 2 heads of 6 and 4 heads of 6: both widths divide by 3.
STUDENT = DRAW.normal(size=(2, 2, 4, 6))
TEACHER = DRAW.normal(size=(2, 4, 4, 6))


def relation(tokens):
    """`[length, head size]` to probabilities `[length, length]`."""
    weights = np.exp(tokens @ tokens.T / np.sqrt(tokens.shape[1]))
    return weights / weights.sum(-1, keepdims=True)


def tokens_of(x, head, heads):
    """A relation head's vectors: its share of each token's whole vector."""
    whole = np.concatenate(list(x), axis=-1)
    return np.split(whole, heads, axis=-1)[head]


@pytest.mark.parametrize(
    ("reduction", "lengths"), [("mean", LENGTHS), ("original", (4, 4))]
)
def test_heads_that_are_split_anew(reduction, lengths):
    divergences = []
    for s, t, n in zip(STUDENT, TEACHER, lengths, strict=True):
        for head in range(3):
            q = relation(tokens_of(s, head, 3)[:n])
            p = relation(tokens_of(t, head, 3)[:n])
            divergences += list((p * np.log(p / q)).sum(-1))
    parts = relation_kl(
        STUDENT, TEACHER, MASK, relation_heads=3, reduction=reduction
    )
    np.testing.assert_allclose(
        loss_of(parts), np.sum(divergences) / (3 * sum(lengths))
    )
    np.testing.assert_allclose(parts.weights, lengths)


def test_as_many_relation_heads_as_heads():
    other = DRAW.normal(size=(2, 2, 4, 5))
    found = relation_kl(STUDENT, other, MASK, relation_heads=2)
    expected = relation_kl(STUDENT, other, MASK)
    np.testing.assert_allclose(found.values, expected.values)


def test_a_number_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"5 does not divide the width 12"):
        relation_kl(STUDENT, TEACHER, MASK, relation_heads=5)
    with pytest.raises(ValueError, match="-1 does not divide"):
        relation_kl(STUDENT, TEACHER, MASK, relation_heads=-1)
