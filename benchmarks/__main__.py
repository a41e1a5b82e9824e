"""Runs all benchmarks, one after another: `make bench`.

    python -m benchmarks [--size=small] [--output=runs/benchmarks] [NAME ...]

Each one's line of JSON goes to a file of its name in the output folder; at the
end all rows are printed as one table on stderr, and as one line of JSON on
stdout. One that fails is named, the others run, and the exit status is 1.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

from benchmarks.harness import SIZES, show

# Those that need no files but what they fetch, the quick ones first.
NAMES = (
    "optimizer",
    "reading",
    "start_up",
    "op_costs",
    "ideas",
    "recomputation",
    "generation",
    "instances",
    "overhead",
    "ranks",
    "relations",
    "augmentation",
    "sampling",
    "objectives",
    "word_students",
    "text_generation",
    "extraction_memory",
    "recorded_students",
    "scaling",
    "extraction",
    "extraction_lengths",
)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("runs/benchmarks")
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"unknown {unknown[0]!r}. Known: {', '.join(NAMES)}.")
    options.output.mkdir(parents=True, exist_ok=True)
    found, failed = [], []
    for name in options.names or NAMES:
        started = time.monotonic()
        line = run(name, options.size)
        if line is None:
            failed.append(name)
            continue
        (options.output / f"{name}.json").write_text(line + "\n")
        found.append(json.loads(line))
        print(
            f"{name}: {time.monotonic() - started:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    show(found)
    print(json.dumps({"size": options.size, "failed": failed, "found": found}))
    sys.exit(1 if failed else 0)


def run(name: str, size: str) -> str | None:
    """Returns a benchmark's line of JSON, or None if it failed."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"],
        env=os.environ | {"BENCHMARK_SIZE": size},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        print(f"{name} failed", file=sys.stderr, flush=True)
        return None
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
