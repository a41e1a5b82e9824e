"""Batches from record sets, the same on any number of replicas.

The order of training examples depends on the seed alone. Every process goes
through the same stream of serialised examples and parses its own slice of
each global batch, so no example is lost or seen twice whatever the number of
processes, and a run goes on in the middle of an epoch by its step alone.

A batch is padded to the longest example of the whole global batch, rounded
up so that few shapes come by, and so are its masked positions or its targets.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.records.padding import (
    close_grid,
    coarse_grid,
    fine_grid,
    padded_length,
    slot_grid,
)
from tfdistill.records.record_set import RecordSet
from tfdistill.records.schema import Schema, without_autotune
from tfdistill.records.stream import by_length, example_windows

Batch = dict[str, tf.Tensor]
# Called with a decoded batch and its examples' positions in the stream.
Transform = Callable[[Batch, tf.Tensor], Batch]

_ROWS_AT_ONCE = 4096
_BATCHES_AHEAD = 2
_SCHEMAS_KEPT = 8
_MOST_BATCHES_AT_A_TIME = 8


def training_batches(
    records: RecordSet,
    *,
    batch_size: int,
    seed: int,
    shuffle_buffer_size: int,
    first_step: int,
    process_slice: tuple[int, int],
    transform: Transform | None = None,
    length_window: int = 1,
) -> Iterator[Batch]:
    """Yield batches without end, epoch after epoch.

    Batches run across the ends of epochs, so all have the same size.

    Args:
        records: What to read.
        batch_size: Examples in a global batch.
        seed: Fixes the order, together with the epoch.
        shuffle_buffer_size: Examples that are shuffled at a time; shards
            are shuffled too.
        first_step: Global batches that were used already.
        process_slice: Start and size of this process's part of a global
            batch.
        transform: Applied to the slice, for instance to mask it.
        length_window: Batches whose examples are dealt out anew, those of
            like length together; 1: none.

    Yields:
        Decoded features, with `example_index` int64 `[b]`: each example's
        index in the global batch, `record_index` int64 `[b]`: its index in
        the set, and `is_real_example` float32 `[b]`, 1.

    Raises:
        ValueError: The set is empty, or a record is damaged.
    """
    if records.examples == 0:
        raise ValueError(f"{records.path} holds no examples.")
    records.check_readable()
    first_window, first_batch = divmod(first_step, length_window)
    size = batch_size * length_window
    stream = example_windows(
        records, seed, shuffle_buffer_size, size, first_window
    )
    if length_window > 1:

        def deal(start: tf.Tensor, examples: tuple) -> tuple:
            window = start + tf.range(size, dtype=tf.int64), examples
            return by_length(window, batch_size, [seed, start // size])

        stream = stream.map(deal).unbatch().skip(first_batch)
    return decoded(
        records, stream, lambda _: process_slice, transform, tf.int64.max
    )


def evaluation_batches(
    records: RecordSet,
    *,
    batch_size: int,
    process_slice: tuple[int, int],
    rows: int | None = None,
    transform: Transform | None = None,
    length_window: int = 1,
) -> Iterator[Batch]:
    """Yield every example exactly once, in the order of the set.

    Batches are filled up with copies whose `is_real_example` is 0 and whose
    `masked_lm_weights` are 0.

    Args:
        records: What to read.
        batch_size: Examples in a global batch; fewer in the last one.
        process_slice: Start and size of this process's part of a global
            batch, copies included.
        rows: Examples and copies in a global batch; as many as examples
            where it is None.
        transform: Applied to the slice, for instance to mask it.
        length_window: Batches whose examples come in order of their tokens;
            1: all come in the order of the set.

    Yields:
        Decoded features, with `example_index` and `record_index`, int64
        `[b]`, and `is_real_example` float32 `[b]`.

    Raises:
        ValueError: The set is empty, or a record is damaged.
    """
    if records.examples == 0:
        raise ValueError(f"{records.path} holds no examples.")
    records.check_readable()
    stream = records.schema.read([str(s.path) for s in records.shards])
    stream, lengths = stream.enumerate(), []
    if length_window > 1:

        def sort(positions: tf.Tensor, serialized: tf.Tensor) -> tuple:
            tokens, _ = _graphs(records.schema)[1](serialized)
            order = tf.argsort(tokens, stable=True)
            return tf.gather(positions, order), tf.gather(serialized, order)

        stream = stream.batch(batch_size * length_window).map(sort).unbatch()
        lengths = close_grid(records.schema.max_seq_length)
    stream = stream.batch(batch_size).map(
        lambda p, s: _filled_up(p, s, rows or batch_size, records.examples)
    )
    return decoded(
        records,
        stream,
        lambda _: process_slice,
        transform,
        records.examples,
        lengths,
    )


def _filled_up(
    positions: tf.Tensor, serialized: tf.Tensor, size: int, examples: int
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    missing = size - tf.shape(serialized)[0]
    copies = tf.repeat(serialized[:1], missing)
    # Positions past the end mark the copies.
    past = tf.fill([missing], tf.constant(examples, tf.int64))
    positions = tf.concat([positions, past], 0)
    return positions, (positions, tf.concat([serialized, copies], 0))


def decoded(
    records: RecordSet,
    stream: tf.data.Dataset,
    slice_of: Callable[[tf.Tensor], tuple],
    transform: Transform | None,
    end: int,
    lengths: Sequence[int] = (),
) -> Iterator[Batch]:
    """Yield this process's parts of global batches, decoded.

    Args:
        records: What is read.
        stream: Global batches: positions, or that of the first where the
            others follow it; indices in the set; examples.
        slice_of: From the examples of a batch to start and size of the part.
        transform: Applied to the part, for instance to mask it.
        end: Positions from here on are those of copies.
        lengths: What batches are padded to; empty: few lengths.

    Raises:
        ValueError: A record is damaged.
    """
    most = records.schema.max_seq_length
    grid = tf.constant(lengths or coarse_grid(most))
    places = records.schema.places
    parse, count = _graphs(records.schema)

    def decode(
        positions: tf.Tensor, numbered: tuple[tf.Tensor, tf.Tensor]
    ) -> Batch:
        if positions.shape.rank == 0:
            positions += tf.range(tf.size(numbered[0], tf.int64))
        # All processes pad alike, as dropout depends on the shape.
        tokens, slots = count(numbered[1])
        start, size = slice_of(tf.shape(positions)[0])
        shape = [None if tf.is_tensor(size) else size]
        positions, numbers, serialized = (
            tf.ensure_shape(x[start : start + size], shape)
            for x in (positions, *numbered)
        )
        batch = parse(serialized, padded_length(tokens, grid))
        if places is not None:
            grid_of = fine_grid if places.name == "target_ids" else slot_grid
            own = tf.constant(grid_of(places.length))
            batch = records.schema.trim_places(batch, padded_length(slots, own))
        if transform is not None:
            batch = transform(batch, positions)
        real = tf.cast(positions < end, tf.float32)
        if "masked_lm_weights" in batch:
            batch["masked_lm_weights"] *= real[:, None]
        return batch | {
            "example_index": tf.range(
                tf.cast(start, tf.int64), tf.cast(start + size, tf.int64)
            ),
            "record_index": numbers,
            "is_real_example": real,
        }

    dataset = stream.map(
        decode, num_parallel_calls=_batches_at_a_time(), deterministic=True
    ).prefetch(_BATCHES_AHEAD)
    return _guarded(records, without_autotune(dataset))


@functools.lru_cache(maxsize=_SCHEMAS_KEPT)
def _graphs(schema: Schema) -> tuple[Callable, Callable]:
    """Returns how batches are parsed, and tokens and places are counted.

    Making their graphs takes a second where examples have many features, and
    every evaluation has a data set of its own.
    """
    return (
        tf.function(schema.decode, autograph=False),
        tf.function(schema.counts, autograph=False),
    )


def _batches_at_a_time() -> int:
    """Returns how many are decoded at once: the model needs cores too."""
    return max(1, min(_MOST_BATCHES_AT_A_TIME, (os.cpu_count() or 1) // 2))


def _guarded(records: RecordSet, dataset: tf.data.Dataset) -> Iterator[Any]:
    try:
        yield from dataset
    except tf.errors.OpError as error:
        found = records.damage()
        raise ValueError(
            found or f"{records.path}: {error.message.splitlines()[0]}"
        ) from None


def serialized_batches(
    records: RecordSet, batch_size: int
) -> Iterator[tf.Tensor]:
    """Yield serialised examples in the order of the set, so many at a time.

    Raises:
        ValueError: A record is damaged.
    """
    stream = records.schema.read([str(s.path) for s in records.shards])
    return _guarded(records, stream.batch(batch_size))


def read_feature(records: RecordSet, name: str) -> np.ndarray:
    """Read a feature of all records, in their order, into memory.

    Args:
        records: What to read.
        name: A feature that has a value, or some, in each record.

    Returns:
        `[N, …]`, as decoded.

    Raises:
        ValueError: A record is damaged.
    """
    records.check_readable()
    schema = records.schema
    # In a graph, what is not asked for is not decoded, and that may be a
    # thousand times as large.
    found = (
        schema.read([str(shard.path) for shard in records.shards])
        .batch(_ROWS_AT_ONCE)
        .map(lambda rows: schema.decode(rows)[name])
    )
    return np.concatenate([rows.numpy() for rows in _guarded(records, found)])
