"""What a student would learn from stored knowledge, against all of it.

Knowledge goes the whole way, into bytes and back, and through the loss that
training uses; its gradients are compared with those of the teacher's whole
distribution.
"""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tfdistill.distillation.extraction import (
    encode_answers,
    output_layer_of,
    teacher_shape,
)
from tfdistill.losses.soft_targets import soft_targets
from tfdistill.models.outputs import Model
from tfdistill.models.weights import variable_names
from tfdistill.records import (
    DISTRIBUTION,
    HEAD_STATES,
    Batch,
    Codec,
    Distribution,
    Feature,
    RecordSet,
    Schema,
    drawn_pieces,
    make_codec,
    stored_pieces,
)

# Independent draws of an example, where there is chance in a codec.
_DRAWS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A codec and how what it leaves out is dealt with.

    Attributes:
        name: For tables.
        tail: The rule, one of `losses.truncation.TAILS`.
        draws: The codec, with as many seeds as there are draws.
        added: Schema of what it adds to records.
        num_slots: Positions of an example, at most.
    """

    name: str
    tail: str
    draws: tuple[Codec, ...]
    added: Schema
    num_slots: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found on one batch; means over its draws.

    Attributes:
        stored_bytes: Of the codec's features.
        positions: Masked positions.
        kl: Divergence of what a student is taught from what the teacher
            says, nats, summed over positions. Where it is not taught about
            all pieces, its own mass stands for the others' (`bucket`), or
            none.
        angle: Of the gradients of all parameters, degrees.
        norm_ratio: Of these gradients.
        bias: Squared norm of the mean error of the gradient, over that of
            the gradient. With draws, the scalar products of the errors of
            different draws estimate it without bias; it may be below 0.
    """

    stored_bytes: int
    positions: int
    kl: float
    angle: float
    norm_ratio: float
    bias: float


def candidates(
    specs: Iterable[str], records: RecordSet, teacher: Model
) -> list[Candidate]:
    """Returns what is to be compared: each codec with each rule it allows.

    Raises:
        ValueError: A spec is wrong, or is not about distributions.
    """
    shapes = records.shapes(**teacher_shape(teacher))
    found = []
    for spec in specs:
        codec = make_codec([spec], shapes)
        if DISTRIBUTION not in codec.gives or not shapes.num_slots:
            raise ValueError(f"{spec} stores no distributions over pieces.")
        if HEAD_STATES in codec.reads:
            layer = output_layer_of(teacher)
            codec = dataclasses.replace(codec, layer=layer)  # type: ignore[type-var]
        draws: tuple[Codec, ...] = (codec,)
        tails: tuple[str, ...] = ("left_out",)
        if drawn_pieces(codec):
            tails = ("sampled",)
            draws = tuple(
                dataclasses.replace(codec, seed=seed)  # type: ignore[type-var]
                for seed in range(_DRAWS)
            )
        elif stored_pieces(codec) is not None:
            tails = ("left_out", "renormalised", "bucket")
        found += [
            Candidate(
                name=f"{spec}, {tail}" if len(tails) > 1 else spec,
                tail=tail,
                draws=draws,
                added=Schema(codec.features(), shapes.layout),
                num_slots=shapes.num_slots,
            )
            for tail in tails
        ]
    return found


class Comparison:
    """Compares candidates on batches of one student and teacher."""

    def __init__(self, student: Model, teacher: Model) -> None:
        """Bind the models, both of which stay as they are."""
        self._student, self._teacher = student, teacher
        self._variables = list(variable_names(student).values())

    def measure(
        self, batch: Batch, compared: list[Candidate]
    ) -> list[Measured]:
        """Returns what was found of each candidate on a batch.

        Args:
            batch: With masked positions and `record_index`.
            compared: The candidates.
        """
        reads = frozenset({"logits"}).union(
            *(c.reads for one in compared for c in one.draws)
        )
        said = self._teacher(batch, reads=reads, noise=None)
        said["record_index"] = batch["record_index"]
        whole = tf.nn.log_softmax(said["logits"])
        exact, student = self._gradient(batch, Distribution(whole), "left_out")
        return [
            self._measure(one, batch, said, whole, exact, student)
            for one in compared
        ]

    def _measure(
        self,
        one: Candidate,
        batch: Batch,
        said: dict[str, tf.Tensor],
        whole: tf.Tensor,
        exact: tf.Tensor,
        student: tf.Tensor,
    ) -> Measured:
        weights = batch["masked_lm_weights"]
        size, kl, gradients = 0, 0.0, []
        for codec in one.draws:
            known, size = _through_bytes(
                codec, one.added, one.num_slots, said, batch
            )
            found, _ = self._gradient(batch, known, one.tail)
            gradients.append(found.numpy().astype(np.float64))
            values = _divergence(known, one.tail, student, whole)
            kl += float(tf.reduce_sum(values * weights)) / len(one.draws)
        reference = exact.numpy().astype(np.float64)
        norm = float(np.linalg.norm(reference))
        norms = [float(np.linalg.norm(g)) for g in gradients]
        cosines = [
            float(np.dot(g, reference)) / (n * norm)
            for g, n in zip(gradients, norms, strict=True)
        ]
        angles = [math.degrees(math.acos(min(c, 1.0))) for c in cosines]
        return Measured(
            stored_bytes=size,
            positions=int(tf.reduce_sum(weights)),
            kl=kl,
            angle=float(np.mean(angles)),
            norm_ratio=float(np.mean(norms) / norm),
            bias=float(
                _squared_mean([g - reference for g in gradients]) / norm**2
            ),
        )

    def _gradient(
        self, batch: Batch, known: Distribution, tail: str
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a loss's gradient, flat, and the student's logarithms."""
        weights = batch["masked_lm_weights"]
        with tf.GradientTape() as tape:
            logits = self._student(
                batch, reads=frozenset({"logits"}), noise=None
            )["logits"]
            values = soft_targets(logits, *known, tail=tail)
            loss = tf.reduce_sum(values * weights) / tf.reduce_sum(weights)
        found = tape.gradient(
            loss,
            [v.value for v in self._variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        flat = [tf.reshape(tf.convert_to_tensor(g), [-1]) for g in found]
        return tf.concat(flat, axis=0), tf.nn.log_softmax(logits)


def _through_bytes(
    codec: Codec,
    added: Schema,
    num_slots: int,
    said: dict[str, tf.Tensor],
    batch: Batch,
) -> tuple[Distribution, int]:
    """Returns what is read back, and the bytes that it took."""
    answers = codec.encode(said)
    stored = encode_answers(answers, batch, added)
    slots = batch["masked_lm_weights"]
    # Places of targets, which batches may have fewer of than records.
    places = Feature(
        name="target_ids",
        length=num_slots,
        limit=num_slots,
        mask="masked_lm_weights",
        mask_is_float=True,
        axes=("P",),
    )
    whole = dataclasses.replace(added, features=(places, *added.features))
    inputs = dataclasses.replace(added, features=(places,))
    counts = tf.reduce_sum(slots, axis=1).numpy().astype(int)
    numbers = [{places.name: np.arange(count)} for count in counts]
    serialized = list(map(added.join, inputs.encode_all(numbers), stored))
    read = whole.decode(tf.constant(serialized), 0)
    read = whole.trim_places(read, slots.shape[1])
    known: Distribution = codec.decode(read)[DISTRIBUTION]
    return known, sum(map(len, stored))


def _divergence(
    known: Distribution, tail: str, student: tf.Tensor, whole: tf.Tensor
) -> tf.Tensor:
    """Divergence `[B, P]` of what is taught from what the teacher says."""
    if known.ids is None:
        taught = tf.exp(known.log_probs)
    else:
        ids, masses = known.ids, tf.exp(known.log_probs)
        if (drawn := known.sample_ids) is not None:
            share = tf.exp(known.tail_log_mass) / drawn.shape[-1]
            masses = tf.concat(
                [masses, tf.tile(share[..., None], [1, 1, drawn.shape[-1]])],
                axis=-1,
            )
            ids = tf.concat([ids, drawn], axis=-1)
        taught = _scattered(ids, masses, whole.shape)
        if tail == "bucket":
            kept = _scattered(known.ids, tf.ones_like(masses), whole.shape)
            rest = tf.exp(student) * (1 - tf.minimum(kept, 1.0))
            rest /= tf.reduce_sum(rest, axis=-1, keepdims=True)
            taught += rest * tf.exp(known.tail_log_mass)[..., None]
    taught /= tf.reduce_sum(taught, axis=-1, keepdims=True)
    logarithms = tf.math.log(tf.maximum(taught, 1e-30))
    return tf.reduce_sum(taught * (logarithms - whole), axis=-1)


def _scattered(
    ids: tf.Tensor, values: tf.Tensor, shape: tf.TensorShape
) -> tf.Tensor:
    """Adds values `[B, P, K]` up at their ids in `[B, P, V]`."""
    rows = shape[0] * shape[1]
    row = tf.repeat(tf.range(rows), ids.shape[-1])
    index = tf.stack([row, tf.reshape(ids, [-1])], axis=1)
    flat = tf.scatter_nd(index, tf.reshape(values, [-1]), [rows, shape[2]])
    return tf.reshape(flat, shape)


def _squared_mean(errors: list[np.ndarray]) -> float:
    """Estimate the squared norm of the mean error, without bias."""
    count = len(errors)
    if count == 1:
        return float(errors[0] @ errors[0])
    total = np.sum(errors, axis=0)
    own = sum(float(e @ e) for e in errors)
    return (float(total @ total) - own) / (count * (count - 1))
