"""The stream of training examples, in an order that the seed alone decides."""

import numpy as np
import tensorflow as tf

from tfdistill.records.record_set import RecordSet


def example_windows(
    records: RecordSet,
    seed: int,
    shuffle_buffer_size: int,
    size: int,
    first: int = 0,
) -> tf.data.Dataset:
    """Returns serialised examples without end, epoch after epoch.

    Args:
        records: What to read.
        seed: Fixes the order, together with the epoch.
        shuffle_buffer_size: Examples that are shuffled at a time; shards
            are shuffled too.
        size: Examples of a window.
        first: Windows that were used already.

    Returns:
        Windows: int64 `[]`, where in the stream one starts; of its examples
        their indices in the set, int64 `[size]`, and themselves, string
        `[size]`.
    """
    used = first * size
    paths = tf.constant([str(s.path) for s in records.shards])
    sizes = [s.examples for s in records.shards]
    starts = tf.constant(np.cumsum([0, *sizes[:-1]]), tf.int64)

    def shard(number: tf.Tensor) -> tf.data.Dataset:
        return records.schema.read(paths[number]).enumerate(
            start=starts[number]
        )

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        shards = tf.random.experimental.stateless_shuffle(
            tf.range(len(sizes)),
            seed=tf.stack([tf.constant(seed, tf.int64), number]),
        )
        return (
            tf.data.Dataset.from_tensor_slices(shards)
            .flat_map(shard)
            .shuffle(
                min(shuffle_buffer_size, records.examples),
                # Neighbouring seeds give unrelated orders.
                seed=seed + number * 1_000_003,
                reshuffle_each_iteration=False,
            )
        )

    windows = (
        tf.data.Dataset.range(used // records.examples, tf.int64.max)
        .flat_map(epoch)
        .skip(used % records.examples)
        .batch(size, drop_remainder=True)
    )
    begins = tf.data.Dataset.range(used, tf.int64.max, size)
    return tf.data.Dataset.zip(begins, windows)


def by_length(window: tuple, batch_size: int, seed: list) -> tuple:
    """Cut a window into batches of examples of like length, shuffled.

    Args:
        window: Positions, and indices and examples, `[N]` each.
        batch_size: B, which N is a multiple of.
        seed: Two integers, of the shuffle.

    Returns:
        The same, `[N / B, B]` each.
    """
    _, (_, serialized) = window
    # Nearly all that examples differ in is how many tokens they have.
    order = tf.argsort(tf.strings.length(serialized), stable=True)
    batches = tf.reshape(order, [-1, batch_size])
    batches = tf.random.experimental.stateless_shuffle(
        batches, seed=tf.stack([tf.cast(x, tf.int64) for x in seed])
    )
    return tf.nest.map_structure(lambda x: tf.gather(x, batches), window)
