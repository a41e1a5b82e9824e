"""The packed layout: an example is the bytes of its features, one by one.

Nothing is padded, and what follows from the rest is left out: masks, weights
and, where a feature's axes say how many values it has, their number. Others
have it in front of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.records.codes import integers_below, pack_rows
from tfdistill.records.feature import (
    Column,
    Feature,
    check_limits,
    most_values,
    shaped,
)


class _Place(NamedTuple):
    """Where a feature's bytes are in a batch, and how many values they are."""

    feature: Feature
    begin: tf.Tensor
    size: tf.Tensor
    length: tf.Tensor | int


def encode(
    features: Sequence[Feature], columns: Mapping[str, Column]
) -> list[bytes]:
    """Write examples with checked values of all features.

    Raises:
        ValueError: Values do not fit in their code, or are not as many as
            the feature's axes say; the message names the feature.
    """
    own: dict[str | int, np.ndarray] = {}
    parts: list[Sequence[bytes | memoryview]] = []
    for feature in features:
        values, counts = columns[feature.name]
        alone = np.ones_like(counts)
        if feature.is_step:
            # Those that are 1 are at the end.
            ends = np.cumsum(counts)
            ones = np.cumsum([0, *values])
            values, counts = counts - (ones[ends] - ones[ends - counts]), alone
        elif feature.is_counted:
            if feature.axes:
                own.setdefault(feature.axes[0], counts)
            code = integers_below(feature.length + 1)
            parts.append(pack_rows(code, counts, alone))
        elif feature.length:
            _check_counts(feature, counts, own)
        try:
            parts.append(pack_rows(feature.packing, values, counts))
        except ValueError as error:
            raise ValueError(
                f"Feature {feature.name!r} holds {error}."
            ) from None
    return [b"".join(example) for example in zip(*parts, strict=True)]


def _check_counts(
    feature: Feature, counts: np.ndarray, own: Mapping[str | int, np.ndarray]
) -> None:
    """Refuse other numbers of values than the axes say."""
    sizes = [own.get(axis, axis) for axis in feature.axes]
    # Of features that are to be joined to others, axes are theirs.
    if any(isinstance(size, str) for size in sizes):
        return
    wrong = np.flatnonzero(counts != math.prod(sizes))
    if len(wrong):
        which = wrong[0]
        shape = [np.broadcast_to(size, counts.shape)[which] for size in sizes]
        raise ValueError(
            f"Feature {feature.name!r} holds {counts[which]} values, "
            f"expected {' x '.join(map(str, shape))}."
        )


def joined(example: bytes, added: bytes) -> bytes:
    """Returns one example with the features of two."""
    return example + added


def counts(
    features: Sequence[Feature], serialized: tf.Tensor
) -> list[tuple[Feature, tf.Tensor]]:
    """Returns int `[B]` for each feature that counts its axis.

    That examples are whole is for `decode` to say: here a damaged one has as
    many as it can have, at most.
    """
    places, _, _ = _places(features, serialized)
    return [
        (place.feature, tf.minimum(place.length, place.feature.length))
        for place in places
        if place.feature.counts_axis
    ]


def decode(
    features: Sequence[Feature], serialized: tf.Tensor, length: tf.Tensor | int
) -> dict[str, tf.Tensor]:
    """Parse a batch, as `Schema.decode`."""
    batch: dict[str, tf.Tensor] = {}
    counts: dict[str, tf.Tensor] = {}
    limited = []
    for f, raw, count in _parts(features, serialized):
        counts[f.name] = count
        most = 1 if f.is_step else most_values(f, length)
        values = f.packing.unpack(raw, most)
        if f.limit and not f.is_step:
            limited.append((f, values))
        if f.is_step:
            index = tf.range(length)[None]
            values = tf.cast(
                (index >= values) & (index < counts[f.within][:, None]),
                tf.int32,
            )
        elif "L" in f.axes and f.axes != ("L",):
            values = shaped(values, f, counts["input_ids"], length)
        batch[f.name] = values[:, 0] if f.length == 0 else values
        if f.mask:
            batch[f.mask] = tf.sequence_mask(
                count,
                length if f.axes == ("L",) else f.length,
                tf.float32 if f.mask_is_float else tf.int32,
            )
    check_limits(limited)
    return batch


def _parts(
    features: Sequence[Feature], serialized: tf.Tensor
) -> Iterator[tuple[Feature, tf.Tensor, tf.Tensor | int]]:
    """Yield features, their bytes and how many values these are.

    All bytes are accounted for first.
    """
    places, end, is_whole = _places(features, serialized)
    wrong = tf.argmin(tf.cast(is_whole, tf.int32))
    check = tf.debugging.Assert(
        tf.reduce_all(is_whole),
        [
            "an example has",
            tf.strings.length(serialized)[wrong],
            "bytes where its schema expects",
            end[wrong],
        ],
    )
    with tf.control_dependencies([] if check is None else [check]):
        for feature, begin, size, count in places:
            yield feature, tf.strings.substr(serialized, begin, size), count


def _places(
    features: Sequence[Feature], serialized: tf.Tensor
) -> tuple[list[_Place], tf.Tensor, tf.Tensor]:
    """Returns where features are, where they end, and which end as they should.

    The latter are `[B]`.
    """
    size = tf.strings.length(serialized)
    at = tf.zeros_like(size)
    own: dict[str | int, tf.Tensor] = {}
    is_whole = tf.ones_like(size, tf.bool)
    found = []
    for feature in features:
        count: tf.Tensor | int = 1
        if feature.is_counted:
            code = integers_below(feature.length + 1)
            # A damaged example may end before.
            raw = tf.strings.substr(
                serialized,
                tf.minimum(at, size),
                tf.fill(tf.shape(size), code.width),
            )
            at += code.width
            count = code.unpack(raw, 1)[:, 0]
            is_whole &= count <= feature.length
            if feature.axes:
                own.setdefault(feature.axes[0], count)
        elif feature.length and not feature.is_step:
            for axis in feature.axes:
                if isinstance(axis, str) and axis not in own:
                    raise ValueError(
                        f"Nothing says how long {feature.name!r} is."
                    )
                count *= own.get(axis, axis)
        number = tf.broadcast_to(feature.packing.size(count), tf.shape(size))
        found.append(_Place(feature, at, number, count))
        at += number
    return found, at, is_whole & (at == size)
