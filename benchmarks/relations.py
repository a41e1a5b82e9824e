"""Angles from Gram matrices against angles from differences of states.

    python -m benchmarks.relations

The peer subtracts states and multiplies the differences, as the formula is
written; it is below. Value and gradient are taken in a graph. Memory is the
peak of a process less that of one which takes the gradient of something
small of the same inputs; about 20 MiB of ours are the graph, whatever the
states. Times are taken in turn in one process, and medians are compared.
Prints a table on stderr and one line of JSON on stdout: the peer's memory and
seconds divided by ours in a window, and the peak of whole angles in MiB. It
takes a minute and a half.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import tfdistill  # noqa: F401, settles TensorFlow's log level first

LENGTH, TEACHER_WIDTH, WINDOW = 128, 768, 21
# Examples, matched layers and the student's width.
SHAPES = {"8 x 3 x 768": (8, 3, 768), "8 x 3 x 312": (8, 3, 312)}
ROUNDS = 9
AIM = {"memory_ratio": 10, "time_ratio": 1, "whole_mib": 2048}


def main() -> None:
    results: dict[str, Any] = {}
    for shape in SHAPES:
        peaks = {who: run("memory", shape, who) for who in losses()}
        seconds = run("time", shape)
        floor = peaks.pop("nothing")
        for who, peak in peaks.items():
            print(
                f"{shape}, {who}: {peak - floor:.0f} MiB, "
                f"{seconds[who] * 1000:.0f} ms",
                file=sys.stderr,
            )
        peer, ours = "window from differences", "window"
        results[shape] = {
            "memory_ratio": round(
                (peaks[peer] - floor) / (peaks[ours] - floor), 1
            ),
            "time_ratio": round(seconds[peer] / seconds[ours], 2),
            "whole_mib": round(peaks["whole"] - floor),
        }
    print(json.dumps({**results, "aim": AIM}))


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
    seconds: dict[str, list[float]] = {who: [] for who in known}
    for _ in range(ROUNDS):
        for who, step in known.items():
            started = time.perf_counter()
            step()
            seconds[who].append(time.perf_counter() - started)
    return {who: statistics.median(taken) for who, taken in seconds.items()}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        known: dict[str, Callable[..., Any]] = {
            "memory": measure_memory,
            "time": measure_time,
        }
        print(json.dumps(known[sys.argv[1]](*sys.argv[2:])))
