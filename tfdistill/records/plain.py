"""The plain layout: BERT's published one.

A tf.train.Example with fixed-length lists of int64 and float under the
published names, masks and padding included.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfdistill.records.feature import Column, Feature, check_limits


def encode(
    features: Sequence[Feature], columns: Mapping[str, Column]
) -> list[bytes]:
    """Write examples with checked values of all features."""
    rows = {
        name: np.split(column.values, np.cumsum(column.counts)[:-1])
        for name, column in columns.items()
    }
    return [
        _encoded(features, dict(zip(rows, example, strict=True)))
        for example in zip(*rows.values(), strict=True)
    ]


def _encoded(
    features: Sequence[Feature], example: Mapping[str, np.ndarray]
) -> bytes:
    proto: dict[str, tf.train.Feature] = {}
    for feature in features:
        values = example[feature.name]
        length = max(feature.length, 1)
        proto[feature.name] = _numbers(values, length, feature.limit > 0)
        if feature.mask:
            proto[feature.mask] = _numbers(
                np.ones(len(values)), length, not feature.mask_is_float
            )
    made = tf.train.Example(features=tf.train.Features(feature=proto))
    return made.SerializeToString(deterministic=True)


def joined(example: bytes, added: bytes) -> bytes:
    """Returns one example with the features of two."""
    proto = tf.train.Example.FromString(example)
    proto.MergeFromString(added)
    return proto.SerializeToString(deterministic=True)


def counts(
    features: Sequence[Feature], serialized: tf.Tensor
) -> list[tuple[Feature, tf.Tensor]]:
    """Returns `[B]` for each feature that counts its axis."""
    counted = [f for f in features if f.counts_axis]
    kinds = {
        f.mask: tf.io.FixedLenFeature(
            [f.length], tf.float32 if f.mask_is_float else tf.int64
        )
        for f in counted
    }
    parsed = tf.io.parse_example(serialized, kinds)
    return [(f, tf.reduce_sum(parsed[f.mask], 1)) for f in counted]


def decode(
    features: Sequence[Feature], serialized: tf.Tensor, length: tf.Tensor | int
) -> dict[str, tf.Tensor]:
    """Parse a batch, as `Schema.decode`."""
    kinds: dict[str, tf.io.FixedLenFeature] = {}
    for f in features:
        shape = [max(f.length, 1)]
        kinds[f.name] = tf.io.FixedLenFeature(
            shape, tf.int64 if f.limit else tf.float32
        )
        if f.mask:
            kinds[f.mask] = tf.io.FixedLenFeature(
                shape, tf.float32 if f.mask_is_float else tf.int64
            )
    parsed = tf.io.parse_example(serialized, kinds)
    check_limits([(f, parsed[f.name]) for f in features if f.limit])
    batch = {}
    for f in features:
        for name in (f.name, f.mask) if f.mask else (f.name,):
            values = parsed[name]
            if values.dtype == tf.int64:
                values = tf.cast(values, tf.int32)
            if f.length == 0:
                values = tf.squeeze(values, 1)
            elif f.axes == ("L",):
                values = values[:, :length]
            batch[name] = values
    return batch


def _numbers(values: np.ndarray, length: int, is_int: bool) -> tf.train.Feature:
    padded = np.pad(values, (0, length - len(values)))
    if is_int:
        return tf.train.Feature(
            int64_list=tf.train.Int64List(value=padded.astype(np.int64))
        )
    return tf.train.Feature(
        float_list=tf.train.FloatList(value=padded.astype(np.float32))
    )
