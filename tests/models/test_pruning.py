"""Narrower models: what is cut off does not matter, what is kept does."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.pruning import prune
from tfdistill.models.weights import assign_weights, named_weights

CONFIG = BertConfig(
    vocabulary_size=30,
    num_layers=2,
    hidden_dim=12,
    num_heads=3,
    intermediate_dim=20,
    max_sequence_length=8,
    initializer_range=0.3,
)
NARROW = {"hidden_dim": 8, "intermediate_dim": 10}
FIELDS = frozenset({"logits", "next_sentence_logits", "pooled"})


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return {
        "input_ids": tf.constant(rng.integers(0, 30, [2, 8]), tf.int32),
        "input_mask": tf.ones([2, 8], tf.int32),
        "segment_ids": tf.zeros([2, 8], tf.int32),
        "masked_lm_positions": tf.constant([[1, 2], [3, 4]], tf.int32),
    }


def narrowed(weights, pruning):
    pruned, config = prune(weights, CONFIG, pruning=pruning, **NARROW)
    assert config == dataclasses.replace(CONFIG, num_heads=2, **NARROW)
    model = Bert(config)
    assign_weights(model, pruned, source="the test")
    return model, pruned


@pytest.mark.parametrize("pruning", ["magnitude", "first"])
def test_all_weights_are_there_and_are_the_wider_ones(pruning):
    weights = named_weights(Bert(CONFIG, 1))
    model, pruned = narrowed(weights, pruning)
    assert named_weights(model).keys() == weights.keys()
    for name, array in pruned.items():
        assert np.isin(array, weights[name]).all(), name


def test_units_without_weight_are_those_that_go(features):
    """Feed-forward units and heads that do nothing are cut for free."""
    weights = named_weights(Bert(CONFIG, 1))
    dead_units, dead_head = np.arange(0, 20, 2), np.arange(4, 8)
    for i in range(CONFIG.num_layers):
        layer = f"bert/encoder/layer_{i}"
        weights[f"{layer}/intermediate/dense/kernel"][:, dead_units] = 0
        weights[f"{layer}/output/dense/kernel"][dead_units] = 0
        for name in ("query", "key", "value"):
            weights[f"{layer}/attention/self/{name}/kernel"][:, dead_head] = 0
        weights[f"{layer}/attention/output/dense/kernel"][dead_head] = 0
    _, pruned = narrowed(weights, "magnitude")
    for i in range(CONFIG.num_layers):
        layer = f"bert/encoder/layer_{i}"
        for name in ("intermediate/dense", "attention/self/value"):
            kept = pruned[f"{layer}/{name}/kernel"]
            assert np.abs(kept).sum(0).min() > 0, name


def test_channels_are_the_same_in_all_weights():
    """They follow the largest columns of the word embeddings."""
    weights = named_weights(Bert(CONFIG, 1))
    weights["bert/embeddings/word_embeddings"][:, [1, 4, 7, 10]] = 0
    kept = [c for c in range(12) if c not in (1, 4, 7, 10)]
    for name in ("gamma", "beta"):
        weights[f"bert/embeddings/LayerNorm/{name}"] = np.arange(
            12, dtype=np.float32
        )
    _, pruned = narrowed(weights, "magnitude")
    assert pruned["bert/embeddings/LayerNorm/gamma"].tolist() == kept
    np.testing.assert_array_equal(
        pruned["bert/pooler/dense/kernel"],
        weights["bert/pooler/dense/kernel"][np.ix_(kept, kept)],
    )
    np.testing.assert_array_equal(
        pruned["cls/seq_relationship/output_weights"],
        weights["cls/seq_relationship/output_weights"][:, kept],
    )


def test_the_whole_width_is_the_model_itself(features):
    model = Bert(CONFIG, 1)
    weights = named_weights(model)
    pruned, config = prune(
        weights,
        CONFIG,
        hidden_dim=12,
        intermediate_dim=20,
        pruning="magnitude",
    )
    assert config == CONFIG
    for name, array in weights.items():
        np.testing.assert_array_equal(pruned[name], array, err_msg=name)


def test_a_narrower_model_runs(features):
    model, _ = narrowed(named_weights(Bert(CONFIG, 1)), "magnitude")
    for field, value in model(features, reads=FIELDS).items():
        assert np.isfinite(value).all(), field
