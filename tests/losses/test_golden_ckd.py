"""Losses, layer maps and their helpers against the published code of CKD.

Every case of the file is run, in both float types, inside a `tf.function`.
What runs is chosen by a case's function, parameters and inputs, so another
file of the same format, with other numbers, is checked as well.
"""

import functools
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from golden import golden

from tfdistill.distillation.layer_maps import match_layers
from tfdistill.losses.attention import attention_mse
from tfdistill.losses.geometry import shares
from tfdistill.losses.gram_matrices import (
    angles,
    gram,
    sides_of,
    squared_distances,
    unit,
)
from tfdistill.losses.hidden import hidden_mse, pkd
from tfdistill.losses.layer_relations import layer_angle, layer_distance
from tfdistill.losses.logits import logit_mse
from tfdistill.losses.reduction import loss_of
from tfdistill.losses.soft_targets import soft_targets
from tfdistill.losses.word_relations import (
    window_positions,
    word_angle,
    word_angle_window,
    word_distance,
)

GOLDEN = golden("ckd_losses")
TYPES = {"float32": 1e-5, "float64": 1e-8}
# To so many digits the file gives gradients.
GRADIENT_TOLERANCE = 5e-7
# Of the cases that the published code computes in float32.
FLOAT32_TOLERANCE = 1e-6
PENALTIES = {
    "kldiv": "kl",
    "l1loss": "l1",
    "l2loss": "l2",
    "smoothl1": "smooth_l1",
}


def array(name):
    """An input of the file, float64; `name[:, 0:1]` is a part of one."""
    name, *slices = re.fullmatch(r"(\w+)(?:\[:, (\d+):(\d+)\])?", name).groups()
    entry = GOLDEN["inputs"][name]
    data = np.array([float(x) for x in entry["data"]]).reshape(entry["shape"])
    if slices[0] is None:
        return data
    return data[:, int(slices[0]) : int(slices[1])]


def distill_kl(student, teacher, *, temperature, mode):
    if mode == "regression":
        return tf.reduce_mean(
            logit_mse(student, teacher, temperature=temperature)
        )
    assert mode == "classification"
    return tf.reduce_mean(
        soft_targets(
            student,
            teacher,
            temperature=temperature,
            scale_by_temperature=False,
        )
    )


def distances(loss):
    def function(student, teacher, mask, *, distance, lossfunc, normalize):
        return loss_of(
            loss(
                student,
                teacher,
                mask,
                distance=distance,
                penalty=PENALTIES[lossfunc],
                normalise=normalize,
            )
        )

    return function


def angle(loss):
    def function(student, teacher, mask, *, lossfunc):
        return loss_of(
            loss(student, teacher, mask, penalty=PENALTIES[lossfunc])
        )

    return function


def angle_window(student, teacher, mask, *, lossfunc, window):
    return loss_of(
        word_angle_window(
            student,
            teacher,
            mask,
            window=window,
            penalty=PENALTIES[lossfunc],
            reduction="original",
        )
    )


def layer_by_layer(loss, student, teacher, **arguments):
    """The mean over layers of a loss on one layer, padding included."""
    student, teacher = tf.unstack(student, axis=1), tf.unstack(teacher, axis=1)
    full = tf.ones([student[0].shape[0], student[0].shape[-2]])
    return tf.reduce_mean(
        [
            loss_of(loss(ours, theirs, full, **arguments))
            for ours, theirs in zip(student, teacher, strict=True)
        ]
    )


def pkd_loss(student, teacher, *, only_cls, normalize):
    tokens = "first" if only_cls else "all"
    if not normalize:
        return layer_by_layer(hidden_mse, student, teacher, tokens=tokens)
    return layer_by_layer(pkd, student, teacher, tokens=tokens)


def all_positions_mse(student, teacher):
    return layer_by_layer(hidden_mse, student, teacher, reduction="original")


def all_scores_mse(student, teacher, *, zero_when_at_most):
    assert zero_when_at_most == -100
    return layer_by_layer(attention_mse, student, teacher, reduction="original")


FUNCTIONS = {
    "DistillKL": distill_kl,
    "WR_Dist": distances(word_distance),
    "WR_Angle": angle(word_angle),
    "WR_Angle_window": angle_window,
    "LTR_Dist": distances(layer_distance),
    "LTR_Angle": angle(layer_angle),
    "PKD_loss": pkd_loss,
    "Hidden_mse": all_positions_mse,
    "Embedding_mse": all_positions_mse,
    "Attention_mse": all_scores_mse,
}


@functools.cache
def value_and_gradient(name, params):
    """A function that cases of the same parameters share."""

    @tf.function
    def evaluate(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs["student"])
            loss = FUNCTIONS[name](**inputs, **json.loads(params))
        return loss, tape.gradient(loss, inputs["student"])

    return evaluate


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: c["id"])
def test_case(case, dtype):
    if case["function"] not in FUNCTIONS:
        pytest.fail(
            f"Case {case['id']} has function {case['function']!r}, which is "
            f"not known. Known: {', '.join(FUNCTIONS)}."
        )
    inputs = {
        side: tf.constant(array(name), dtype)
        for side, name in case["inputs"].items()
    }

    evaluate = value_and_gradient(case["function"], json.dumps(case["params"]))
    loss, gradient = evaluate(inputs)
    tolerance = TYPES[dtype]
    if case["function"] == "PKD_loss":
        tolerance = max(tolerance, FLOAT32_TOLERANCE)
    assert loss.dtype == dtype
    np.testing.assert_allclose(loss, case["expected"], rtol=tolerance)
    gradient = gradient.numpy()
    assert np.isfinite(gradient).all()
    if "grad_student_l2" in case:
        np.testing.assert_allclose(
            np.linalg.norm(gradient), case["grad_student_l2"], rtol=tolerance
        )
    if "grad_student" in case:
        np.testing.assert_allclose(
            gradient.ravel(),
            case["grad_student"],
            rtol=max(tolerance, GRADIENT_TOLERANCE),
            atol=tolerance * np.abs(case["grad_student"]).max(),
        )
    if "mask" in inputs and case["function"] != "WR_Angle_window":
        padded = array(case["inputs"]["mask"]) == 0
        assert not np.moveaxis(gradient, 1, 2)[padded].any()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", GOLDEN["combined"], ids=lambda c: c["id"])
def test_combined(case, dtype):
    rows = int(re.match(r"first (\d+) rows", case["logits_rows"])[1])
    mask = tf.constant(array(case["mask"]), dtype)
    student, teacher = (
        tf.constant(array(name), dtype) for name in ("s_embed", "t_embed")
    )
    logits, wanted = (
        tf.constant(array(f"{side}_logits")[:rows], dtype)
        for side in ("student", "teacher")
    )
    cos = {"distance": "cos", "lossfunc": "kldiv", "normalize": False}

    @tf.function
    def evaluate():
        states = student, teacher, mask
        return {
            "kd": distill_kl(
                logits,
                wanted,
                temperature=case["temperature"],
                mode="classification",
            ),
            "wrdist": FUNCTIONS["WR_Dist"](*states, **cos),
            "wrangle_window": FUNCTIONS["WR_Angle_window"](
                *states, lossfunc="l2loss", window=case["window"]
            ),
            "ltrdist": FUNCTIONS["LTR_Dist"](*states, **cos),
            "ltrangle": FUNCTIONS["LTR_Angle"](*states, lossfunc="l2loss"),
        }

    parts = {name: value.numpy() for name, value in evaluate().items()}
    tolerance = TYPES[dtype]
    for name, value in case["parts"].items():
        np.testing.assert_allclose(parts[name], value, rtol=tolerance)
    weights = case["weights"]
    total = parts["kd"] + sum(
        weights[f"{name.removesuffix('_window')}_w"] * value
        for name, value in parts.items()
        if name != "kd"
    )
    np.testing.assert_allclose(total, case["expected"], rtol=tolerance)


@pytest.mark.parametrize(
    "case",
    GOLDEN["layer_matching"],
    ids=lambda c: (
        f"{c['strategy']}-{c['teacher_layers']}-{c['student_layers']}"
    ),
)
def test_layer_matching(case):
    found = match_layers(
        case["strategy"], case["teacher_layers"], case["student_layers"]
    )
    kind = "original" if case["original_error"] is None else "intended"
    teacher = case.get(f"{kind}_teacher_indices")
    student = case.get(f"{kind}_student_indices")
    if teacher is None or len(teacher) != len(student):
        # Nothing of use was published; see test_layer_maps.py.
        assert found
    else:
        assert found == list(zip(teacher, student, strict=True))


def teacher_states(example, layer):
    return tf.constant(array("t_embed")[int(example), int(layer)])


def others(states):
    return ~tf.eye(len(states), dtype=tf.bool)


def squared_distance_helper(*place):
    return squared_distances(gram(teacher_states(*place)))


def distance_helper(*place):
    return tf.sqrt(squared_distance_helper(*place))


def window_helper(window, length, row):
    positions, _ = window_positions(int(length), int(window))
    return positions if row is None else positions[int(row)]


def relation_helper(*place):
    states = teacher_states(*place)
    return shares(gram(unit(states)), others(states))


def angle_helper(*place):
    *place, centre = place
    states = teacher_states(*place)
    products, centre = gram(states), int(centre)
    sides = sides_of(
        products[centre],
        tf.linalg.diag_part(products),
        products[centre, centre],
        others(states)[centre],
    )
    return angles(products, *sides)


PLACE = r"example(\d+)_layer(\d+)"
HELPERS = {
    f"pairwise_squared_distance_{PLACE}": squared_distance_helper,
    f"pairwise_distance_sqrt_{PLACE}": distance_helper,
    r"window_index_w(\d+)_len(\d+)(?:_row(\d+))?": window_helper,
    f"wrdist_teacher_relation_probs_{PLACE}_full": relation_helper,
    rf"wrangle_teacher_angle_{PLACE}_center(\d+)": angle_helper,
}


@pytest.mark.parametrize("name", GOLDEN["helpers"])
def test_helper(name):
    matches = {re.fullmatch(key, name): run for key, run in HELPERS.items()}
    matches.pop(None, None)
    if not matches:
        pytest.fail(
            f"Helper {name!r} is not known. Known: {', '.join(HELPERS)}"
        )
    ((match, run),) = matches.items()
    entry = GOLDEN["helpers"][name]
    np.testing.assert_allclose(
        run(*match.groups()),
        np.reshape(entry["data"], entry["shape"]),
        rtol=1e-7,
        # Squared distances are at least 1e-12, given to 8 decimal places.
        atol=2e-6 if "sqrt" in name else 1e-8,
    )
