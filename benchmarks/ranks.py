"""Training steps on two Horovod ranks against one, each on a core of its own.

    python -m benchmarks.ranks

Every rank has 32 examples of 128 tokens with 20 masked positions, whose top 10
are recorded, whatever the number of ranks; so twice the examples go through in
the same time where nothing is lost. Runs alternate. Prints one line of JSON:
examples per second, efficiency (the rate of two ranks over twice the rate of
one), and the share of a step that the sum of the gradients takes by itself.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

STUDENTS: dict[str, dict[str, Any]] = {
    "2 x 128": {"num_layers": 2, "hidden_dim": 128, "num_heads": 2},
    "4 x 312": {"num_layers": 4, "hidden_dim": 312, "num_heads": 12},
}
PER_RANK, LENGTH, SLOTS, K, PIECES = 32, 128, 20, 10, 30522
PARTS = frozenset({"encoder", "masked_lm"})
ROUNDS, STEPS = 3, 8


def main() -> None:
    results = {}
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
        results[name] = {
            "parameters": int(middle[1]["parameters"]),
            "one_rank": round(rates[1], 1),
            "two_ranks": round(rates[2], 1),
            "efficiency": round(rates[2] / rates[1] / 2, 3),
            "sum_share": round(middle[2]["sum_share"], 3),
        }
        print(name, results[name], file=sys.stderr)
    print(json.dumps(results))


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

    from tfdistill.distillation import (
        OBJECTIVES,
        Context,
        TrainStep,
        bind_objectives,
        declare_objectives,
        recorded_teacher,
    )
    from tfdistill.models.configuration import BertConfig
    from tfdistill.models.bert import Bert
    from tfdistill.models.weights import (
        count_parameters,
        part_of,
        variable_names,
    )
    from tfdistill.records import Shapes, make_codec
    from tfdistill.replicas import make_replicas
    from tfdistill.tasks import MLM
    from tfdistill.training import Schedule, make_optimizer

    replicas = make_replicas("horovod", 0)
    model = Bert(
        dataclasses.replace(
            BertConfig(vocabulary_size=PIECES), **STUDENTS[student]
        ),
        seed=1,
    )
    objectives = bind_objectives(
        declare_objectives(("soft_targets(tail=bucket)",), OBJECTIVES),
        Context(
            targets=MLM.targets,
            soft_target=MLM.soft_target,
            student=model.config,
            teacher=None,
            num_steps=1000,
            seed=1,
        ),
    )
    names = {
        n: v for n, v in variable_names(model).items() if part_of(n) in PARTS
    }
    optimizer = make_optimizer(
        "bert_adam", Schedule("constant", 1e-4, 0, 1000), names
    )
    codec = make_codec(
        [f"top_k(k={K})"],
        Shapes(
            layout="packed",
            max_seq_length=LENGTH,
            num_slots=SLOTS,
            vocabulary_size=PIECES,
            num_classes=0,
        ),
    )
    step = TrainStep(
        student=model,
        variables=list(names.values()),
        objectives=objectives,
        teacher=recorded_teacher(codec),
        optimizer=optimizer,
        replicas=replicas,
        accumulation_steps=1,
        clip_norm=1.0,
        seed=1,
    ).compiled()
    batch = _batch(tf, codec, replicas.process_slice(PER_RANK * 2)[0])
    shapes = [v.shape for v in names.values()]
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
                    "parameters": count_parameters(model, PARTS),
                }
            )
        )


def _batch(tf: Any, codec: Any, first: int) -> dict:
    """Random examples, whole ones: the most work that a batch can be."""
    rng = tf.random.Generator.from_seed(first)
    shape = [PER_RANK, SLOTS]
    logits = rng.normal([*shape, PIECES], stddev=3.0)
    return {
        "input_ids": rng.uniform([PER_RANK, LENGTH], 5, PIECES, tf.int32),
        "input_mask": tf.ones([PER_RANK, LENGTH], tf.int32),
        "segment_ids": tf.zeros([PER_RANK, LENGTH], tf.int32),
        "masked_lm_positions": tf.tile(
            tf.range(1, 6 * SLOTS, 6, tf.int32)[None], [PER_RANK, 1]
        ),
        "masked_lm_ids": rng.uniform(shape, 5, PIECES, tf.int32),
        "masked_lm_weights": tf.ones(shape),
        "is_real_example": tf.ones([PER_RANK]),
        "example_index": tf.range(first, first + PER_RANK, dtype=tf.int64),
        "record_index": tf.range(first, first + PER_RANK, dtype=tf.int64),
        "step": tf.zeros([PER_RANK], tf.int64),
        "is_stopping": tf.zeros([PER_RANK]),
        **codec.encode({"logits": logits}),
    }


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
