"""Products of bytes and in bfloat16 against those in float32."""

import numpy as np
import pytest
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.precision import PRECISIONS, lower_precision
from tfdistill.models.words import KimCnn, KimCnnConfig

CONFIG = BertConfig(
    vocabulary_size=100, num_layers=2, hidden_dim=32, num_heads=4
)
# Relative to the largest hidden state; bytes have 255 steps, bfloat16 8 bits.
CLOSE = {"bfloat16": 0.02, "int8": 0.04}
READS = frozenset({"logits", "hidden_states", "attention_scores"})


def features(rows=3, length=16):
    draw = np.random.default_rng(1)
    ids = draw.integers(5, 100, (rows, length))
    return {
        "input_ids": tf.constant(ids, tf.int32),
        "input_mask": tf.ones([rows, length], tf.int32),
        "segment_ids": tf.zeros([rows, length], tf.int32),
        "masked_lm_positions": tf.constant([[1, 4]] * rows, tf.int32),
    }


def model(precision):
    made = Bert(CONFIG, seed=1)
    lower_precision(made, precision)
    return made


@pytest.mark.parametrize("precision", CLOSE)
def test_outputs_are_close(precision):
    expected = model("float32")(features(), reads=READS)
    found = model(precision)(features(), reads=READS)
    for i, states in expected["hidden_states"].items():
        error = np.abs(found["hidden_states"][i] - states).max()
        assert error <= CLOSE[precision] * np.abs(states).max(), i
    # It is another product, not the same one.
    assert (found["hidden_states"][2] != states).numpy().any()


@pytest.mark.parametrize("precision", CLOSE)
def test_layers_at_some_positions_are_layers_at_all(precision):
    """The last layer is computed where logits are needed."""
    cut = model(precision)(features(), reads=frozenset({"logits"}))["logits"]
    whole = model(precision)(features(), reads=READS)["logits"]
    np.testing.assert_allclose(cut, whole, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_row_does_not_depend_on_others(precision):
    run = model(precision)
    alone = run(features(rows=1), reads=READS)["logits"]
    among = run(features(rows=3), reads=READS)["logits"][:1]
    np.testing.assert_allclose(alone, among, atol=1e-5)


@pytest.mark.parametrize("precision", CLOSE)
def test_a_product_is_that_of_the_columns_asked_for(precision):
    made = Bert(CONFIG, seed=1)
    layer = made.encoder.encoder_layers[0].intermediate
    lower_precision(made, precision)
    draw = np.random.default_rng(2)
    # All of one sign, as far from 0 as activations are after gelu.
    x = tf.constant(draw.uniform(3, 4, (5, 32)), tf.float32)
    bias = tf.constant(draw.normal(size=128), tf.float32)
    exact = tf.nn.relu(x @ layer.kernel.value + bias)[:, 7:20]
    found = layer(x, activation="relu", bias=bias, columns=slice(7, 20))
    np.testing.assert_allclose(found, exact, atol=0.05)


def test_zeros_are_exact():
    made = model("int8")
    layer = made.encoder.encoder_layers[0].qkv
    zeros = tf.zeros([2, 32])
    np.testing.assert_array_equal(
        layer(zeros), tf.repeat(layer.bias.value[None], 2, axis=0)
    )


def test_in_a_graph_for_any_length():
    run = model("int8")

    @tf.function
    def logits(batch):
        return run(batch, reads=frozenset({"logits"}))["logits"]

    for length in (16, 24):
        batch = features(length=length)
        np.testing.assert_allclose(
            logits(batch), run(batch, reads=READS)["logits"], atol=1e-4
        )


@pytest.mark.parametrize("precision", CLOSE)
def test_other_models_are_refused(precision):
    cnn = KimCnn(KimCnnConfig(vocabulary_size=10, num_classes=2), seed=1)
    with pytest.raises(ValueError, match=f"--precision={precision} is for"):
        lower_precision(cnn, precision)
