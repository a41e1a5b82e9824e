import itertools

import pytest

from tfdistill.text.joining import cut_to


def cut_as_published(first, second, room):
    """As `_truncate_seq_pair` of BERT's published code."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        longer = first if len(first) > len(second) else second
        longer.pop()
    return first, second


def test_pairs_are_cut_as_published():
    for a, b, room in itertools.product(range(6), range(6), range(12)):
        first, second = range(a), range(10, 10 + b)
        expected = cut_as_published(first, second, room)
        assert cut_to(first, second, room) == expected


@pytest.mark.parametrize(
    ("second", "room", "expected"),
    [
        (None, 9, ([1, 2, 3, 4], [])),
        (None, 2, ([1, 2], [])),
        (None, 0, ([], [])),
        ([7, 8], 3, ([1, 2], [7])),
        ([7, 8], 4, ([1, 2], [7, 8])),
        ([7, 8], 0, ([], [])),
        # T2: what is as long is cut in the second sentence.
        ([7, 8, 9, 9, 9, 9], 5, ([1, 2, 3], [7, 8])),
    ],
)
def test_cut(second, room, expected):
    assert cut_to([1, 2, 3, 4], second, room) == expected


def test_arguments_stay():
    first, second = [1, 2, 3], [4, 5]
    cut_to(first, second, 2)
    cut_to(first, None, 2)
    assert (first, second) == ([1, 2, 3], [4, 5])
