"""Objectives on hidden states."""

import tensorflow as tf

from tfdistill.distillation.objectives.layers import (
    PROJECTIONS,
    Layers,
    Term,
    check_word,
    loss_on,
    on_pairs,
    projected,
    teacher_of,
)
from tfdistill.distillation.objectives.objective import (
    Bind,
    Context,
    Loss,
    student_of,
)
from tfdistill.losses import hidden
from tfdistill.losses.reduction import Parts, check_reduction

_TOKENS = ("all", "first")


def hidden_mse(
    *,
    layers: str = "skip",
    tokens: str = "all",
    projection: str = "auto",
    reduction: str = "mean",
) -> Bind:
    """Learn hidden states: mean squared differences, summed over pairs.

    Args:
        layers: Which states are compared; see `layer_maps`.
        tokens: `all`, or `first` for that of [CLS] alone.
        projection: A learnt map of the student's states to the teacher's
            width: `auto` where widths differ, or `always`.
        reduction: `mean`, or `original`, which counts padding.
    """
    check_reduction(reduction)
    check_word("tokens", tokens, _TOKENS)

    def term(s: tf.Tensor, t: tf.Tensor, mask: tf.Tensor) -> Parts:
        return hidden.hidden_mse(s, t, mask, tokens=tokens, reduction=reduction)

    return _on_states(layers, term, projection)


def hidden_cosine(
    *, layers: str = "skip", tokens: str = "all", projection: str = "auto"
) -> Bind:
    """Learn the direction of hidden states, summed over pairs.

    Args: as `hidden_mse`.
    """
    check_word("tokens", tokens, _TOKENS)

    def term(s: tf.Tensor, t: tf.Tensor, mask: tf.Tensor) -> Parts:
        return hidden.hidden_cosine(s, t, mask, tokens=tokens)

    return _on_states(layers, term, projection)


def pkd(
    *,
    layers: str = "skip",
    tokens: str = "first",
    projection: str = "auto",
    reduction: str = "mean",
) -> Bind:
    """Learn hidden states of length 1 (Patient KD), summed over pairs.

    Args: as `hidden_mse`.
    """
    check_reduction(reduction)
    check_word("tokens", tokens, _TOKENS)

    def term(s: tf.Tensor, t: tf.Tensor, mask: tf.Tensor) -> Parts:
        return hidden.pkd(s, t, mask, tokens=tokens, reduction=reduction)

    return _on_states(layers, term, projection)


def alp_kd(*, projection: str = "auto") -> Bind:
    """Learn a mix of all teacher layers, drawn by attention (ALP-KD).

    The first token's vector in every student state, the embeddings' too.

    Args:
        projection: As for `hidden_mse`.
    """
    check_word("projection", projection, PROJECTIONS)

    def bind(context: Context) -> Loss:
        project, variables = projected(context, projection)

        def compute(
            student: Layers, teacher: Layers, mask: tf.Tensor, step: tf.Tensor
        ) -> Parts:
            mix = tf.stack([t[:, 0] for t in teacher.values()], axis=1)
            parts = [
                hidden.alp(project(s)[:, 0], mix, mask)
                for s in student.values()
            ]
            # A mean over states, as over everything else.
            return Parts(
                tf.add_n([p.values for p in parts]),
                tf.add_n([p.weights for p in parts]),
            )

        states = "hidden_states"
        return loss_on(
            context,
            states,
            range(student_of(context).num_layers + 1),
            range(teacher_of(context).num_layers + 1),
            compute,
            variables,
        )

    return bind


def hidden_concatenated(*, reduction: str = "mean") -> Bind:
    """Learn all teacher states at once, from all of the student's.

    States are concatenated along their channels, and the student's mapped to
    the teacher's width. (The published code maps the teacher's, so both
    sides can shrink together.)

    Args:
        reduction: As for `hidden_mse`.
    """
    check_reduction(reduction)

    def bind(context: Context) -> Loss:
        ours = student_of(context).num_layers + 1
        theirs = teacher_of(context).num_layers + 1
        project, variables = projected(
            context, "always", ours=ours, theirs=theirs
        )

        def compute(
            student: Layers, teacher: Layers, mask: tf.Tensor, step: tf.Tensor
        ) -> Parts:
            return hidden.hidden_mse(
                project(tf.concat(list(student.values()), axis=-1)),
                tf.concat(list(teacher.values()), axis=-1),
                mask,
                reduction=reduction,
            )

        states = "hidden_states"
        return loss_on(
            context, states, range(ours), range(theirs), compute, variables
        )

    return bind


def _on_states(layers: str, term: Term, projection: str) -> Bind:
    check_word("projection", projection, PROJECTIONS)

    def bind(context: Context) -> Loss:
        project, variables = projected(context, projection)
        return on_pairs(
            context,
            "hidden_states",
            layers,
            lambda s, t, mask: term(project(s), t, mask),
            variables,
        )

    return bind
