"""Training steps on two Horovod ranks against one, each on a core of its own.

    python -m benchmarks.ranks

Every rank has 32 examples of 128 tokens with 20 masked positions, whose top 10
are recorded, whatever the number of ranks; so twice the examples go through in
the same time where nothing is lost. Runs alternate. The ratio is the rate of
two ranks over twice the rate of one; beside it stands the share of a step that
the sum of the gradients takes by itself.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from benchmarks.harness import Row, report, sized

STUDENTS = sized(("2 x 128", "4 x 312"), ("2 x 128",))
PER_RANK = 32
ROUNDS, STEPS = sized(3, 1), sized(8, 2)
AIM = 0.9


def main() -> None:
    """Run all students."""
    rows = []
    for name in STUDENTS:
        found: dict[int, list[dict]] = {1: [], 2: []}
        for _ in range(ROUNDS):
            for ranks in found:
                found[ranks].append(run(name, ranks))
        middle = {
            ranks: {k: statistics.median(r[k] for r in runs) for k in runs[0]}
            for ranks, runs in found.items()
        }
        rates = {n: m["examples_per_second"] for n, m in middle.items()}
        facts = {
            "one_rank_examples_per_second": round(rates[1], 1),
            "two_ranks_examples_per_second": round(rates[2], 1),
            "sum_share": round(middle[2]["sum_share"], 3),
        }
        ratio = rates[2] / rates[1] / 2
        rows.append(Row(f"{name}, two ranks to one", ratio, AIM, facts))
    report("ranks", rows)


def run(student: str, ranks: int) -> dict:
    """Start ranks, each on its core; returns what the first one measured."""
    mpirun = pathlib.Path(sys.executable).with_name("mpirun")
    is_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [
            str(mpirun),
            *is_root,
            *("-np", str(ranks), "--host", f"localhost:{ranks}"),
            *("--bind-to", "none"),
            *(sys.executable, "-m", "benchmarks.ranks", student),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(student: str) -> None:
    """Time the steps of one rank."""
    rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
    # Before TensorFlow counts the cores that it may use.
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
    import tfdistill  # noqa: F401, I001, settles TensorFlow's log level first
    import tensorflow as tf

    from benchmarks.material import (
        STUDENTS,
        as_batch,
        make_student,
        random_examples,
        soft_target_step,
        top_k_codec,
        K,
    )
    from tfdistill.distillation import recorded_teacher
    from tfdistill.replicas import make_replicas

    replicas = make_replicas("horovod", 0)
    config = STUDENTS[student]
    step = soft_target_step(config, recorded_teacher(top_k_codec()), replicas)
    first, _ = replicas.process_slice(PER_RANK * replicas.num_replicas)
    batch = as_batch(list(random_examples(PER_RANK, K)), first)
    shapes = [v.shape for v in make_student(config)[1].values()]
    add = replicas.compile(
        lambda x: replicas.sum([tf.fill(s, x["one"]) for s in shapes])[0][0]
    )
    seconds, one = {}, tf.constant(1.0)
    for name, once in (
        ("step", lambda: float(step(batch)["loss"])),
        ("sum", lambda: add({"one": one}).numpy()),
    ):
        once(), once()
        taken = []
        for _ in range(STEPS):
            started = time.perf_counter()
            once()
            taken.append(time.perf_counter() - started)
        seconds[name] = statistics.median(taken)
    if replicas.process.is_chief:
        print(
            json.dumps(
                {
                    "examples_per_second": PER_RANK
                    * replicas.num_replicas
                    / seconds["step"],
                    "sum_share": seconds["sum"] / seconds["step"],
                }
            )
        )


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
