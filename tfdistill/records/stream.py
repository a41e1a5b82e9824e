"""The stream of training examples, in an order that the seed alone decides."""

import numpy as np
import tensorflow as tf

from tfdistill.records.record_set import RecordSet

# Examples that are taken out of a block at a time.
_CHUNK = 256


def example_windows(
    records: RecordSet,
    seed: int,
    shuffle_buffer_size: int,
    size: int,
    first: int = 0,
) -> tf.data.Dataset:
    """Returns serialised examples without end, epoch after epoch.

    In each epoch shards come in another order, and examples are shuffled in
    blocks of `shuffle_buffer_size`. Each shuffle is of its own seed, so a
    stream begins anywhere without what is before, but for a part of a shard.
    Examples are not handed on one by one, which took as long as parsing them.

    Args:
        records: What to read.
        seed: Fixes the order, together with the epoch.
        shuffle_buffer_size: Examples of a block.
        size: Examples of a window.
        first: Windows that were used already.

    Returns:
        Windows: int64 `[]`, where in the stream one starts; of its examples
        their indices in the set, int64 `[size]`, and themselves, string
        `[size]`.
    """
    used = first * size
    epochs = tf.data.Dataset.range(used // records.examples, tf.int64.max)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # Only the first one is begun in the middle.
        is_first = number == used // records.examples
        begin = tf.where(is_first, np.int64(used % records.examples), 0)
        return _epoch(
            records,
            tf.stack([tf.constant(seed, tf.int64), number]),
            min(shuffle_buffer_size, records.examples),
            begin,
        )

    windows = epochs.flat_map(epoch).rebatch(size, drop_remainder=True)
    begins = tf.data.Dataset.range(used, tf.int64.max, size)
    return tf.data.Dataset.zip(begins, windows)


def _epoch(
    records: RecordSet, seed: tf.Tensor, block: int, begin: tf.Tensor
) -> tf.data.Dataset:
    """Returns parts of an epoch, from its example `begin` on."""
    paths = tf.constant([str(s.path) for s in records.shards])
    sizes = tf.constant([s.examples for s in records.shards], tf.int64)
    shards = tf.random.experimental.stateless_shuffle(
        tf.range(len(records.shards)), seed=seed
    )
    starts = tf.gather(tf.cumsum(sizes, exclusive=True), shards)
    ends = tf.cumsum(tf.gather(sizes, shards))
    before = ends - tf.gather(sizes, shards)
    # Of the block that it begins in, what comes first.
    place = begin // block * block
    skipped = tf.searchsorted(ends, [place], side="right")[0]
    serialized = (
        tf.data.Dataset.from_tensor_slices(shards[skipped:])
        .flat_map(lambda number: records.schema.read(paths[number]))
        .skip(place - before[skipped])
        .batch(block)
    )

    def shuffled(place: tf.Tensor, examples: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.size(examples, tf.int64)),
            seed=tf.random.experimental.stateless_fold_in(seed, place),
        )[tf.maximum(begin - place, 0) :]
        shard = tf.searchsorted(ends, place + order, side="right")
        numbers = tf.gather(starts - before, shard) + place + order
        # Examples may be large, so there is no second copy of a block.
        return tf.data.Dataset.range(0, tf.size(order, tf.int64), _CHUNK).map(
            lambda start: (
                numbers[start : start + _CHUNK],
                tf.gather(examples, order[start : start + _CHUNK]),
            )
        )

    places = tf.data.Dataset.range(place, tf.int64.max, block)
    return tf.data.Dataset.zip(places, serialized).flat_map(shuffled)


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
