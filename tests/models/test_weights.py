import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import (
    PRETRAINING_PARTS,
    assign_weights,
    fingerprint,
    named_weights,
    parts_in,
    variable_names,
    weight_shapes,
)


@pytest.fixture
def fresh(config):
    return Bert(config, seed=9)


def test_round_trip(model, fresh, weights):
    assign_weights(fresh, named_weights(model), source="the test")
    read = named_weights(fresh)
    assert read.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(read[name], array)


def test_shapes_are_those_of_a_model(fresh, config):
    weights = named_weights(fresh)
    assert {n: w.shape for n, w in weights.items()} == weight_shapes(config)
    assert parts_in(weights) == set(PRETRAINING_PARTS)


@pytest.mark.parametrize("part", PRETRAINING_PARTS)
def test_one_part_leaves_the_others(model, fresh, config, part):
    before = named_weights(fresh)
    weights = named_weights(model, (part,))
    assert weights.keys() == weight_shapes(config, (part,)).keys()
    assign_weights(fresh, weights, source="the test", parts=(part,))
    for name, array in named_weights(fresh).items():
        expected = weights.get(name, before[name])
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("part", PRETRAINING_PARTS)
def test_missing_weight_is_named(fresh, weights, config, part):
    name = list(weight_shapes(config, (part,)))[-1]
    del weights[name]
    with pytest.raises(ValueError, match=f"^FILE lacks the weight {name} of"):
        assign_weights(fresh, weights, source="FILE")


def test_other_shape_is_named(fresh, weights):
    name = "bert/encoder/layer_1/intermediate/dense/kernel"
    weights[name] = weights[name].T
    before = named_weights(fresh)
    message = re.escape(f"FILE: {name} has shape (20, 12), expected (12, 20).")
    with pytest.raises(ValueError, match=message):
        assign_weights(fresh, weights, source="FILE")
    for name, array in named_weights(fresh).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    "name",
    [
        "bert/encoder/layer_3/output/dense/bias",
        "bert/embeddings/word_embeddings/adam_m",
        "somewhere/else",
    ],
)
def test_unexpected_weight_is_named(fresh, weights, name):
    weights[name] = np.zeros(3)
    with pytest.raises(ValueError, match=f"FILE holds the weight {name} of"):
        assign_weights(fresh, weights, source="FILE")


def test_variable_names(fresh):
    names = variable_names(fresh)
    assert {id(v) for v in names.values()} == {id(v) for v in fresh.variables}
    assert len(names) == len(fresh.variables)
    assert "encoder/layer_0/qkv/kernel" in names
    assert "transform_layer_norm/gamma" in names
    assert all(isinstance(v, keras.Variable) for v in names.values())
    for name, variable in names.items():
        is_excluded = re.search("layer_norm|bias", name) is not None
        assert is_excluded == (len(variable.shape) == 1), name


def test_variable_names_depend_on_the_architecture_alone(config):
    first, second = (variable_names(Bert(config)) for _ in range(2))
    assert list(first) == list(second)


def test_assigns_every_replica(config, weights):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        mirrored = Bert(config)
    assign_weights(mirrored, weights, source="the test")
    for name, array in named_weights(mirrored).items():
        np.testing.assert_array_equal(array, weights[name])
    table = variable_names(mirrored)["encoder/word_embeddings/table"]
    copies = strategy.experimental_local_results(table.value)
    assert len(copies) == 2
    for copy in copies:
        np.testing.assert_array_equal(
            copy, weights["bert/embeddings/word_embeddings"]
        )


def test_fingerprint_changes_with_what_is_computed(weights, config):
    seen = {fingerprint(weights, config)}
    changed = {n: w.copy() for n, w in weights.items()}
    changed["bert/pooler/dense/bias"][0] += 1e-6
    seen.add(fingerprint(changed, config))
    encoder = {n: w for n, w in weights.items() if n.startswith("bert/")}
    seen.add(fingerprint(encoder, config))
    for change in (
        {"num_heads": 4},
        {"activation": "gelu"},
        {"layer_norm_epsilon": 1e-5},
        {"head_activation": "relu"},
        {"head_layer_norm_epsilon": 1e-12},
    ):
        other = BertConfig(**{**vars(config), **change})
        seen.add(fingerprint(weights, other))
    assert len(seen) == 8


def test_fingerprint_ignores_order_layout_and_training(weights, config):
    shuffled = {n: np.asfortranarray(weights[n]) for n in reversed(weights)}
    other = BertConfig(
        **{**vars(config), "dropout": 0.3, "initializer_range": 0.1}
    )
    assert fingerprint(shuffled, other) == fingerprint(weights, config)


def test_fingerprint_without_head_ignores_its_conventions(weights, config):
    encoder = {n: w for n, w in weights.items() if n.startswith("bert/")}
    other = BertConfig(**{**vars(config), "head_activation": "relu"})
    assert fingerprint(encoder, other) == fingerprint(encoder, config)
