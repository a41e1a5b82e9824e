"""Layers that are computed again give the very same gradients."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from mirrored import two_mirrored
from tensorflow.python.eager import context

from tfdistill.models.bert import Bert
from tfdistill.models.layers import Linear
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.weights import variable_names
from tfdistill.replicas.one_device import OneDevice

PLAIN = frozenset({"logits"})
# What objectives read of the inside is kept, and has gradients of its own.
WITH_INSIDES = PLAIN | {"hidden_states/1", "queries/2", "attention_scores/0"}


@pytest.fixture(scope="module")
def of_spans(config):
    """A model with much dropout, as it is and with layers recomputed."""
    config = dataclasses.replace(config, dropout=0.4)
    kept, again = (Bert(config, seed=3, heads=("span",)) for _ in range(2))
    again.encoder.is_recomputed = True
    return kept, again


def gradients(model, features, reads, *, step=5):
    """The loss and its gradients, in training mode."""
    first = features.get("example_index", tf.zeros([1], tf.int64))[0]

    def loss():
        noise = DropoutNoise(3, tf.constant(step, tf.int64), first)
        outputs = model(features, reads=reads, noise=noise)
        logits = tf.nn.log_softmax(outputs.pop("logits"))
        rest = [tf.reduce_sum(tf.sin(x)) for x in tf.nest.flatten(outputs)]
        return tf.add_n([-tf.reduce_sum(logits[:, :, 2]), *rest])

    names = variable_names(model)
    with tf.GradientTape() as tape:
        value = loss()
    found = tape.gradient(value, [v.value for v in names.values()])
    assert all(g is not None for g in found)
    return [tf.convert_to_tensor(x) for x in (value, *found)]


def assert_same(found, expected):
    """Up to the order in which what meets in a residual is added up."""
    for one, other in zip(found, expected, strict=True):
        scale = np.linalg.norm(other)
        assert np.linalg.norm(one - other) <= 2e-6 * scale + 1e-6


@pytest.mark.parametrize("reads", [PLAIN, WITH_INSIDES])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_gradients_are_the_same(of_spans, features, reads, wrap):
    kept, again = (
        wrap(lambda model=model: gradients(model, features, reads))()
        for model in of_spans
    )
    assert_same(again, kept)
    # With other dropout they would be others by far.
    later = gradients(of_spans[0], features, reads, step=6)
    differences = [
        np.abs(a - b).max() for a, b in zip(kept, later, strict=True)
    ]
    assert sorted(differences)[5] > 1e-3


def test_layers_run_again_in_the_backward_pass(of_spans, features, monkeypatch):
    calls = []
    call = Linear.call

    def counted(self, x, **more):
        calls.append(self.name)
        return call(self, x, **more)

    monkeypatch.setattr(Linear, "call", counted)
    counts = []
    for model in of_spans:
        calls.clear()
        gradients(model, features, PLAIN)
        counts.append(calls.count("intermediate"))
    assert counts == [3, 6]
    # Without dropout's noise nothing is trained, and nothing done twice.
    calls.clear()
    of_spans[1](features, reads=PLAIN)
    assert calls.count("intermediate") == 3


def test_no_optimizer_merges_both_passes(of_spans, features):
    """TensorFlow drops what a graph computes twice, and would keep all."""
    counts = []
    for model in of_spans:
        step = tf.function(lambda m=model: gradients(m, features, PLAIN))
        context.context().enable_run_metadata()
        step()
        graphs = context.context().export_run_metadata().function_graphs
        context.context().disable_run_metadata()
        counts.append(
            sum(
                "MatMul" in node.op
                for graph in graphs
                for node in graph.post_optimization_graph.node
            )
        )
    # Six products in the forward pass of each of three layers.
    assert counts[1] == counts[0] + 18


@pytest.mark.parametrize("make", [OneDevice, two_mirrored])
def test_on_replicas(config, features, make):
    replicas = make()
    config = dataclasses.replace(config, dropout=0.4)
    batch = {n: tf.concat([f, f[:1]], 0) for n, f in features.items()}
    batch["example_index"] = tf.range(4, dtype=tf.int64)
    found = []
    for is_recomputed in (False, True):
        with replicas.scope():
            model = Bert(config, seed=3, heads=("span",))
        model.encoder.is_recomputed = is_recomputed

        def step(batch, model=model):
            return replicas.sum(gradients(model, batch, WITH_INSIDES))

        found.append(replicas.compile(step)(batch))
    assert_same(*found)
