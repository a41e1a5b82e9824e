"""Where the time of extraction and of a training step goes, by operation.

    python -m benchmarks.op_costs

Traces of TensorFlow's profiler, with one thread for each operation, so that
times can be added: top 10 of a teacher of 6 x 384 at 20 of 128 positions, 16
sequences at a time; and a step of a student of 4 x 312 on recorded top 10, 32
examples at a time. Each row is an operation's share of all operations' time;
there is no peer.
"""

import collections
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import tensorflow as tf  # isort: skip
from tensorflow.tsl.profiler.protobuf import xplane_pb2  # isort: skip

from benchmarks.harness import Row, report, sized
from benchmarks.material import (
    STUDENTS,
    TEACHERS,
    K,
    as_batch,
    random_examples,
    random_inputs,
    soft_target_step,
    tensors,
    top_k_codec,
)
from tfdistill.distillation import recorded_teacher
from tfdistill.models.bert import Bert

STEPS, SHOWN = sized(5, 1), 8


def main() -> None:
    """Trace both."""
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    rows = []
    for what, run in (("extraction", extraction()), ("training", training())):
        seconds = traced(run)
        total = sum(seconds.values())
        longest = sorted(seconds, key=seconds.__getitem__, reverse=True)
        for kind in longest[:SHOWN]:
            facts = {"ms": round(1e3 * seconds[kind] / STEPS, 1)}
            share = seconds[kind] / total
            rows.append(Row(f"{what}, {kind}", share, facts=facts))
    report("op_costs", rows)


def extraction() -> Callable[[], None]:
    """Returns what asks a teacher about a batch."""
    model, codec = Bert(TEACHERS["6 x 384"]), top_k_codec()
    batch = tensors(random_inputs(sized(16, 2)))
    ask = tf.function(
        lambda x: codec.encode(model(x, reads=codec.reads, noise=None)),
        autograph=False,
    )
    return lambda: ask(batch)["top_k_ids"].numpy()


def training() -> Callable[[], None]:
    """Returns what takes a training step."""
    step = soft_target_step(
        STUDENTS["4 x 312"], recorded_teacher(top_k_codec())
    )
    batch = as_batch(list(random_examples(sized(32, 2), K)))
    return lambda: step(batch)["loss"].numpy()


def traced(run: Callable[[], None]) -> dict[str, float]:
    """Returns seconds of some runs by the kind of operation."""
    run()
    seconds: dict[str, float] = collections.defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(STEPS):
            run()
        tf.profiler.experimental.stop()
        for path in pathlib.Path(folder).rglob("*.xplane.pb"):
            for kind, taken in events(path):
                seconds[kind] += taken
    return seconds


def events(path: pathlib.Path) -> Iterator[tuple[str, float]]:
    """Yield each executed operation's kind and seconds."""
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    for plane in space.planes:
        names = {k: v.name for k, v in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                # Operations are shown as `name:Kind`, and what runs them
                # as `Class::Method`.
                name, _, kind = names[event.metadata_id].rpartition(":")
                is_kind = bool(name) and name[-1] != ":" and kind.isidentifier()
                if is_kind and not kind.endswith("PartitionedCall"):
                    yield kind.lstrip("_"), event.duration_ps / 1e12


if __name__ == "__main__":
    main()
