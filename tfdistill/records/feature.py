"""One feature of an example: its type, its shape, how it is packed."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.records.blocks import Blocks
from tfdistill.records.codes import Code, Floats, integers_below
from tfdistill.records.log_probs import LogProbs

# Of floats: in 4 bytes; in 1 or 2 for what is measured; likewise for natural
# logarithms of probabilities.
CODES: dict[str, Code] = {
    "float32": Floats(),
    "blocks8": Blocks(8),
    "blocks16": Blocks(16),
    "log_probs8": LogProbs(8),
    "log_probs16": LogProbs(16),
}

_LARGEST = 1 << 31


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
        axes: Its shape in a batch, the batch's own axis left out: numbers,
            `L` (tokens) and `P` (masked positions). Values are stored for
            an example's own tokens and positions only, in C order. Empty
            for a list of at most `length` values.
        code: How floats are packed, one of `CODES`.
    """

    name: str
    length: int
    limit: int = 0
    mask: str = ""
    mask_is_float: bool = False
    is_step: bool = False
    within: str = ""
    axes: tuple[int | str, ...] = ()
    code: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = field.type if isinstance(field.type, type) else tuple
            if type(value) is not kind:
                raise ValueError(
                    f"{field.name}={value!r:.60} of a feature is not of type "
                    f"{kind.__name__}."
                )
        for size in (self.length, self.limit, *self.axes):
            if size not in ("L", "P") and not (
                type(size) is int and 0 <= size <= _LARGEST
            ):
                raise ValueError(
                    f"{size!r:.60} is no size of the feature {self.name!r:.60}."
                )
        if not self.name:
            raise ValueError("A feature has no name.")
        if self.code not in CODES:
            raise ValueError(
                f"Unknown code {self.code!r}. Known: {', '.join(CODES)}."
            )

    @property
    def packing(self) -> Code:
        """How its values are packed."""
        if self.is_step:
            return integers_below(self.length + 1)
        return integers_below(self.limit) if self.limit else CODES[self.code]

    @property
    def is_counted(self) -> bool:
        """Whether each example says how many values it has.

        The others follow from the axes.
        """
        is_list = self.length > 0 and not self.is_step
        return is_list and (bool(self.mask) or not self.axes)

    @property
    def counts_axis(self) -> bool:
        """Whether it has a value at each token, or each place, and says so."""
        return bool(self.mask) and self.axes in (("L",), ("P",))


def most_values(feature: Feature, length: tf.Tensor | int) -> tf.Tensor | int:
    """Values of an example that has `length` tokens."""
    if "L" not in feature.axes:
        return max(feature.length, 1)
    most: tf.Tensor | int = 1
    for axis in feature.axes:
        most *= length if axis == "L" else axis
    return most


def shaped(
    values: tf.Tensor,
    feature: Feature,
    counts: tf.Tensor,
    length: tf.Tensor | int,
) -> tf.Tensor:
    """Give flat values `[B, N]` of some tokens their axes, padding them.

    Args:
        values: What was stored of each example, zeros behind it.
        feature: Whose values they are.
        counts: int32 `[B]`, tokens of the examples.
        length: Tokens to pad to.
    """
    sizes = [length if axis == "L" else axis for axis in feature.axes]
    if feature.axes[0] == "L" and feature.axes.count("L") == 1:
        return tf.reshape(values, [-1, *sizes])
    # Where in the example's own C order the value of a place stands.
    rank = len(sizes)
    places = tf.zeros([1] * (rank + 1), tf.int32)
    is_real = tf.ones([1] * (rank + 1), tf.bool)
    for i, (axis, size) in enumerate(zip(feature.axes, sizes, strict=True)):
        shape = [1] * (rank + 1)
        shape[i + 1] = -1
        index = tf.reshape(tf.range(size), shape)
        own = tf.reshape(counts if axis == "L" else size, [-1] + [1] * rank)
        places = places * own + index
        is_real &= index < own
    places = tf.where(is_real, places, 0)
    found = tf.gather(
        values, tf.reshape(places, [tf.shape(values)[0], -1]), batch_dims=1
    )
    found = tf.reshape(found, [-1, *sizes])
    return tf.where(is_real, found, tf.zeros_like(found))


class Column(NamedTuple):
    """A feature in some examples: values one after another, and how many."""

    values: np.ndarray
    counts: np.ndarray


def checked(feature: Feature, examples: Sequence[np.ndarray | None]) -> Column:
    """Returns the values that examples have, each `[N]`.

    Raises:
        ValueError: They are missing, too many or out of range.
    """
    expected = (
        f"integers in [0, {feature.limit})" if feature.limit else "floats"
    )
    arrays = []
    for example in examples:
        if example is None:
            raise ValueError(f"Feature {feature.name!r} is missing.")
        values = np.asarray(example)
        if values.ndim != 1:
            raise ValueError(
                f"Feature {feature.name!r} must be 1-D, received shape "
                f"{values.shape}."
            )
        if values.dtype.kind not in ("iu" if feature.limit else "f"):
            raise ValueError(
                f"Feature {feature.name!r} must hold {expected}, received "
                f"{values.dtype}."
            )
        arrays.append(values)
    counts = np.array([len(values) for values in arrays])
    most = max(feature.length, 1)
    wrong = counts[counts > most if feature.length else counts != 1]
    if len(wrong):
        raise ValueError(
            f"Feature {feature.name!r} holds {wrong[0]} values, expected "
            f"{'at most ' if feature.length else ''}{most}."
        )
    together = np.concatenate(arrays)
    if feature.limit and len(together):
        least, largest = together.min(), together.max()
        if not 0 <= least <= largest < feature.limit:
            raise ValueError(
                f"Feature {feature.name!r} must hold {expected}, received "
                f"{least} to {largest}."
            )
    return Column(together, counts)


def check_limits(found: Sequence[tuple[Feature, tf.Tensor]]) -> None:
    """Refuse integers out of range, which a GPU would read past its end.

    All features are looked at together: one operation for each is what a
    small batch takes longest for.

    Args:
        found: Features of integers and their values, all int32 or all int64.

    Raises:
        tf.errors.InvalidArgumentError: Some are; where it runs.
    """
    if not found:
        return
    # What is below 0 is beyond all limits as an unsigned number.
    unsigned = {tf.int32: tf.uint32, tf.int64: tf.uint64}
    largest = tf.stack(
        [
            tf.reduce_max(tf.bitcast(values, unsigned[values.dtype]))
            for _, values in found
        ]
    )
    limits = tf.constant([f.limit for f, _ in found], largest.dtype)
    wrong = largest >= limits
    worst = tf.argmax(tf.cast(wrong, tf.int32))
    tf.debugging.Assert(
        ~tf.reduce_any(wrong),
        [
            tf.constant([f.name for f, _ in found])[worst],
            "holds",
            tf.bitcast(largest, found[0][1].dtype)[worst],
            "where 0 to",
            limits[worst] - 1,
            "are expected",
        ],
    )
