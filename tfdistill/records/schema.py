"""What an example holds, and how it is written and read.

Two layouts are known. `plain` is BERT's published one: fixed-length lists of
int64 and float under the published names. `packed` stores each feature as
little-endian bytes of the narrowest type, without padding, and leaves out
what follows from the rest (masks and weights).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

LAYOUTS = ("packed", "plain")
Example = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature of an example.

    Attributes:
        name: Its name in records and in batches.
        length: Values in an example once padded; 0 for a scalar.
        limit: Integers are in [0, limit); 0 for float32.
        mask: Name of the feature that is 1 where this one holds a value
            and 0 in its padding, if there is one.
        mask_is_float: Whether that mask is float32 rather than int32.
        is_step: Values are 0 up to some index and 1 from there to the end
            of the feature named by `within`: only the index is packed.
        within: For a step, the feature that fixes how long it is.
    """

    name: str
    length: int
    limit: int = 0
    mask: str = ""
    mask_is_float: bool = False
    is_step: bool = False
    within: str = ""

    @property
    def stored(self) -> np.dtype:
        """Type of a packed value."""
        limit = self.length + 1 if self.is_step else self.limit
        if limit == 0:
            return np.dtype("<f4")
        if limit <= 1 << 8:
            return np.dtype("u1")
        # TensorFlow decodes no unsigned 32-bit integers.
        return np.dtype("<u2" if limit <= 1 << 16 else "<i4")

    @property
    def size(self) -> int:
        """Packed values of an example, at most."""
        return 1 if self.is_step else max(self.length, 1)


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
            values = _checked(feature, example.get(feature.name))
            if self.layout == "packed":
                if feature.is_step:
                    values = np.array([len(values) - int(values.sum())])
                proto[feature.name] = _bytes(values.astype(feature.stored))
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

    def decode(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parse a batch of serialised examples.

        Args:
            serialized: string `[B]`.

        Returns:
            Every feature and mask: int32 or float32, `[B, length]`, or
            `[B]` for scalars.

        Raises:
            tf.errors.InvalidArgumentError: An example is not of the schema.
        """
        if self.layout == "packed":
            return self._decode_packed(serialized)
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
        scalars = {f.name for f in self.features if f.length == 0}
        return {
            name: _narrow(tf.squeeze(v, 1) if name in scalars else v)
            for name, v in parsed.items()
        }

    def _decode_packed(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
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
            values = tf.io.decode_raw(
                raw,
                tf.as_dtype(f.stored.newbyteorder("=")),
                fixed_length=f.size * f.stored.itemsize,
            )
            values = _narrow(values)
            if f.is_step:
                index = tf.range(f.length)[None]
                values = tf.cast(
                    (index >= values) & (index < lengths[f.within][:, None]),
                    tf.int32,
                )
            batch[f.name] = values[:, 0] if f.length == 0 else values
            if f.mask:
                batch[f.mask] = tf.sequence_mask(
                    lengths[f.name],
                    f.length,
                    tf.float32 if f.mask_is_float else tf.int32,
                )
        return batch


def _checked(feature: Feature, values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise ValueError(f"Feature {feature.name!r} is missing.")
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(
            f"Feature {feature.name!r} must be 1-D, received shape "
            f"{values.shape}."
        )
    most = max(feature.length, 1)
    if len(values) > most or (feature.length == 0 and len(values) != 1):
        raise ValueError(
            f"Feature {feature.name!r} holds {len(values)} values, expected "
            f"{'at most ' if feature.length else ''}{most}."
        )
    if feature.limit == 0:
        if values.dtype.kind != "f":
            raise ValueError(
                f"Feature {feature.name!r} must be float, received "
                f"{values.dtype}."
            )
    elif values.dtype.kind not in "iu" or (
        len(values) and not 0 <= values.min() <= values.max() < feature.limit
    ):
        raise ValueError(
            f"Feature {feature.name!r} must hold integers in "
            f"[0, {feature.limit}), received {values.dtype} "
            f"{values.min()} to {values.max()}."
        )
    return values


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
        return values
    return tf.cast(values, tf.int32)


def masked_lm_features(
    *,
    max_seq_length: int,
    max_predictions_per_seq: int,
    vocabulary_size: int,
    is_masked: bool,
    has_next_sentence: bool,
) -> tuple[Feature, ...]:
    """Returns the features of masked-LM records, by BERT's names.

    `max_predictions_per_seq` counts where `is_masked`; examples that are
    masked during training hold no masks.
    """
    features: Sequence[Feature] = [
        Feature(
            name="input_ids",
            length=max_seq_length,
            limit=vocabulary_size,
            mask="input_mask",
        ),
        Feature(
            name="segment_ids",
            length=max_seq_length,
            limit=2,
            is_step=True,
            within="input_ids",
        ),
    ]
    if is_masked:
        features = [
            *features,
            Feature(
                name="masked_lm_positions",
                length=max_predictions_per_seq,
                limit=max_seq_length,
                mask="masked_lm_weights",
                mask_is_float=True,
            ),
            Feature(
                name="masked_lm_ids",
                length=max_predictions_per_seq,
                limit=vocabulary_size,
            ),
        ]
    if has_next_sentence:
        features = [
            *features,
            Feature(name="next_sentence_labels", length=0, limit=2),
        ]
    return tuple(features)
