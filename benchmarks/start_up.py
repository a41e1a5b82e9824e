"""Where the time goes from a command's start to the end of its second step.

    python -m benchmarks.start_up

A new process trains a student of 4 x 312 on records with top 10, 32 examples of
128 tokens at a time, and notes when each stage is over; medians of several
processes. The first process, which fills the disk's cache, does not count. Each
row is a stage's share of the whole; there is no peer.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.harness import Row, report, sized

BATCH, EXAMPLES = 32, 256
ROUNDS = sized(5, 1)


def main() -> None:
    """Start processes and report their stages."""
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder))
        found = [run(folder) for _ in range(ROUNDS + 1)][1:]
    seconds = {
        stage: statistics.median(stages[stage] for stages in found)
        for stage in found[0]
    }
    total = sum(seconds.values())
    rows = [
        Row(stage, taken / total, facts={"seconds": round(taken, 2)})
        for stage, taken in seconds.items()
    ]
    report(
        "start_up", [*rows, Row("all", 1, facts={"seconds": round(total, 2)})]
    )


def write(folder: pathlib.Path) -> None:
    """Write the records that are trained on."""
    from benchmarks.material import K, random_examples, write_records

    write_records(folder, random_examples(EXAMPLES, K), k=K)


def run(folder: str) -> dict[str, float]:
    """Returns the seconds of a new process's stages."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.start_up", folder, str(time.time())],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def stages(folder: str) -> Iterator[str]:
    """Go from stage to stage, and yield the name of each when it is over."""
    yield "Python"
    import tfdistill
    import tensorflow as tf  # isort: skip

    yield "import tensorflow, Keras included"
    import tfdistill.distill  # noqa: F401

    yield "import tfdistill"
    from benchmarks.material import STUDENTS, soft_target_step, stream
    from tfdistill.distillation import recorded_teacher
    from tfdistill.records import open_record_set

    records = open_record_set(folder)
    step = soft_target_step(
        STUDENTS["4 x 312"], recorded_teacher(records.codec())
    )
    yield "student, optimizer"
    batch = next(stream(records, BATCH)) | {
        "step": tf.zeros([BATCH], tf.int64),
        "is_stopping": tf.zeros([BATCH]),
    }
    yield "data set, first batch"
    float(step(batch)["loss"])
    yield "graph of a step, first step"
    float(step(batch)["loss"])
    yield "second step"


def measure(folder: str, started: float) -> dict[str, float]:
    """Returns the seconds of this process's stages."""
    seconds = {}
    for stage in stages(folder):
        now = time.time()
        seconds[stage], started = now - started, now
    return seconds


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        print(json.dumps(measure(sys.argv[1], float(sys.argv[2]))))
