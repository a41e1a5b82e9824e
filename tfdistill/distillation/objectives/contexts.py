"""Objectives on contextual relations (CKD): whatever the models' shapes.

They compare how words, and how the layers of one word, lie to each other, so
student and teacher may differ in width, depth and heads.
"""

from collections.abc import Callable

import tensorflow as tf

from tfdistill.distillation.layer_maps import match_states
from tfdistill.distillation.objectives.layers import Layers, loss_on, teacher_of
from tfdistill.distillation.objectives.objective import (
    Bind,
    Context,
    Loss,
    student_of,
)
from tfdistill.losses import layer_relations, word_relations
from tfdistill.losses.geometry import check_distance, check_penalty
from tfdistill.losses.reduction import Parts, check_reduction


def word_distance(
    *,
    layers: str = "emb+skip",
    distance: str = "cos",
    penalty: str = "kl",
    normalise: bool = False,
    reduction: str = "mean",
) -> Bind:
    """Learn the distances between the words of a text, a mean over layers.

    Args:
        layers: Which states are compared; see `layer_maps`.
        distance: `cos` (with penalty `kl`) or `l2`.
        penalty: `kl`, `l1`, `l2` or `smooth_l1`.
        normalise: Divide l2 distances by their mean.
        reduction: `mean` and `original` are the same here.
    """
    check_reduction(reduction)
    check_distance(distance, penalty, normalise)
    return _on_stacks(
        layers,
        word_relations.word_distance,
        distance=distance,
        penalty=penalty,
        normalise=normalise,
    )


def word_angle(
    *,
    layers: str = "emb+skip",
    window: int = 0,
    penalty: str = "l2",
    reduction: str = "mean",
) -> Bind:
    """Learn the angles between any three words of a text.

    Args:
        layers: Which states are compared; see `layer_maps`.
        window: An odd number of words around each; 0: the whole text, which
            takes memory and time with the cube of its length.
        penalty: `l1`, `l2` or `smooth_l1`.
        reduction: `mean`, or `original`, where padded neighbours in the
            window count; without a window both are the same.
    """
    check_reduction(reduction)
    check_penalty(penalty)
    if window == 0:
        return _on_stacks(layers, word_relations.word_angle, penalty=penalty)
    if window < 0 or window % 2 == 0:
        raise ValueError(f"window={window} is not an odd number, nor 0.")
    return _on_stacks(
        layers,
        word_relations.word_angle_window,
        window=window,
        penalty=penalty,
        reduction=reduction,
    )


def layer_distance(
    *,
    layers: str = "emb+skip",
    distance: str = "cos",
    penalty: str = "kl",
    normalise: bool = False,
    reduction: str = "mean",
) -> Bind:
    """Learn the distances between the layers of every word.

    Args: as `word_distance`. At least three pairs of states are needed,
        for `l2` two.
    """
    check_reduction(reduction)
    check_distance(distance, penalty, normalise)
    return _on_stacks(
        layers,
        layer_relations.layer_distance,
        # The shares of a single other layer are always 1.
        least=3 if distance == "cos" else 2,
        distance=distance,
        penalty=penalty,
        normalise=normalise,
    )


def layer_angle(
    *,
    layers: str = "emb+skip",
    penalty: str = "l2",
    reduction: str = "mean",
) -> Bind:
    """Learn the angles between any three layers of every word.

    Args: as `word_angle`; three pairs of states are needed at least.
    """
    check_reduction(reduction)
    check_penalty(penalty)
    return _on_stacks(
        layers,
        layer_relations.layer_angle,
        least=3,
        penalty=penalty,
    )


def _on_stacks(
    layers: str,
    term: Callable[..., Parts],
    *,
    least: int = 1,
    **settings: object,
) -> Bind:
    """A loss on all matched states at once, `[B, N, L, D]`."""

    def bind(context: Context) -> Loss:
        pairs = match_states(
            layers,
            teacher_of(context).num_layers,
            student_of(context).num_layers,
        )
        if len(pairs) < least:
            raise ValueError(
                f"layers={layers} gives {len(pairs)} pairs of states here, "
                f"of which nothing can be learnt: {least} are needed."
            )

        def compute(
            student: Layers, teacher: Layers, mask: tf.Tensor, step: tf.Tensor
        ) -> Parts:
            return term(
                tf.stack([student[s] for _, s in pairs], axis=1),
                tf.stack([teacher[t] for t, _ in pairs], axis=1),
                mask,
                **settings,
            )

        return loss_on(
            context,
            "hidden_states",
            sorted({s for _, s in pairs}),
            sorted({t for t, _ in pairs}),
            compute,
            {},
        )

    return bind
