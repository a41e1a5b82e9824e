"""Stored states and one output layer are the whole distribution."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tiny_training import CONFIG, Run, V, write_records

from tfdistill.distillation.extraction import (
    extract_shards,
    knowledge_files,
    knowledge_schema,
)
from tfdistill.models.bert import Bert
from tfdistill.records import (
    DISTRIBUTION,
    OutputLayer,
    RecordSetWriter,
    Shapes,
    make_codec,
    training_batches,
)
from tfdistill.replicas import OneDevice


@pytest.mark.parametrize(("bits", "most"), [(8, 1e-3), (16, 1e-6)])
def test_divergence_at_the_width_of_a_base_model(bits, most):
    """States after a layer norm, with outliers as BERT's have, and a layer
    that makes of them distributions of some nats."""
    rng = np.random.default_rng(0)
    width, pieces, slots = 768, 5000, 40
    states = rng.normal(size=[1, slots, width]).astype(np.float32)
    states[:, :, [81, 308]] *= 12
    kernel = rng.normal(size=[pieces, width]).astype(np.float32) * 0.08
    layer = OutputLayer(kernel, np.zeros(pieces, np.float32))
    codec = make_codec(
        [f"hidden(bits={bits})"],
        Shapes(
            layout="packed",
            max_seq_length=64,
            num_slots=slots,
            vocabulary_size=pieces,
            num_classes=0,
            hidden_dim=width,
        ),
    )
    codec = dataclasses.replace(codec, layer=layer)
    (feature,) = codec.features()
    raw = feature.packing.pack(states.ravel())
    assert len(raw) / slots <= 800 * bits / 8
    read = feature.packing.unpack(tf.constant([raw]), feature.length)
    batch = {"masked_lm_weights": tf.ones([1, slots])}
    taught = codec.decode(batch | {feature.name: read})[DISTRIBUTION]
    exact = tf.nn.log_softmax(states @ kernel.T)
    divergence = tf.reduce_sum(
        tf.exp(taught.log_probs) * (taught.log_probs - exact), axis=-1
    )
    entropy = -tf.reduce_sum(tf.exp(exact) * exact, axis=-1)
    assert 0.5 < float(tf.reduce_mean(entropy)) < 7
    assert float(tf.reduce_mean(divergence)) <= most


@pytest.mark.parametrize("temperature", [1, 3])
def test_training_curves_are_those_of_the_live_teacher(tmp_path, temperature):
    records = write_records(tmp_path / "in", 17)
    spec = "hidden(bits=16)"
    codec = make_codec(
        [spec],
        records.with_vocabulary(V).shapes(hidden_dim=CONFIG.hidden_dim),
    )
    teacher = Bert(CONFIG, 99)
    added, schema = knowledge_schema(records, codec)
    shape = {n: getattr(CONFIG, n) for n in ("num_layers", "num_heads")}
    writer = RecordSetWriter(
        str(tmp_path / "out"),
        schema=schema,
        identity={
            "knowledge": [spec],
            "teacher_shape": shape | {"hidden_dim": CONFIG.hidden_dim},
        },
        shard_names=[shard.path.name for shard in records.shards],
        files=knowledge_files(codec, teacher),
    )
    extract_shards(
        records,
        teacher,
        codec,
        added,
        writer,
        replicas=OneDevice(),
        batch_size=4,
    )
    found = writer.finished
    objectives = (f"soft_targets(temperature={temperature})", "next_sentence")
    live = Run(OneDevice(), objectives=objectives)
    recorded = Run(OneDevice(), objectives=objectives, codec=found.codec())
    stream = training_batches(
        found,
        batch_size=8,
        seed=1,
        shuffle_buffer_size=100,
        first_step=0,
        process_slice=(0, 8),
    )
    for step in range(5):
        batch = next(stream)
        batch["step"] = tf.fill([8], tf.constant(step, tf.int64))
        batch["is_stopping"] = tf.zeros([8])
        ours, theirs = recorded.step(batch), live.step(batch)
        assert float(ours["loss"]) == pytest.approx(
            float(theirs["loss"]), rel=1e-5
        )
