"""Angles from Gram matrices against angles from differences of states.

    python -m benchmarks.relations

The peer subtracts states and multiplies the differences, as the formula is
written; it is below. Value and gradient are taken in a graph. Memory is the
peak of a process less that of one which takes the gradient of something
small of the same inputs; about 20 MiB of ours are the graph, whatever the
states. Times are taken in turn in one process, and medians are compared.
Ratios are the peer's memory and seconds divided by ours in a window; for whole
angles the limit of memory divided by their peak. It takes a minute and a half.
"""

import functools
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import tfdistill  # noqa: F401, settles TensorFlow's log level first
from benchmarks.harness import Row, in_turns, report, sized

LENGTH, TEACHER_WIDTH, WINDOW = 128, 768, 21
# Examples, matched layers and the student's width.
SHAPES = {"8 x 3 x 768": (8, 3, 768), "8 x 3 x 312": (8, 3, 312)}
ROUNDS = sized(9, 1)
MEMORY_AIM, TIME_AIM, MOST_MIB = 10, 1, 2048


def main() -> None:
    """Run all shapes."""
    rows = []
    for shape in sized(list(SHAPES), list(SHAPES)[:1]):
        peaks = {who: run("memory", shape, who) for who in losses()}
        seconds = run("time", shape)
        floor = peaks.pop("nothing")
        mib = {who: peak - floor for who, peak in peaks.items()}
        peer, ours = "window from differences", "window"
        rows += [
            Row(
                f"{shape}, memory in a window",
                mib[peer] / mib[ours],
                MEMORY_AIM,
                {"ours_mib": round(mib[ours]), "peer_mib": round(mib[peer])},
            ),
            Row(
                f"{shape}, time in a window",
                seconds[peer] / seconds[ours],
                TIME_AIM,
                {
                    "ours_ms": round(1000 * seconds[ours]),
                    "peer_ms": round(1000 * seconds[peer]),
                },
            ),
            Row(
                f"{shape}, memory of whole angles",
                MOST_MIB / mib["whole"],
                1,
                {"ours_mib": round(mib["whole"])},
            ),
        ]
    report("relations", rows)


def run(*arguments: str) -> Any:
    """Measure in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.relations", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def losses() -> dict[str, Callable[..., Any]]:
    """Functions of both models' states and the mask."""
    import tensorflow as tf

    from tfdistill.losses.reduction import loss_of
    from tfdistill.losses.word_relations import word_angle, word_angle_window

    def angles(x: tf.Tensor, near: tf.Tensor) -> tf.Tensor:
        sides = tf.gather(x, near, axis=2) - x[:, :, :, None]
        return tf.matmul(
            *[tf.math.l2_normalize(sides, -1)] * 2, transpose_b=True
        )

    def from_differences(
        student: tf.Tensor, teacher: tf.Tensor, mask: tf.Tensor
    ) -> tf.Tensor:
        """Of a full mask, edges repeated: the published form."""
        half = WINDOW // 2
        near = tf.range(LENGTH)[:, None] + tf.range(-half, half + 1)
        near = tf.clip_by_value(near, 0, LENGTH - 1)
        return tf.reduce_mean(
            (angles(student, near) - angles(teacher, near)) ** 2
        )

    def window(*states: tf.Tensor) -> tf.Tensor:
        parts = word_angle_window(*states, window=WINDOW, reduction="original")
        return loss_of(parts)

    return {
        "nothing": lambda student, *rest: tf.reduce_mean(student[0] ** 2),
        "window": window,
        "window from differences": from_differences,
        "whole": lambda *states: loss_of(word_angle(*states)),
    }


def steps(shape: str) -> dict[str, Callable[[], float]]:
    """Functions without arguments that take value and gradient."""
    import tensorflow as tf

    batch, layers, width = SHAPES[shape]
    rng = tf.random.Generator.from_seed(1)
    student = rng.normal([batch, layers, LENGTH, width])
    teacher = rng.normal([batch, layers, LENGTH, TEACHER_WIDTH])
    mask = tf.ones([batch, LENGTH])

    def step_of(loss: Callable[..., tf.Tensor]) -> Callable[[], float]:
        @tf.function
        def value_and_gradient(student: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(student)
                value = loss(student, teacher, mask)
            return value, tape.gradient(value, student)

        def step() -> float:
            value, gradient = value_and_gradient(student)
            gradient.numpy()
            return float(value)

        return step

    return {who: step_of(loss) for who, loss in losses().items()}


def measure_memory(shape: str, who: str) -> float:
    """Returns this process's peak in MiB, after a few steps."""
    step = steps(shape)[who]
    for _ in range(3):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_time(shape: str) -> dict[str, float]:
    """Returns median seconds of a step."""
    known = steps(shape)
    values = {who: step() for who, step in known.items()}
    peer = values["window from differences"]
    if abs(values["window"] - peer) > 1e-4 * peer:
        raise RuntimeError(f"The windows differ: {values}.")
    runs = {who: functools.partial(_wait, step) for who, step in known.items()}
    return in_turns(runs, ROUNDS)


def _wait(step: Callable[[], float]) -> None:
    step()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        known: dict[str, Callable[..., Any]] = {
            "memory": measure_memory,
            "time": measure_time,
        }
        print(json.dumps(known[sys.argv[1]](*sys.argv[2:])))
