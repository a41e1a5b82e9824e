"""Our model against the equations in NumPy."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.outputs import FIELDS, LAYERED_FIELDS, of_layer
from tfdistill.models.weights import assign_weights, weight_shapes

TOLERANCE = 1e-5
EXACT_GELU = np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)


def tanh_gelu(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return x * (1 + np.tanh(inner)) / 2


ACTIVATIONS = {
    "gelu": EXACT_GELU,
    "gelu_tanh": tanh_gelu,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def layer_norm(x, weights, name, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    gamma, beta = weights[f"{name}/gamma"], weights[f"{name}/beta"]
    return centred / deviation * gamma + beta


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def run_numpy(weights, config, features):
    """One example at a time, without its padding."""
    weights = {name: array.astype(float) for name, array in weights.items()}
    epsilon = config.layer_norm_epsilon
    results = []
    for i, mask in enumerate(features["input_mask"].numpy()):
        length = mask.sum()
        ids = features["input_ids"].numpy()[i, :length]
        segments = features["segment_ids"].numpy()[i, :length]
        embeddings = "bert/embeddings"
        x = weights[f"{embeddings}/word_embeddings"][ids]
        x = x + weights[f"{embeddings}/position_embeddings"][:length]
        x = x + weights[f"{embeddings}/token_type_embeddings"][segments]
        x = layer_norm(x, weights, f"{embeddings}/LayerNorm", epsilon)
        result = {"hidden_states": [x], "attention_scores": []}
        for j in range(config.num_layers):
            layer = f"bert/encoder/layer_{j}"
            q, k, v = (
                dense(x, weights, f"{layer}/attention/self/{name}")
                .reshape(length, config.num_heads, -1)
                .transpose(1, 0, 2)
                for name in ("query", "key", "value")
            )
            scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
            context = (softmax(scores) @ v).transpose(1, 0, 2)
            output = f"{layer}/attention/output"
            attended = dense(
                context.reshape(length, -1), weights, f"{output}/dense"
            )
            x = layer_norm(
                x + attended, weights, f"{output}/LayerNorm", epsilon
            )
            inner = ACTIVATIONS[config.activation](
                dense(x, weights, f"{layer}/intermediate/dense")
            )
            x = layer_norm(
                x + dense(inner, weights, f"{layer}/output/dense"),
                weights,
                f"{layer}/output/LayerNorm",
                epsilon,
            )
            result["hidden_states"].append(x)
            result["attention_scores"].append(scores)
        result["pooled"] = np.tanh(dense(x[0], weights, "bert/pooler/dense"))
        relationship = "cls/seq_relationship"
        result["next_sentence_logits"] = (
            weights[f"{relationship}/output_weights"] @ result["pooled"]
            + weights[f"{relationship}/output_bias"]
        )
        transform = "cls/predictions/transform"
        x = x[features["masked_lm_positions"].numpy()[i]]
        x = ACTIVATIONS[config.head_activation](
            dense(x, weights, f"{transform}/dense")
        )
        x = layer_norm(
            x,
            weights,
            f"{transform}/LayerNorm",
            config.head_layer_norm_epsilon,
        )
        result["logits"] = (
            x @ weights[f"{embeddings}/word_embeddings"].T
            + weights["cls/predictions/output_bias"]
        )
        results.append(result)
    return results


@pytest.mark.parametrize(
    "conventions",
    [
        {},
        {
            "activation": "gelu",
            "head_activation": "gelu_tanh",
            "layer_norm_epsilon": 0.1,
            "head_layer_norm_epsilon": 0.2,
        },
        {"activation": "relu", "head_activation": "tanh"},
    ],
)
def test_equals_numpy(weights, features, config, conventions):
    config = BertConfig(**{**vars(config), **conventions})
    model = Bert(config)
    assign_weights(model, weights, source="the test")
    ours = model(features, reads=frozenset(FIELDS))
    for i, theirs in enumerate(run_numpy(weights, config, features)):
        length = len(theirs["hidden_states"][0])
        for name in ("pooled", "next_sentence_logits", "logits"):
            np.testing.assert_allclose(
                ours[name][i], theirs[name], atol=TOLERANCE, err_msg=name
            )
        for mine, other in zip(
            ours["hidden_states"].values(),
            theirs["hidden_states"],
            strict=True,
        ):
            np.testing.assert_allclose(mine[i, :length], other, atol=TOLERANCE)
        for mine, other in zip(
            ours["attention_scores"].values(),
            theirs["attention_scores"],
            strict=True,
        ):
            np.testing.assert_allclose(
                mine[i, :, :length, :length], other, atol=TOLERANCE
            )


def test_returns_what_is_read_and_nothing_else(model, features):
    for field in FIELDS:
        assert model(features, reads=frozenset({field})).keys() == {field}


@pytest.mark.parametrize("field", LAYERED_FIELDS)
def test_one_layer_is_that_of_all(model, features, field):
    whole = model(features, reads=frozenset({field}))[field]
    assert list(whole) == sorted(whole)
    for number, expected in whole.items():
        one = model(features, reads=frozenset({of_layer(field, number)}))
        assert one.keys() == {field}
        assert one[field].keys() == {number}
        np.testing.assert_array_equal(one[field][number], expected)


def test_layers_that_nobody_reads_are_not_computed(model, features):
    """The weights above what is read need not even be numbers."""
    broken = Bert(model.config)
    broken.set_weights(model.get_weights())
    last = broken.encoder.encoder_layers[-1]
    last.qkv.kernel.assign(last.qkv.kernel * np.nan)
    number = model.config.num_layers - 1
    reads = frozenset({of_layer("hidden_states", number)})
    expected = model(features, reads=reads)["hidden_states"][number]
    found = broken(features, reads=reads)["hidden_states"][number]
    np.testing.assert_array_equal(found, expected)
    calls = []
    last.call = lambda *a, **k: calls.append(1)
    broken(features, reads=reads)
    assert not calls


def test_layers_that_do_not_exist_are_refused(model, features):
    count = model.config.num_layers
    for field, number in (("hidden_states", count + 1), ("queries", count)):
        with pytest.raises(ValueError, match=f"{field} {number} does not"):
            model(features, reads=frozenset({of_layer(field, number)}))


@pytest.mark.parametrize("field", ["logits", "pooled", "next_sentence_logits"])
def test_last_layer_at_positions_equals_the_whole(model, features, field):
    cut = model(features, reads=frozenset({field}))
    whole = model(features, reads=frozenset({field, "hidden_states"}))
    np.testing.assert_allclose(cut[field], whole[field], atol=TOLERANCE)


def test_gradients_of_the_last_layer_at_positions_equal_the_whole_s(
    model, features
):
    def gradients(*fields):
        reads = frozenset(fields)
        with tf.GradientTape() as tape:
            logits = model(features, reads=reads)["logits"]
            loss = tf.reduce_sum(tf.nn.log_softmax(logits)[..., 3] ** 2)
        variables = model.trainable_variables
        return dict(
            zip(
                (v.path for v in variables),
                tape.gradient(loss, [v.value for v in variables]),
                strict=True,
            )
        )

    cut, whole = gradients("logits"), gradients("logits", "hidden_states")
    learnt = {name for name, found in whole.items() if found is not None}
    assert len(learnt) > 20
    for name in learnt:
        ours, expected = map(tf.convert_to_tensor, (cut[name], whole[name]))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            ours, expected, rtol=0, atol=2e-6 * max(scale, 1), err_msg=name
        )


def test_padding_does_not_matter(model, features):
    reads = frozenset({"logits", "pooled"})
    before = model(features, reads=reads)
    mask = features["input_mask"]
    noisy = features["input_ids"] * mask + 17 * (1 - mask)
    after = model({**features, "input_ids": noisy}, reads=reads)
    for field in reads:
        np.testing.assert_array_equal(before[field], after[field])


def test_one_segment_is_added_whatever_the_records_say(config, features):
    model = Bert(dataclasses.replace(config, num_segments=1), seed=3)
    reads = frozenset({"hidden_states"})
    found = model(features, reads=reads)["hidden_states"]
    zeros = tf.zeros_like(features["segment_ids"])
    expected = model({**features, "segment_ids": zeros}, reads=reads)
    two = Bert(config, seed=3)
    two.encoder.segment_embeddings.table.assign(
        tf.repeat(model.encoder.segment_embeddings.table, 2, axis=0)
    )
    same = two(features, reads=reads)["hidden_states"]
    for number, state in expected["hidden_states"].items():
        np.testing.assert_array_equal(found[number], state)
        np.testing.assert_allclose(same[number], state, atol=TOLERANCE)


def test_gives_the_same_in_a_graph(model, features):
    reads = frozenset(FIELDS)
    eager = model(features, reads=reads)
    graph = tf.function(lambda batch: model(batch, reads=reads))(features)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=TOLERANCE),
        eager,
        graph,
    )


def test_seed_alone_decides_the_first_weights(config):
    same, other = Bert(config, seed=1), Bert(config, seed=2)
    for a, b, c in zip(
        Bert(config, seed=1).variables,
        same.variables,
        other.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
        is_drawn = np.ptp(np.asarray(a)) > 0
        assert is_drawn == (not np.array_equal(a, c))
        if is_drawn:
            assert np.abs(a).max() <= 2 * config.initializer_range + 1e-6


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        ({}, 110_106_428),
        ({"num_layers": 6}, 67_579_196),
        (
            {"num_layers": 4, "hidden_dim": 312, "intermediate_dim": 1200},
            14_479_676,
        ),
        ({"num_layers": 2, "hidden_dim": 128}, 4_433_468),
    ],
)
def test_parameter_counts(shape, parameters):
    shapes = weight_shapes(BertConfig(**shape))
    assert sum(map(math.prod, shapes.values())) == parameters
