"""What was tried for speed and is not done, each against what is done.

    python -m benchmarks.ideas

A ratio above 1 says that the idea would be faster. Extraction is top 10 of a
teacher of 6 x 384 at 20 of 128 positions, 16 sequences at a time; a step is
one of training on recorded top 10, 32 examples. What TensorFlow, oneDNN or the
allocator read when a process starts is tried in processes of its own.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, report, sized
from benchmarks.material import (
    LENGTH,
    PIECES,
    SLOTS,
    STUDENTS,
    TEACHERS,
    USUAL,
    K,
    Shape,
    as_batch,
    random_examples,
    random_inputs,
    soft_target_step,
    tensors,
    top_k_codec,
)
from tfdistill import top_k as blocks
from tfdistill.distillation import recorded_teacher
from tfdistill.models.bert import Bert
from tfdistill.replicas import OneDevice
from tfdistill.replicas.replicas import Step

Run = Callable[[], float | None]

SEQUENCES, EXAMPLES = sized(16, 4), sized(32, 2)
ROUNDS = sized(7, 1)
# Each of which takes the median of as many rounds itself.
PROCESSES = sized(3, 1)
CASES = sized(list(STUDENTS), ["2 x 128"])
WIDTH, ROWS = TEACHERS["6 x 384"].hidden_dim, SEQUENCES * LENGTH
NETWORK = [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]
# What a process reads as it starts, by what is timed.
_OWN_KERNELS = {"TF_ENABLE_ONEDNN_OPTS": "0"}
VARIABLES: dict[str, dict[str, dict[str, str]]] = {
    "extraction": {
        "TensorFlow's kernels for oneDNN's": _OWN_KERNELS,
        "one thread": {"TF_NUM_INTRAOP_THREADS": "1"},
        "four threads": {"TF_NUM_INTRAOP_THREADS": "4"},
    },
    "step of 2 x 128": {
        "TensorFlow's kernels for oneDNN's": _OWN_KERNELS,
        "memory in pages of 2 MB": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
        "memory that is kept": {
            "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
            "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
        },
    },
}


class Compiled(OneDevice):
    """A device whose steps XLA compiles whole."""

    def compile(self, step: Step) -> Step:
        """As `Replicas`."""
        return tf.function(step, autograph=False, jit_compile=True)


def extraction(
    rows: int = SEQUENCES, shape: Shape = USUAL, *, is_compiled: bool = False
) -> Run:
    """Returns what asks a teacher and encodes its answers."""
    model, codec = Bert(TEACHERS["6 x 384"]), top_k_codec(shape=shape)
    batch = tensors(random_inputs(rows, shape=shape))

    @tf.function(autograph=False, jit_compile=is_compiled)
    def ask() -> tf.Tensor:
        return model(batch, reads=codec.reads, noise=None)["logits"]

    return graph(lambda: codec.encode({"logits": ask()})["top_k_ids"])


def training(name: str, replicas: OneDevice | None = None) -> Run:
    """Returns what takes a training step."""
    step = soft_target_step(
        STUDENTS[name], recorded_teacher(top_k_codec()), replicas
    )
    batch = as_batch(list(random_examples(EXAMPLES, K)))
    return done(lambda: step(batch)["loss"])


def graph(function: Callable[[], tf.Tensor]) -> Run:
    """Returns what runs it as a graph."""
    return done(tf.function(function, autograph=False))


def done(function: Callable[[], tf.Tensor]) -> Run:
    """Returns what waits until it is done."""

    def run() -> None:
        function().numpy()

    return run


def top_k(method: str) -> Run:
    """Returns what finds the most probable pieces of each slot."""
    logits = tf.random.normal([SEQUENCES * SLOTS, PIECES])
    return graph(
        {
            "ours": lambda: blocks.top_k(logits, K)[1],
            "whole": lambda: tf.math.top_k(logits, K)[1],
            "approximate": lambda: tf.math.approx_max_k(logits, K)[1],
        }[method]
    )


def products(
    widths: list[tuple[int, int]], dtype: tf.DType = tf.float32
) -> Run:
    """Returns what multiplies tokens with kernels, and finds gradients."""
    pairs = [
        (tf.random.normal([ROWS, a]), tf.random.normal([a, b]))
        for a, b in widths
    ]

    def run() -> tf.Tensor:
        sums: list[tf.Tensor] = []
        for pair in pairs:
            # One after another, as layers are.
            with tf.control_dependencies(sums), tf.GradientTape() as tape:
                tape.watch(pair)
                y = tf.matmul(*(tf.cast(x, dtype) for x in pair))
            found = tape.gradient(y, pair, y)
            sums += [tf.reduce_sum(x) for x in found]
        return tf.add_n(sums)

    return graph(run)


def main() -> None:
    """Try all ideas, or time one thing for a process that asks for it."""
    if sys.argv[1:]:
        print(taken(IN_PROCESSES[sys.argv[1]]()))
        return
    quarter = Shape(LENGTH // 4, SLOTS // 4, PIECES)
    tried: dict[str, tuple[Run, dict[str, Run]]] = {
        "extraction": (extraction(), {"XLA": extraction(is_compiled=True)}),
        "extraction of sequences of 32 tokens": (
            extraction(4 * SEQUENCES, quarter),
            {"four packed into one": extraction()},
        ),
        "top 10": (
            top_k("ours"),
            {name: top_k(name) for name in ("whole", "approximate")},
        ),
        "queries, keys and values": (
            products([(WIDTH, 3 * WIDTH)]),
            {"a product for each": products([(WIDTH, WIDTH)] * 3)},
        ),
        "products of a network": (
            products(NETWORK),
            {"bfloat16": products(NETWORK, tf.bfloat16)},
        ),
    }
    for name in CASES:
        ideas = {"XLA": training(name, Compiled())}
        tried[f"step of {name}"] = training(name), ideas
    for what, variables in VARIABLES.items():
        ideas = {n: partial(process, what, v) for n, v in variables.items()}
        tried[f"{what}, as a process"] = partial(process, what, {}), ideas
    rows = []
    for what, (usual, ideas) in tried.items():
        rounds = PROCESSES if what.endswith("process") else ROUNDS
        seconds = in_turns({"": usual, **ideas}, rounds)
        rows += [
            Row(f"{what}: {idea}", seconds[""] / seconds[idea])
            for idea in ideas
        ]
    report("ideas", rows)


def process(what: str, variables: Mapping[str, str]) -> float:
    """Returns the seconds that a process takes that has these variables."""
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.ideas", what],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(finished.stdout.splitlines()[-1])


def taken(run: Run) -> float:
    """Returns the median seconds of some runs."""
    return in_turns({"": run}, ROUNDS)[""]


IN_PROCESSES: dict[str, Callable[[], Run]] = {
    "extraction": extraction,
    "step of 2 x 128": partial(training, "2 x 128"),
}


if __name__ == "__main__":
    main()
