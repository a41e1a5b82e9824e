"""Windows that slide over a text which is longer than a model reads.

Reference: Devlin et al., 2019, the published `run_squad.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """Some tokens of a text, in a row.

    Attributes:
        start: Index of the first.
        length: How many there are.
    """

    start: int
    length: int


def sliding_windows(num_tokens: int, room: int, stride: int) -> list[Window]:
    """Cut a text into windows that overlap, so that each token is in one.

    Args:
        num_tokens: Of the text; a text without any has one empty window.
        room: Tokens of a window, at most; positive.
        stride: From the beginning of one window to that of the next, at
            most; positive.

    Returns:
        The windows in their order; the last one ends with the text.
    """
    windows = []
    start = 0
    while True:
        length = min(num_tokens - start, room)
        windows.append(Window(start, length))
        if start + length == num_tokens:
            return windows
        start += min(length, stride)


def most_context(windows: Sequence[Window], num_tokens: int) -> np.ndarray:
    """Find the window in which each token has the most context.

    Context is the lesser number of tokens on one side, and a hundredth of
    the window's length; of equal windows the first one counts.

    Args:
        windows: As `sliding_windows` gives them.
        num_tokens: Of the text, T.

    Returns:
        int64 `[T]`, indices of windows.
    """
    tokens = np.arange(num_tokens)
    scores = np.full((len(windows), num_tokens), -np.inf)
    for i, (start, length) in enumerate(windows):
        own = tokens[start : start + length]
        sides = np.minimum(own - start, start + length - 1 - own)
        scores[i, own] = sides + 0.01 * length
    return scores.argmax(axis=0)
