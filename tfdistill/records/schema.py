"""What an example holds, and how it is written and read.

`LAYOUTS` maps a layout's name to the module that knows it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.records import packed, plain
from tfdistill.records.feature import Feature, checked

LAYOUTS = {"packed": packed, "plain": plain}
# What TensorFlow calls them.
COMPRESSIONS = {"none": "", "zlib": "ZLIB"}
Example = Mapping[str, np.ndarray]

_READ_BUFFER_BYTES = 8 << 20


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the data set with parallelism as it is written down.

    TensorFlow's tuning of it has a thread that can sleep on when the data are
    at an end, for as long as these have taken, up to a minute; whoever reads
    waits for it then.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


@dataclasses.dataclass(frozen=True)
class Schema:
    """The features of a record set, their layout and how files are compressed.

    `encode` takes unpadded arrays; `decode` gives padded batches. An example
    that does not fit fails when it is encoded.
    """

    features: tuple[Feature, ...]
    layout: str = "packed"
    compression: str = "none"

    def __post_init__(self) -> None:
        for what, given, known in (
            ("layout", self.layout, LAYOUTS),
            ("compression", self.compression, COMPRESSIONS),
        ):
            if given not in known:
                raise ValueError(
                    f"Unknown {what} {given!r}. Known: {', '.join(known)}."
                )
        names = [n for f in self.features for n in (f.name, f.mask) if n]
        if len(set(names)) < len(names):
            raise ValueError("Two features have one name.")
        for place, feature in enumerate(self.features):
            before = [f.name for f in self.features[:place]]
            if feature.is_step and feature.within not in before:
                raise ValueError(
                    f"Feature {feature.name!r} lies within "
                    f"{feature.within!r}, which is not in front of it."
                )

    def to_json(self) -> dict[str, Any]:
        """Returns the schema as JSON values."""
        return {
            "layout": self.layout,
            "compression": self.compression,
            "features": [dataclasses.asdict(f) for f in self.features],
        }

    @classmethod
    def from_json(cls, values: Any) -> "Schema":
        """Rebuild a schema from `to_json`.

        Raises:
            ValueError: The values are no schema.
        """
        try:
            features = tuple(Feature(**f) for f in values["features"])
            return cls(features, values["layout"], values["compression"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"no schema of records: {error}") from None

    def read(self, paths: Sequence[str] | tf.Tensor) -> tf.data.Dataset:
        """Returns the serialised examples of shards, one shard by another."""
        return without_autotune(
            tf.data.TFRecordDataset(
                paths,
                compression_type=COMPRESSIONS[self.compression],
                buffer_size=_READ_BUFFER_BYTES,
            )
        )

    def feature(self, name: str) -> Feature | None:
        """Returns the feature of that name, or None."""
        return next((f for f in self.features if f.name == name), None)

    def encode(self, example: Example) -> bytes:
        """Serialise one example, as `encode_all`."""
        (serialized,) = self.encode_all([example])
        return serialized

    def encode_all(self, examples: Sequence[Example]) -> list[bytes]:
        """Serialise examples, several in less time than one by one.

        Args:
            examples: Per feature a 1-D array without padding (one value for
                scalars; for steps as many as its sequence has).

        Returns:
            The bytes of each, in their order.

        Raises:
            ValueError: A feature is missing, unknown, too long or out of
                range; the message names it.
        """
        if not examples:
            return []
        unknown = set().union(*examples) - {f.name for f in self.features}
        if unknown:
            raise ValueError(
                f"Feature {min(unknown)!r} is not in the schema. Known: "
                f"{', '.join(f.name for f in self.features)}."
            )
        columns = {
            f.name: checked(f, [example.get(f.name) for example in examples])
            for f in self.features
        }
        return LAYOUTS[self.layout].encode(self.features, columns)

    def join(self, example: bytes, added: bytes) -> bytes:
        """Returns an example with the features of two of this layout."""
        return LAYOUTS[self.layout].joined(example, added)

    @property
    def max_seq_length(self) -> int:
        """Tokens that an example can have, L."""
        feature = self.feature("input_ids")
        return 0 if feature is None else feature.length

    @property
    def places(self) -> Feature | None:
        """The feature that counts an example's places P, if there is one.

        They are masked positions, or those of a target.
        """
        counted = (f for f in self.features if f.counts_axis)
        return next((f for f in counted if f.axes == ("P",)), None)

    def counts(self, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Count the tokens and the places of examples `[B]`, int32 `[B]` each.

        Of pieces and whole words the more count: each word has a piece of
        its own in WordPiece, but not in other tokenizers. Places are 0 where
        examples have none.
        """
        found: dict[str | int, list[tf.Tensor]] = {"L": [], "P": []}
        counts = LAYOUTS[self.layout].counts(self.features, serialized)
        for feature, count in counts:
            found[feature.axes[0]].append(tf.cast(count, tf.int32))
        tokens = tf.reduce_max(tf.stack(found["L"]), axis=0)
        (places,) = found["P"] or (tf.zeros_like(tokens),)
        return tokens, places

    def trim_places(
        self, batch: dict[str, tf.Tensor], most: tf.Tensor | int
    ) -> dict[str, tf.Tensor]:
        """Cut the padding of places, and of what is known about them.

        Args:
            batch: As decoded.
            most: Places to keep, at least as many as an example has.
        """
        places = self.places
        assert places is not None
        trimmed = dict(batch)
        for f in self.features:
            if f.axes[:1] == ("P",):
                own = most * (f.length // places.length)
                trimmed[f.name] = batch[f.name][:, :own]
        trimmed[places.mask] = batch[places.mask][:, :most]
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
        return LAYOUTS[self.layout].decode(self.features, serialized, length)
