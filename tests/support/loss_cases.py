"""One entry for each loss on states: what it is given, what it promises.

`tests/losses/test_contracts.py` runs every entry. A new loss is one entry in
`LOSS_CASES`.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfdistill.losses.attention import (
    attention_kl,
    attention_mse,
    attention_pearson,
)
from tfdistill.losses.contrastive import crd
from tfdistill.losses.geometry import unit
from tfdistill.losses.hidden import alp, hidden_cosine, hidden_mse, pkd
from tfdistill.losses.layer_relations import layer_angle, layer_distance
from tfdistill.losses.reduction import Parts
from tfdistill.losses.relations import relation_kl
from tfdistill.losses.word_relations import (
    word_angle,
    word_angle_window,
    word_distance,
)

LENGTHS = (5, 3, 0, 1)
B, L, D, H, N = len(LENGTHS), 5, 6, 2, 3
# CRD's negatives.
K = 2


def _itself(student: np.ndarray) -> np.ndarray:
    return student


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossCase:
    """A loss with its arguments, and arrays of its student and teacher.

    Attributes:
        loss: From student, teacher and mask `[B, L]` to `Parts`.
        student: Shape of the student's array; its first axis is B.
        teacher: Shape of the teacher's; None: as the student's.
        token_axes: Axes of both arrays, counted from the front, that are
            tokens.
        is_masked: Whether what stands at padded positions never matters,
            be it NaN.
        equal: From a student's array to the teacher's that it equals.
            None: there is none.
        floor: The loss where both are equal.
        floor_tolerance: How far it, and the gradient there, may be away.
        is_exact_when_split: Whether sums do not depend on how a batch is
            split.
    """

    loss: Callable[[tf.Tensor, tf.Tensor, np.ndarray], Parts]
    student: tuple[int, ...]
    teacher: tuple[int, ...] | None = None
    token_axes: tuple[int, ...] = ()
    is_masked: bool = True
    equal: Callable[[np.ndarray], np.ndarray] | None = _itself
    floor: float = 0.0
    floor_tolerance: float = 1e-6
    is_exact_when_split: bool = True


def random_inputs(case: LossCase, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a student's and a teacher's array, float64."""
    draw = np.random.default_rng(seed)
    return (
        draw.normal(size=case.student),
        draw.normal(size=case.teacher or case.student),
    )


def mask_of(lengths: tuple[int, ...] = LENGTHS) -> np.ndarray:
    """Returns a mask `[B, L]`, int32."""
    return (np.arange(L) < np.array(lengths)[:, None]).astype(np.int32)


def poisoned(
    x: np.ndarray, mask: np.ndarray, axes: tuple[int, ...], value: float
) -> np.ndarray:
    """Returns `x` with a value where any of the token axes is padded."""
    x = x.copy()
    for axis in axes:
        x[_padded(mask, axis, x)] = value
    return x


def _padded(mask: np.ndarray, axis: int, x: np.ndarray) -> np.ndarray:
    shape = [B if i == 0 else L if i == axis else 1 for i in range(x.ndim)]
    return np.broadcast_to(mask.reshape(shape) == 0, x.shape)


def crd_of_embeddings(
    student: tf.Tensor, teacher: tf.Tensor, mask: np.ndarray
) -> Parts:
    """CRD; the teacher's array holds its embedding and both banks' rows."""
    rows = unit(tf.cast(teacher, tf.float64))
    return crd(
        unit(student),
        rows[:, 0],
        rows[:, 1 : K + 2],
        rows[:, K + 2 :],
        30.0,
        40.0,
        mask[:, 0],
        num_data=20,
        temperature=0.5,
    )


HIDDEN = {"student": (B, L, D), "token_axes": (1,)}
SCORES = {"student": (B, H, L, L), "token_axes": (2, 3)}
VALUES = {"student": (B, H, L, D), "token_axes": (2,)}
# Of matched layers, in models of different widths.
STATES = {
    "student": (B, N, L, D),
    "teacher": (B, N, L, D + 2),
    "token_axes": (2,),
}
MORE_HEADS = (B, 2 * H, L, L)
ORIGINAL = {"is_masked": False}
# The epsilon of Pearson's correlation is seen in what hardly varies.
PEARSON = {"floor_tolerance": 5e-3, "is_exact_when_split": False}
# One of three examples has one token: constant attention in all heads.
PEARSON_FLOOR = {"floor": 1 / 3}


def _case(loss, shapes, *, case=None, **arguments):
    return LossCase(
        loss=functools.partial(loss, **arguments), **shapes, **(case or {})
    )


LOSS_CASES: dict[str, LossCase] = {
    "hidden_mse": _case(hidden_mse, HIDDEN),
    "hidden_mse_first": _case(hidden_mse, HIDDEN, tokens="first"),
    "hidden_mse_original": _case(
        hidden_mse, HIDDEN, reduction="original", case=ORIGINAL
    ),
    "hidden_cosine": _case(hidden_cosine, HIDDEN),
    "hidden_cosine_first": _case(hidden_cosine, HIDDEN, tokens="first"),
    "pkd": _case(pkd, HIDDEN),
    "pkd_all": _case(pkd, HIDDEN, tokens="all"),
    "pkd_original": _case(pkd, HIDDEN, reduction="original"),
    "pkd_all_original": _case(
        pkd, HIDDEN, tokens="all", reduction="original", case=ORIGINAL
    ),
    "alp": _case(
        alp,
        {"student": (B, D), "teacher": (B, N, D)},
        case={"equal": lambda x: np.stack([x] * N, axis=1)},
    ),
    "attention_mse": _case(attention_mse, SCORES),
    "attention_mse_average": _case(
        attention_mse, SCORES | {"teacher": MORE_HEADS}, heads="average"
    ),
    "attention_mse_original": _case(
        attention_mse, SCORES, reduction="original", case=ORIGINAL
    ),
    "attention_kl": _case(attention_kl, SCORES),
    "attention_kl_average": _case(
        attention_kl, SCORES | {"teacher": MORE_HEADS}, heads="average"
    ),
    "attention_kl_original": _case(
        attention_kl, SCORES, reduction="original", case=ORIGINAL
    ),
    "attention_pearson_inside": _case(
        attention_pearson,
        SCORES,
        along=["keys", "queries", "heads"],
        case=PEARSON | PEARSON_FLOOR | {"is_exact_when_split": True},
    ),
    "attention_pearson": _case(
        attention_pearson, SCORES, case=PEARSON | PEARSON_FLOOR
    ),
    "attention_pearson_average": _case(
        attention_pearson,
        SCORES | {"teacher": MORE_HEADS},
        heads="average",
        case=PEARSON,
    ),
    "attention_pearson_original": _case(
        attention_pearson,
        SCORES,
        reduction="original",
        case=PEARSON | ORIGINAL | {"equal": None},
    ),
    "relation_kl": _case(relation_kl, VALUES),
    "relation_kl_split_anew": _case(
        relation_kl, VALUES | {"teacher": (B, 4, L, 6)}, relation_heads=3
    ),
    "relation_kl_original": _case(
        relation_kl, VALUES, reduction="original", case=ORIGINAL
    ),
    "crd": _case(
        crd_of_embeddings,
        {"student": (B, D), "teacher": (B, 2 * K + 3, D)},
        case={"equal": None},
    ),
    "word_distance": _case(word_distance, STATES),
    "word_distance_l1": _case(
        word_distance, STATES, distance="l2", penalty="l1"
    ),
    "word_distance_normalised": _case(
        word_distance, STATES, distance="l2", penalty="l2", normalise=True
    ),
    "word_angle": _case(word_angle, STATES),
    "word_angle_smooth_l1": _case(word_angle, STATES, penalty="smooth_l1"),
    "word_angle_window": _case(word_angle_window, STATES, window=3),
    "word_angle_window_l1": _case(
        word_angle_window, STATES, window=5, penalty="l1"
    ),
    "word_angle_window_original": _case(
        word_angle_window,
        STATES,
        window=3,
        reduction="original",
        case=ORIGINAL,
    ),
    "layer_distance": _case(layer_distance, STATES),
    "layer_distance_normalised": _case(
        layer_distance,
        STATES,
        distance="l2",
        penalty="smooth_l1",
        normalise=True,
    ),
    "layer_angle": _case(layer_angle, STATES),
}
