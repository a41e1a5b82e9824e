"""Maps a function over a stream in several processes, keeping the order."""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items in hand for each process: enough to keep it busy, few in memory.
ITEMS_PER_PROCESS = 4


def process_count(num_processes: int) -> int:
    """Returns the number asked for; one per core where that is 0."""
    return num_processes or os.cpu_count() or 1


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    num_processes: int,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items.

    Items are drawn as results are taken, so memory stays bounded however
    many there are.

    Args:
        function: Function of a module, so that another process can find it.
        items: What to map; drawn in the calling process.
        num_processes: Processes to start; with 1 everything is done in the
            calling process.

    Raises:
        ChildProcessError: A process ended without a result, as when the
            system is out of memory.
    """
    if num_processes == 1:
        yield from map(function, items)
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        num_processes,
        # A fork would copy the threads' locks of whoever is calling.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
    )
    waiting: collections.deque[concurrent.futures.Future[Result]]
    waiting = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ITEMS_PER_PROCESS * num_processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise ChildProcessError(
            "a worker process ended without a result; it may have been "
            "killed because memory ran out."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    # An interrupt at the terminal reaches all processes; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    # Otherwise a killed parent leaves workers waiting for work forever.
    threading.Thread(target=wait, daemon=True).start()
