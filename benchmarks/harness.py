"""What benchmarks share: runs in turns, their medians, and how rows are shown.

`BENCHMARK_SIZE=small` makes every benchmark quick, to see that it works; its
numbers mean little then.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

SIZES = ("full", "small")
Value = TypeVar("Value")


class Row(NamedTuple):
    """A ratio that was measured.

    Attributes:
        name: What was done, and against what.
        ratio: Ours to the peer's: more is better, unless the name says what
            it is.
        aim: What it should be at least; None where there is none.
        facts: What it follows from, with units in the names.
    """

    name: str
    ratio: float
    aim: float | None = None
    facts: Mapping[str, Any] = {}


def sized(full: Value, small: Value) -> Value:
    """Returns one of two sizes, as `BENCHMARK_SIZE` asks for.

    Raises:
        ValueError: It asks for neither.
    """
    asked = os.environ.get("BENCHMARK_SIZE", "full")
    if asked not in SIZES:
        raise ValueError(
            f"Unknown BENCHMARK_SIZE {asked!r}. Known: {', '.join(SIZES)}."
        )
    return full if asked == "full" else small


def in_turns(
    runs: Mapping[str, Callable[[], float | None]], rounds: int
) -> dict[str, float]:
    """Run all in turns, once more than counts, as the first builds graphs.

    Args:
        runs: What is timed. One that returns a number has measured its own
            seconds.
        rounds: That count.

    Returns:
        The median seconds of each.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            own = run()
            taken = time.perf_counter() - started if own is None else own
            if number:
                seconds[name].append(taken)
    return {name: statistics.median(x) for name, x in seconds.items()}


def rates(
    seconds: Mapping[str, float], units: int, unit: str
) -> dict[str, float]:
    """Returns how many units a second each did, by names that say so."""
    return {
        f"{who}_{unit}_per_second": round(units / taken, 2)
        for who, taken in seconds.items()
    }


def report(benchmark: str, rows: Iterable[Row]) -> None:
    """Print a table on stderr and one line of JSON on stdout."""
    shown = [
        {
            "name": row.name,
            "ratio": round(row.ratio, 4),
            "aim": row.aim,
            **row.facts,
        }
        for row in rows
    ]
    found = {
        "benchmark": benchmark,
        "size": sized(*SIZES),
        "rows": shown,
    }
    show([found])
    print(json.dumps(found), flush=True)


def show(found: list[dict[str, Any]]) -> None:
    """Print the rows of what was reported as a table on stderr."""
    cells = [("", "ratio", "aim", "")]
    for one in found:
        for row in one["rows"]:
            facts = dict(row)
            name, ratio = facts.pop("name"), facts.pop("ratio")
            aim = facts.pop("aim")
            cells.append(
                (
                    f"{one['benchmark']}: {name}",
                    f"{ratio:.3g}",
                    "" if aim is None else f"{aim:.3g}",
                    ", ".join(f"{k} {v}" for k, v in facts.items()),
                )
            )
    width = max(len(name) for name, *_ in cells)
    for name, ratio, aim, more in cells:
        print(
            f"{name:{width}} {ratio:>8} {aim:>8}  {more}".rstrip(),
            file=sys.stderr,
        )
