"""Parallel maps keep the order, bound what is in hand, and never hang."""

import os
import time
from collections.abc import Iterator

import pytest

from tfdistill.text.parallel import ITEMS_PER_PROCESS, map_in_order


def _slow_first(item: int) -> int:
    time.sleep(0.2 if item == 0 else 0)
    return item * item


def _die(item: int) -> int:
    os._exit(1)


def _refuse(item: int) -> int:
    raise ValueError(f"no {item}")


def test_order_and_bound() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for item in range(40):
            drawn += 1
            yield item

    results = []
    for result in map_in_order(_slow_first, items(), 2):
        results.append(result)
        assert drawn <= len(results) + 2 * ITEMS_PER_PROCESS
    assert results == [item * item for item in range(40)]


def test_dead_worker_is_reported() -> None:
    with pytest.raises(ChildProcessError, match="worker process ended"):
        list(map_in_order(_die, range(20), 2))


@pytest.mark.parametrize("processes", [1, 2])
def test_error_in_worker_is_raised(processes: int) -> None:
    with pytest.raises(ValueError, match="no 0"):
        list(map_in_order(_refuse, range(20), processes))
