"""Losses on states against the golden numbers of the published code.

Every case of the file is run, in both float types, inside a `tf.function`.
What runs is chosen by a case's function, parameters and inputs, so another
file of the same format, with other numbers, is checked as well.
"""

import re

import numpy as np
import pytest
import tensorflow as tf
from golden import golden

from tfdistill.losses.attention import (
    ALONG,
    attention_kl,
    attention_mse,
    attention_pearson,
)
from tfdistill.losses.contrastive import (
    crd,
    crd_normaliser,
    crd_scores,
    update_rows,
)
from tfdistill.losses.geometry import unit
from tfdistill.losses.hidden import alp, hidden_mse, pkd
from tfdistill.losses.logits import squared_error
from tfdistill.losses.reduction import loss_of
from tfdistill.losses.relations import relation_kl
from tfdistill.losses.soft_targets import soft_targets

GOLDEN = golden("objectives")
TYPES = {"float32": 1e-5, "float64": 1e-8}
# Both sides' number, where the published code itself computes in float32.
FLOAT32_TOLERANCE = 1e-6
# What the file leaves unsaid: inputs that a function takes in any case.
INPUTS = {
    "hidden_mse_learn": {
        "weight": "combine_projection_weight",
        "bias": "combine_projection_bias",
    },
    "hidden_mse_token": {
        "teacher_hidden": "teacher_hidden_states",
        "student_hidden": "student_hidden_states",
        "weight": "combine_projection_weight",
        "bias": "combine_projection_bias",
    },
}


def array(name):
    """An input of the file, float64 (labels: int64)."""
    entry = GOLDEN["inputs"][name]
    if "derive" in entry:
        return hidden_keys(entry["derive"])
    data = entry["data"]
    if all(type(x) is int for x in data):
        return np.array(data, np.int64).reshape(entry["shape"])
    return np.array([float(x) for x in data]).reshape(entry["shape"])


def hidden_keys(text):
    pattern = r"(\w+) minus (\d+) on keys ([\d,]+) of example (\d+)"
    name, number, keys, example = re.fullmatch(pattern, text).groups()
    found = array(name)
    keys = [int(key) for key in keys.split(",")]
    found[:, int(example), :, :, keys] -= float(number)
    return found


def tensor(name, dtype):
    found = array(name)
    return tf.constant(found, None if found.dtype == np.int64 else dtype)


def full_mask(states):
    """Of batch-first states: every position is a token."""
    return tf.ones(states.shape[:2])


def total(**components):
    return {"total": tf.add_n(list(components.values())), **components}


# fairseq's layouts.


def per_head(x):
    """[layer, B * H, ...] as examples of one head each."""
    return x[:, :, None]


def key_mask(scores):
    """[layer, B, H, query, key] to [B, key], from what the scores hide."""
    return tf.reduce_any(scores[0] > -1000, axis=[1, 2])


def batch_first(states):
    return tf.transpose(states, [0, 2, 1, 3])


def uniform(student, teacher):
    """Layers paired uniformly: the last of each block of teacher layers."""
    block = len(teacher) // len(student)
    return [(i, i * block + block - 1) for i in range(len(student))]


def layer_pairs(inputs, params, student="student", teacher="teacher"):
    student, teacher = inputs[student], inputs[teacher]
    used = params.get("teacher_layers_used_0based")
    if used is None:
        return uniform(student, teacher)
    return list(enumerate(used))


def attention(loss, inputs, pairs, **arguments):
    student, teacher = per_head(inputs["student"]), per_head(inputs["teacher"])
    mask = key_mask(teacher)
    return tf.add_n(
        [
            loss_of(
                loss(
                    student[i],
                    teacher[j],
                    mask,
                    reduction="original",
                    **arguments,
                )
            )
            for i, j in pairs
        ]
    )


def relation(student, teacher, pairs):
    student, teacher = per_head(student), per_head(teacher)
    mask = tf.ones([student.shape[1], student.shape[3]])
    return tf.add_n(
        [
            loss_of(
                relation_kl(student[i], teacher[j], mask, reduction="original")
            )
            for i, j in pairs
        ]
    )


def states(inputs):
    return (
        batch_first(inputs["student_hidden"]),
        batch_first(inputs["teacher_hidden"]),
    )


def state_pairs(student, teacher, params):
    """Uniform pairs of states, the embeddings' included, unless given."""
    given = params.get("pairs_0based_states")
    if isinstance(given, list):
        return given
    count = len(student) - 1
    if params.get("mapping") == "last":
        return [(count, len(teacher) - 1)]
    return [(i, i * ((len(teacher) - 1) // count)) for i in range(count + 1)]


def hidden(inputs, params, tokens="all"):
    student, teacher = states(inputs)
    mask = full_mask(student[0])
    arguments = {"tokens": tokens, "reduction": "original"}
    if params.get("mapping") == "combine":
        return combined(student, teacher, inputs, mask, arguments)
    return tf.add_n(
        [
            loss_of(hidden_mse(student[i], teacher[j], mask, **arguments))
            for i, j in state_pairs(student, teacher, params)
        ]
    )


def combined(student, teacher, inputs, mask, arguments):
    student = tf.concat(tf.unstack(student), -1)
    teacher = tf.concat(tf.unstack(teacher), -1)
    weight, bias = inputs["weight"], inputs["bias"]
    projected = tf.einsum("blc,oc->blo", teacher, weight) + bias
    return loss_of(hidden_mse(student, projected, mask, **arguments))


def clip(params):
    return params["clamp"][0] if "clamp" in params else 0.0


def att_mse_learn(inputs, params):
    pairs = layer_pairs(inputs, params)
    return total(attention=attention(attention_mse, inputs, pairs))


def att_kl_learn(inputs, params):
    pairs = layer_pairs(inputs, params)
    return total(
        attention=attention(attention_kl, inputs, pairs, clip=clip(params))
    )


def att_and_hidden(learn):
    def function(inputs, params):
        return total(
            hidden=hidden(inputs, params),
            attention=learn(inputs, params)["attention"],
        )

    return function


def minilm_on(inputs, pairs):
    return total(
        attention_kl=attention(attention_kl, inputs, pairs, clip=0.0),
        value_relation_kl=relation(
            inputs["student_values"], inputs["teacher_values"], pairs
        ),
    )


def minilm(inputs, params):
    return minilm_on(inputs, layer_pairs(inputs, params))


def minilm_single_layer(inputs, params):
    last = len(inputs["student"]) - 1, len(inputs["teacher"]) - 1
    return minilm_on(inputs, [last])


def qkv(inputs, params):
    pairs = layer_pairs(inputs, params, "student_values", "teacher_values")
    return total(
        **{
            name: relation(
                inputs[f"student_{name}"], inputs[f"teacher_{name}"], pairs
            )
            for name in ("queries", "keys", "values")
        }
    )


def hidden_mse_learn(inputs, params):
    return total(hidden=hidden(inputs, params))


def hidden_mse_token(inputs, params):
    return total(hidden=hidden(inputs, params, tokens="first"))


def pkd_sum(inputs, params):
    student, teacher = states(inputs)
    mask = full_mask(student[0])
    batch = tf.cast(student.shape[1], student.dtype)
    return total(
        pkd=tf.add_n(
            [
                # The published one is a sum over the batch.
                batch
                * loss_of(
                    pkd(student[i], teacher[j], mask, reduction="original")
                )
                for i, j in state_pairs(student, teacher, params)
            ]
        )
    )


def alp_kd(inputs, params):
    student, teacher = states(inputs)
    mask = full_mask(student[0])
    teacher_first = tf.transpose(teacher[:, :, 0], [1, 0, 2])
    losses = [
        loss_of(alp(first, teacher_first, mask))
        for first in tf.unstack(student[:, :, 0])
    ]
    return {"total": tf.reduce_mean(losses)}


# The prediction layer.


def prediction_layer_loss(inputs, params):
    student, weight = inputs["student"], params["kd_weight"]
    labels = tf.nn.sparse_softmax_cross_entropy_with_logits(
        inputs["labels"], student
    )
    divergence = soft_targets(
        student,
        inputs["teacher"],
        temperature=params["temperature"],
        divergence="kl",
    )
    ce, kd = tf.reduce_sum(labels), tf.reduce_sum(divergence)
    return {
        "total": (1 - weight) * ce + weight * kd,
        "ce_sum": ce,
        "kd_sum_times_T2": kd,
    }


def prediction_layer_loss_regression(inputs, params):
    student, weight = inputs["student"], params["kd_weight"]
    label = tf.reduce_sum(squared_error(student, inputs["labels"]))
    teacher = tf.reduce_sum(squared_error(student, inputs["teacher"]))
    return {
        "total": (1 - weight) * label + weight * teacher,
        "label_sse": label,
        "teacher_sse": teacher,
    }


# The task-agnostic half's layouts.


def selected(inputs, params, student="student"):
    """One teacher layer is the last student layer's; several are in order."""
    layers = [int(i) for i in params.get("layer_selection", "-1").split(",")]
    if len(layers) == 1:
        return [(len(inputs[student]) - 1, layers[0])]
    return list(enumerate(layers))


def agnostic_attention(loss, inputs, params, **arguments):
    student, teacher = inputs["student"], inputs["teacher"]
    mask = key_mask(teacher)
    arguments["reduction"] = "original"
    return tf.add_n(
        [
            loss_of(loss(student[i], teacher[j], mask, **arguments))
            for i, j in selected(inputs, params)
        ]
    )


def agnostic_relation(student, teacher, params):
    heads = params.get("relation_heads")
    if heads is None and student.shape[2] != teacher.shape[2]:
        heads = teacher.shape[2]
    mask = tf.ones([student.shape[1], student.shape[3]])
    pairs = selected({"student": student}, params)
    return tf.add_n(
        [
            loss_of(
                relation_kl(
                    student[i],
                    teacher[j],
                    mask,
                    relation_heads=heads or 0,
                    reduction="original",
                )
            )
            for i, j in pairs
        ]
    )


def att_kl(inputs, params):
    return total(attention_kl=agnostic_attention(attention_kl, inputs, params))


def att_mse(inputs, params):
    return total(
        attention_mse=agnostic_attention(attention_mse, inputs, params)
    )


def att_val_og(inputs, params):
    return total(
        attention_kl=agnostic_attention(attention_kl, inputs, params),
        value_relation_kl=agnostic_relation(
            inputs["student_values"], inputs["teacher_values"], params
        ),
    )


def pear_col(inputs, params):
    names = ("inter_token_1", "inter_token_2", "inter_head", "inter_sentence")
    parts = {
        name: agnostic_attention(
            attention_pearson, inputs, params, along=[axis]
        )
        for name, axis in zip(names, ALONG, strict=True)
    }
    whole = agnostic_attention(attention_pearson, inputs, params)
    return {"total": whole, **parts}


def minilm_v2(inputs, params):
    return total(
        **{
            x: agnostic_relation(
                inputs[f"student_{x}"], inputs[f"teacher_{x}"], params
            )
            for x in "qkv"
        }
    )


def agnostic_hidden(tokens):
    def function(inputs, params):
        student, teacher = inputs["student"], inputs["teacher"]
        mask = full_mask(student[0])
        return total(
            hidden=tf.add_n(
                [
                    loss_of(
                        hidden_mse(
                            student[i],
                            teacher[j],
                            mask,
                            tokens=tokens,
                            reduction="original",
                        )
                    )
                    for i, j in selected(inputs, params)
                ]
            )
        )

    return function


def hidden_mse_combine(inputs, params):
    student, teacher = inputs["student"], inputs["teacher"]
    return total(
        hidden=combined(
            student,
            teacher,
            inputs,
            full_mask(student[0]),
            {"reduction": "original"},
        )
    )


FUNCTIONS = {
    "prediction_layer_loss": prediction_layer_loss,
    "prediction_layer_loss_regression": prediction_layer_loss_regression,
    "att_mse_learn": att_mse_learn,
    "att_kl_learn": att_kl_learn,
    "att_mse_hidden_mse_learn": att_and_hidden(att_mse_learn),
    "att_kl_hiden_mse_learn": att_and_hidden(att_kl_learn),
    "tiny_feature_learn": att_and_hidden(att_mse_learn),
    "minilm": minilm,
    "minilm_single_layer": minilm_single_layer,
    "qkv": qkv,
    "hidden_mse_learn": hidden_mse_learn,
    "hidden_mse_token": hidden_mse_token,
    "pkd (fairseq)": pkd_sum,
    "alp-kd (fairseq)": alp_kd,
    "att_kl": att_kl,
    "att_mse": att_mse,
    "att_val_og": att_val_og,
    "pear_col": pear_col,
    "minilm_v2": minilm_v2,
    "hidden_mse": agnostic_hidden("all"),
    "hidden_cls": agnostic_hidden("first"),
    "hidden_mse_combine": hidden_mse_combine,
}


def student_input(names):
    """What gradients of the file are of: the first of the student's."""
    return next(name for name in names if name.startswith("student"))


def run(case, dtype):
    """Components of a case, and the gradient of the one that is expected."""
    function, params = FUNCTIONS[case["function"]], case.get("params", {})
    names = {**INPUTS.get(case["function"], {}), **case.get("inputs", {})}
    inputs = {key: tensor(name, dtype) for key, name in names.items()}
    student = student_input(names)
    first = params.get("components", ["total"])[0]

    @tf.function
    def evaluate(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs[student])
            found = function(inputs, params)
        return found, tape.gradient(found[first], inputs[student])

    return evaluate(inputs)


def check_case(case, dtype):
    found, gradient = run(case, dtype)
    names = case.get("params", {}).get("components", ["total"])
    assert all(x.dtype == dtype for x in found.values())
    tolerance = TYPES[dtype]
    if "float32" in case.get("params", {}).get("note", ""):
        tolerance = max(tolerance, FLOAT32_TOLERANCE)
    checked = 0

    def close(actual, expected):
        nonlocal checked
        checked += 1
        np.testing.assert_allclose(actual, expected, rtol=tolerance)

    for key in ("expected_components", "expected_intended_components"):
        if key in case:
            close([float(found[name]) for name in names], case[key])
    if isinstance(case.get("expected"), float):
        close(found[names[0]], case["expected"])
    for key in ("expected_intended", "intended_value"):
        if key in case:
            close(found["total"], case[key])
    if "grad_student_l2" in case:
        close(np.linalg.norm(gradient), case["grad_student_l2"])
    if "grad_student" in case:
        np.testing.assert_allclose(
            np.ravel(gradient),
            case["grad_student"],
            rtol=tolerance,
            atol=tolerance * np.max(np.abs(case["grad_student"])),
        )
    assert np.isfinite(gradient.numpy()).all()
    assert checked, "The case holds no number to check."


def linear(x, side, dtype):
    weight = tensor(f"crd_{side}_weight", dtype)
    bias = tensor(f"crd_{side}_bias", dtype)
    return tf.matmul(x, weight, transpose_b=True) + bias


def check_crd(case, dtype):
    """The steps of a case, with the banks that the caller would keep."""
    params = case["params"]
    num_data = params["n_data"]
    settings = {"num_data": num_data, "temperature": params["nce_t"]}
    tolerance = max(TYPES[dtype], FLOAT32_TOLERANCE)
    banks = {
        side: tensor(f"crd_memory_{side}_initial", dtype)
        for side in ("student", "teacher")
    }
    z = {}

    @tf.function
    def evaluate(features, rows, normalisers):
        is_real = tf.ones(len(features["student"]))
        with tf.GradientTape() as tape:
            tape.watch(features["student"])
            embedded = {
                side: unit(linear(features[side], side, dtype))
                for side in banks
            }
            ours, theirs = embedded["student"], embedded["teacher"]
            if not normalisers:
                temperature = params["nce_t"]
                first = {
                    "student": crd_scores(ours, rows["teacher"], temperature),
                    "teacher": crd_scores(theirs, rows["student"], temperature),
                }
                normalisers = {
                    side: loss_of(crd_normaliser(scores, is_real, num_data))
                    for side, scores in first.items()
                }
            parts = crd(
                ours,
                theirs,
                rows["student"],
                rows["teacher"],
                tf.stop_gradient(normalisers["student"]),
                tf.stop_gradient(normalisers["teacher"]),
                is_real,
                **settings,
            )
            loss = loss_of(parts)
        gradient = tape.gradient(loss, features["student"])
        return loss, gradient, embedded, normalisers

    def close(actual, expected, **arguments):
        np.testing.assert_allclose(
            np.ravel(actual), np.ravel(expected), rtol=tolerance, **arguments
        )

    for step in case["steps"]:
        features = {
            side: tensor(step[f"{side}_features"], dtype) for side in banks
        }
        indices = np.array(step["indices"])
        candidates = np.column_stack([indices, step["negatives"]])
        assert candidates.shape[1] == params["nce_k"] + 1
        rows = {side: tf.gather(banks[side], candidates) for side in banks}
        loss, gradient, embedded, z = evaluate(features, rows, z)
        close(loss, step["expected_loss"])
        close(
            np.linalg.norm(gradient),
            step["grad_student_features_l2"],
        )
        close(z["student"], step["Z_v1"])
        close(z["teacher"], step["Z_v2"])
        for side, bank in banks.items():
            close(embedded[side], step[f"embedded_{side}"], atol=1e-7)
            new = update_rows(
                tf.gather(bank, indices), embedded[side], params["nce_m"]
            )
            banks[side] = tf.tensor_scatter_nd_update(
                bank, indices[:, None], new
            )
            after = step[f"memory_{side}_after"]
            close(banks[side], after, atol=1e-7)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: c["id"])
def test_case(case, dtype):
    name = case["function"]
    if name == "crd":
        check_crd(case, dtype)
        return
    if name not in FUNCTIONS:
        pytest.fail(
            f"Case {case['id']} has function {name!r}, which is not known. "
            f"Known: crd, {', '.join(FUNCTIONS)}."
        )
    check_case(case, dtype)


@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf, 1e30, -1e4])
@pytest.mark.parametrize("dtype", TYPES)
def test_masked_variants(dtype, padding):
    """The default reductions, whatever stands at padded positions."""
    expected = GOLDEN["proposed_masked_variants"]
    scores = array("ag_student_att")[-1], array("ag_teacher_att")[-1]
    hidden = array("ag_student_hidden")[-1], array("ag_teacher_hidden")[-1]
    values = array("ag_student_v")[-1], array("ag_teacher_v_same_dk")[-1]
    lengths = np.array(expected["lengths"])
    mask = np.arange(scores[0].shape[-1]) < lengths[:, None]
    for b, length in enumerate(lengths):
        for x in scores:
            x[b, :, length:] = padding
            x[b, :, :, length:] = padding
        for x in hidden:
            x[b, length:] = padding
        for x in values:
            x[b, :, length:] = padding

    @tf.function
    def evaluate():
        pairs = {
            "att_kl": (attention_kl, scores),
            "att_mse": (attention_mse, scores),
            "hidden_mse": (hidden_mse, hidden),
            "value_relation_kl": (relation_kl, values),
        }
        return {
            name: loss_of(loss(*(tf.constant(x, dtype) for x in pair), mask))
            for name, (loss, pair) in pairs.items()
        }

    for name, found in evaluate().items():
        np.testing.assert_allclose(found, expected[name], rtol=TYPES[dtype])
