"""Windows over a text, against the published loops."""

import numpy as np
import pytest
from official.nlp.data import squad_lib

from tfdistill.text.windows import Window, most_context, sliding_windows

SIZES = [
    (n, room, stride)
    for n in (1, 2, 7, 8, 9, 40, 41)
    for room in (1, 4, 8, 50)
    for stride in (1, 3, 8, 60)
]


@pytest.mark.parametrize(("n", "room", "stride"), SIZES)
def test_windows(n, room, stride):
    windows = sliding_windows(n, room, stride)
    covered = set()
    for start, length in windows:
        assert 0 < length <= room
        covered |= set(range(start, start + length))
    assert covered == set(range(n))
    starts = [start for start, _ in windows]
    assert all(np.diff(starts) == min(room, stride))
    # Only the last one reaches the end.
    assert [s + length == n for s, length in windows].index(True) == (
        len(windows) - 1
    )
    best = most_context(windows, n)
    for token in range(n):
        for i in range(len(windows)):
            theirs = squad_lib._check_is_max_context(windows, i, token)
            assert theirs == (best[token] == i)


def test_text_without_tokens_has_a_window():
    assert sliding_windows(0, 5, 2) == [Window(0, 0)]
    assert most_context([Window(0, 0)], 0).tolist() == []
