"""Reading recorded knowledge, parsed and batched, against a naive reader.

    python -m benchmarks.reading

Ours are packed records as training reads them: shuffled, in batches of 32, with
log-probabilities as floats. The peer reads the plain layout, BERT's
published one, unshuffled: `parse_single_example` of each record with as much
parallelism as TensorFlow likes, then `batch` and `prefetch`. That has all
cores, where ours has the one that a model leaves; so their work is compared too.
"""

import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, rates, report, sized
from benchmarks.material import random_examples, stream, write_records
from tfdistill.records import Batch, RecordSet

BATCH = 32
EXAMPLES, ROUNDS = sized(4096, 256), sized(7, 2)
# Whole epochs, as a block of examples to be shuffled is read at once.
WARM, BATCHES = sized(20, 2), sized(256, 8)
CLOCKS = {"time": time.perf_counter, "work of all cores": time.process_time}
# By K.
AIMS = {10: 3.0, 128: 5.0}


def main() -> None:
    """Run all K."""
    rows = []
    for k, aim in AIMS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            packed, plain = (
                write_records(
                    folder / layout,
                    random_examples(EXAMPLES, k),
                    k=k,
                    layout=layout,
                )
                for layout in ("packed", "plain")
            )
            sizes = {
                f"{layout}_bytes": round(size(records) / EXAMPLES)
                for layout, records in (("packed", packed), ("plain", plain))
            }
            for what, clock in CLOCKS.items():
                seconds = in_turns(
                    {
                        "ours": taking(partial(stream, packed, BATCH), clock),
                        "naive": taking(partial(naive, plain), clock),
                    },
                    ROUNDS,
                )
                facts = rates(seconds, BATCH * BATCHES, "examples") | sizes
                ratio = seconds["naive"] / seconds["ours"]
                rows.append(Row(f"k = {k}, {what}", ratio, aim, facts))
    report("reading", rows)


def size(records: RecordSet) -> int:
    """Returns the bytes of all shards."""
    return sum(shard.path.stat().st_size for shard in records.shards)


def taking(
    start: Callable[[], Iterator], clock: Callable[[], float]
) -> Callable[[], float]:
    """Returns what takes some batches and times it.

    It starts anew each time: what reads ahead would do so in others' turns.
    """

    def run() -> float:
        batches = start()
        for _ in range(WARM):
            next(batches)
        started = clock()
        for _ in range(BATCHES):
            next(batches)
        return clock() - started

    return run


def naive(records: RecordSet) -> Iterator[Batch]:
    """Yield batches of single examples."""
    kinds = {}
    for feature in records.schema.features:
        shape = [max(feature.length, 1)]
        kinds[feature.name] = tf.io.FixedLenFeature(
            shape, tf.int64 if feature.limit else tf.float32
        )
        if feature.mask:
            kinds[feature.mask] = tf.io.FixedLenFeature(
                shape, tf.float32 if feature.mask_is_float else tf.int64
            )
    return iter(
        tf.data.TFRecordDataset([str(s.path) for s in records.shards])
        .repeat()
        .map(
            lambda example: tf.io.parse_single_example(example, kinds),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(BATCH, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


if __name__ == "__main__":
    main()
