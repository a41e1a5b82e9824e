"""What objectives on features share: pairs of layers, and projections."""

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from tfdistill.distillation.layer_maps import (
    match_attention,
    match_states,
    random_layers,
)
from tfdistill.distillation.objectives.objective import (
    Context,
    Known,
    Loss,
    Outputs,
    student_of,
)
from tfdistill.losses.reduction import Parts
from tfdistill.models.configuration import BertConfig
from tfdistill.models.layers import truncated_normal
from tfdistill.models.outputs import of_layer
from tfdistill.records import Batch

# From a student's and a teacher's layer, and a mask, to values and weights.
Term = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Parts]
Layers = Mapping[int, tf.Tensor]
# From both models' layers by number, a mask and the step.
Compute = Callable[[Layers, Layers, tf.Tensor, tf.Tensor], Parts]
Project = Callable[[tf.Tensor], tf.Tensor]

PROJECTIONS = ("auto", "always")


def on_pairs(
    context: Context,
    field: str,
    layers: str,
    term: Term,
    variables: Mapping[str, keras.Variable],
) -> Loss:
    """Sum a term over pairs of layers.

    `layers` is a map of `layer_maps`, or `random`: all of the student's
    layers with as many of the teacher's, drawn anew at each step.
    """
    depths = teacher_of(context).num_layers, student_of(context).num_layers
    if layers == "random":
        return _on_random_pairs(context, field, depths, term, variables)
    match = match_states if field == "hidden_states" else match_attention
    pairs = match(layers, *depths)

    def compute(
        student: Layers, teacher: Layers, mask: tf.Tensor, step: tf.Tensor
    ) -> Parts:
        return _added([term(student[s], teacher[t], mask) for t, s in pairs])

    ours = sorted({s for _, s in pairs})
    theirs = sorted({t for t, _ in pairs})
    return loss_on(context, field, ours, theirs, compute, variables)


def _on_random_pairs(
    context: Context,
    field: str,
    depths: tuple[int, int],
    term: Term,
    variables: Mapping[str, keras.Variable],
) -> Loss:
    first = 1 if field == "hidden_states" else 0
    theirs, ours = (range(first, first + depth) for depth in depths)
    # Too deep a student is refused now.
    random_layers(*depths, seed=context.seed, step=0)

    def compute(
        student: Layers, teacher: Layers, mask: tf.Tensor, step: tf.Tensor
    ) -> Parts:
        drawn = random_layers(*depths, seed=context.seed, step=step)
        stack = tf.stack([teacher[t] for t in theirs])
        return _added(
            [term(student[s], stack[drawn[s - first]], mask) for s in ours]
        )

    return loss_on(context, field, ours, theirs, compute, variables)


def _added(parts: list[Parts]) -> Parts:
    """The sum of terms with equal weights."""
    return Parts(tf.add_n([p.values for p in parts]), parts[0].weights)


def loss_on(
    context: Context,
    field: str,
    ours: Sequence[int],
    theirs: Sequence[int],
    compute: Compute,
    variables: Mapping[str, keras.Variable],
) -> Loss:
    """A loss on layers of a field, and its weights.

    The weights depend on the mask and on shapes alone, so they are those of
    features that are all 0; in a graph nothing else of these is computed.
    """

    def on_batch(
        student: Outputs, known: Known, batch: Batch, step: tf.Tensor
    ) -> Parts:
        return compute(
            {i: student[field][i] for i in ours},
            {i: tf.stop_gradient(known[field][i]) for i in theirs},
            _mask(batch),
            step,
        )

    def weights(batch: Batch) -> tf.Tensor:
        shape = batch["input_mask"].shape
        student, teacher = (
            {i: _zeros(config, field, shape) for i in numbers}
            for config, numbers in (
                (student_of(context), ours),
                (teacher_of(context), theirs),
            )
        )
        none = tf.constant(0.0)
        return compute(student, teacher, _mask(batch), none).weights

    return Loss(
        compute=on_batch,
        weights=weights,
        student_reads=frozenset(of_layer(field, i) for i in ours),
        teacher_reads=frozenset(of_layer(field, i) for i in theirs),
        variables=variables,
    )


def _mask(batch: Batch) -> tf.Tensor:
    mask = tf.cast(batch["input_mask"], tf.float32)
    return mask * batch["is_real_example"][:, None]


def _zeros(config: BertConfig, field: str, shape: tf.TensorShape) -> tf.Tensor:
    batch, length = shape
    if field == "hidden_states":
        return tf.zeros([batch, length, config.hidden_dim])
    last = length if field == "attention_scores" else config.head_dim
    return tf.zeros([batch, config.num_heads, length, last])


def projected(
    context: Context, projection: str, *, ours: int = 1, theirs: int = 1
) -> tuple[Project, dict[str, keras.Variable]]:
    """A learnt map from `ours` widths of the student to `theirs`."""
    width = ours * student_of(context).hidden_dim
    check_word("projection", projection, PROJECTIONS)
    wanted = theirs * teacher_of(context).hidden_dim
    if projection == "auto" and width == wanted:
        return (lambda x: x), {}
    return dense(context, "projection", width, wanted)


def dense(
    context: Context, name: str, width: int, wanted: int
) -> tuple[Project, dict[str, keras.Variable]]:
    """A learnt linear map of the last axis, and its variables."""
    draw = truncated_normal(width**-0.5, context.seed, name)
    with context.scope():
        kernel = keras.Variable(draw((width, wanted)), name=f"{name}_kernel")
        bias = keras.Variable(tf.zeros([wanted]), name=f"{name}_bias")

    def project(x: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(x, [-1, width])
        flat = tf.nn.bias_add(tf.matmul(flat, kernel.value), bias.value)
        return tf.reshape(flat, [*x.shape[:-1], wanted])

    return project, {f"{name}/kernel": kernel, f"{name}/bias": bias}


def teacher_of(context: Context) -> BertConfig:
    """Returns the teacher's shape.

    Raises:
        ValueError: It is not known.
    """
    if context.teacher is None:
        raise ValueError(
            "a live --teacher is needed, or records that hold features of one."
        )
    return context.teacher


def check_word(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse an argument that is none of the words it may be.

    Raises:
        ValueError: It is not.
    """
    if value not in known:
        raise ValueError(
            f"Unknown {name} {value!r}. Known: {', '.join(known)}."
        )
