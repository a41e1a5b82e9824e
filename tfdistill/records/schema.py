"""What an example holds, and how it is written and read.

Two layouts are known. `plain` is BERT's published one: fixed-length lists of
int64 and float under the published names. `packed` stores each feature as
little-endian bytes of the narrowest type, without padding, and leaves out
what follows from the rest (masks and weights).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.records.feature import Feature, checked, most_values, shaped

LAYOUTS = ("packed", "plain")
Example = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Schema:
    """The features of a record set and their layout.

    `encode` takes unpadded arrays; `decode` gives padded batches. An example
    that does not fit fails when it is encoded.
    """

    features: tuple[Feature, ...]
    layout: str = "packed"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(
                f"Unknown layout {self.layout!r}. Known: {', '.join(LAYOUTS)}."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns the schema as JSON values."""
        return {
            "layout": self.layout,
            "features": [dataclasses.asdict(f) for f in self.features],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Schema":
        """Rebuild a schema from `to_json`.

        Raises:
            ValueError: The values are no schema.
        """
        try:
            features = tuple(Feature(**f) for f in values["features"])
            return cls(features, values["layout"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"no schema of records: {error}") from None

    def feature(self, name: str) -> Feature | None:
        """Returns the feature of that name, or None."""
        return next((f for f in self.features if f.name == name), None)

    def encode(self, example: Example) -> bytes:
        """Serialise one example as a tf.train.Example.

        Args:
            example: Per feature a 1-D array without padding (one value for
                scalars; for steps as many as its sequence has).

        Raises:
            ValueError: A feature is missing, unknown, too long or out of
                range; the message names it.
        """
        unknown = set(example) - {f.name for f in self.features}
        if unknown:
            raise ValueError(
                f"Feature {min(unknown)!r} is not in the schema. Known: "
                f"{', '.join(f.name for f in self.features)}."
            )
        proto: dict[str, tf.train.Feature] = {}
        for feature in self.features:
            values = checked(feature, example.get(feature.name))
            if self.layout == "packed":
                if feature.is_step:
                    values = np.array([len(values) - int(values.sum())])
                proto[feature.name] = _bytes(_packed(feature, values))
            else:
                padded = _padded(values, max(feature.length, 1))
                proto[feature.name] = _numbers(padded, feature.limit > 0)
                if feature.mask:
                    ones = _padded(np.ones(len(values)), feature.length)
                    proto[feature.mask] = _numbers(
                        ones, not feature.mask_is_float
                    )
        return tf.train.Example(
            features=tf.train.Features(feature=proto)
        ).SerializeToString(deterministic=True)

    @property
    def max_seq_length(self) -> int:
        """Tokens that an example can have, L."""
        feature = self.feature("input_ids")
        return 0 if feature is None else feature.length

    def token_counts(self, serialized: tf.Tensor) -> tf.Tensor:
        """Count the tokens of serialised examples `[B]`: int32 `[B]`.

        Of pieces and whole words the more count: each word has a piece of
        its own in WordPiece, but not in other tokenizers.
        """
        sequences = [f for f in self.features if f.mask and f.axes == ("L",)]
        if self.layout == "plain":
            parsed = tf.io.parse_example(
                serialized,
                {
                    f.mask: tf.io.FixedLenFeature([f.length], tf.int64)
                    for f in sequences
                },
            )
            counts = [tf.reduce_sum(mask, 1) for mask in parsed.values()]
        else:
            parsed = tf.io.parse_example(
                serialized,
                {
                    f.name: tf.io.FixedLenFeature([], tf.string)
                    for f in sequences
                },
            )
            counts = [
                tf.strings.length(parsed[f.name]) // f.stored.itemsize
                for f in sequences
            ]
        return tf.cast(tf.reduce_max(tf.stack(counts), axis=0), tf.int32)

    def target_counts(self, serialized: tf.Tensor) -> tf.Tensor | None:
        """Count the places of targets of `[B]` examples, where they have some.

        Returns:
            int32 `[B]`, or None.
        """
        feature = self.feature("target_ids")
        if feature is None:
            return None
        kinds = {feature.name: tf.io.FixedLenFeature([], tf.string)}
        (raw,) = tf.io.parse_example(serialized, kinds).values()
        return tf.strings.length(raw) // feature.stored.itemsize

    def trim_targets(
        self, batch: dict[str, tf.Tensor], places: tf.Tensor | int
    ) -> dict[str, tf.Tensor]:
        """Cut the padding of targets, and of what is known at their places.

        Args:
            batch: As decoded.
            places: To keep of each target, at least as many as the longest
                has.
        """
        target = self.feature("target_ids")
        assert target is not None
        trimmed = dict(batch)
        for f in self.features:
            if f.axes[:1] == ("P",):
                own = places * (f.length // target.length)
                trimmed[f.name] = batch[f.name][:, :own]
        trimmed[target.mask] = batch[target.mask][:, :places]
        return trimmed

    def decode(
        self, serialized: tf.Tensor, length: tf.Tensor | int | None = None
    ) -> dict[str, tf.Tensor]:
        """Parse a batch of serialised examples.

        Args:
            serialized: string `[B]`.
            length: Tokens that examples are padded to, at least as many as
                the longest has; None: `max_seq_length`.

        Returns:
            Every feature and mask, int32 or float32: `[B, *axes]` or
            `[B, length]`, or `[B]` for scalars.

        Raises:
            tf.errors.InvalidArgumentError: An example is not of the schema.
        """
        if length is None:
            length = self.max_seq_length
        if self.layout == "packed":
            return self._decode_packed(serialized, length)
        kinds: dict[str, tf.io.FixedLenFeature] = {}
        for f in self.features:
            shape = [max(f.length, 1)]
            kinds[f.name] = tf.io.FixedLenFeature(
                shape, tf.int64 if f.limit else tf.float32
            )
            if f.mask:
                kinds[f.mask] = tf.io.FixedLenFeature(
                    shape, tf.float32 if f.mask_is_float else tf.int64
                )
        parsed = tf.io.parse_example(serialized, kinds)
        for f in self.features:
            if f.limit:
                parsed[f.name] = _within(parsed[f.name], f)
        batch = {}
        for f in self.features:
            for name in (f.name, f.mask) if f.mask else (f.name,):
                values = _narrow(parsed[name])
                if f.length == 0:
                    values = tf.squeeze(values, 1)
                elif f.axes == ("L",):
                    values = values[:, :length]
                batch[name] = values
        return batch

    def _decode_packed(
        self, serialized: tf.Tensor, length: tf.Tensor | int
    ) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(
            serialized,
            {
                f.name: tf.io.FixedLenFeature([], tf.string)
                for f in self.features
            },
        )
        batch: dict[str, tf.Tensor] = {}
        lengths: dict[str, tf.Tensor] = {}
        for f in self.features:
            raw = parsed[f.name]
            lengths[f.name] = tf.strings.length(raw) // f.stored.itemsize
            most = 1 if f.is_step else most_values(f, length)
            kind = tf.as_dtype(f.stored.newbyteorder("="))
            values = tf.io.decode_raw(
                raw,
                # TensorFlow pads no halves.
                tf.uint16 if kind == tf.float16 else kind,
                fixed_length=most * f.stored.itemsize,
            )
            values = _narrow(tf.bitcast(values, kind))
            if f.is_step:
                index = tf.range(length)[None]
                values = tf.cast(
                    (index >= values) & (index < lengths[f.within][:, None]),
                    tf.int32,
                )
            elif "L" in f.axes and f.axes != ("L",):
                values = shaped(values, f, lengths["input_ids"], length)
            batch[f.name] = values[:, 0] if f.length == 0 else values
            if f.mask:
                batch[f.mask] = tf.sequence_mask(
                    lengths[f.name],
                    length if f.axes == ("L",) else f.length,
                    tf.float32 if f.mask_is_float else tf.int32,
                )
        return batch


def _packed(feature: Feature, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        packed = values.astype(feature.stored)
    if feature.bits == 16 and not np.isfinite(packed).all():
        raise ValueError(
            f"Feature {feature.name!r} holds {np.abs(values).max():g}, which "
            "does not fit in 16 bits."
        )
    return packed


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values, (0, length - len(values)))


def _bytes(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[values.tobytes()])
    )


def _numbers(values: np.ndarray, is_int: bool) -> tf.train.Feature:
    if is_int:
        return tf.train.Feature(
            int64_list=tf.train.Int64List(value=values.astype(np.int64))
        )
    return tf.train.Feature(
        float_list=tf.train.FloatList(value=values.astype(np.float32))
    )


def _within(values: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Refuse integers out of range, which a GPU would read past its end."""
    wrong = tf.boolean_mask(values, (values < 0) | (values >= feature.limit))
    check = tf.debugging.Assert(
        tf.size(wrong) == 0,
        [
            f"{feature.name} holds",
            wrong[:1],
            f"where 0 to {feature.limit - 1} are expected",
        ],
    )
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(values)


def _narrow(values: tf.Tensor) -> tf.Tensor:
    if values.dtype.is_floating:
        return tf.cast(values, tf.float32)
    return tf.cast(values, tf.int32)
