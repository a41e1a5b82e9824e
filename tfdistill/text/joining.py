"""Cutting one sentence or two to the length that a model reads."""

from collections.abc import Sequence


def cut_to(
    first: Sequence[int], second: Sequence[int] | None, room: int
) -> tuple[list[int], list[int]]:
    """Cut a sentence, or a pair, to so many tokens in all.

    A pair loses one token at a time from the end of the longer sentence;
    where both are as long, from the second.

    Args:
        first: Ids without special tokens.
        second: Those of the other sentence, or None.
        room: Tokens that may stay.

    Returns:
        What stays of both; an empty list for no second sentence.

    Raises:
        ValueError: `room` is negative.
    """
    if room < 0:
        raise ValueError(
            f"max_length is {-room} too short for the special tokens alone."
        )
    if second is None:
        return list(first[:room]), []
    kept, kept_second = len(first), len(second)
    while kept + kept_second > room:
        if kept > kept_second:
            kept -= 1
        else:
            kept_second -= 1
    return list(first[:kept]), list(second[:kept_second])
