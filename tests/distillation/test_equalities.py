"""However a global batch is split, the weights come out the same."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tiny_training
from golden import golden
from mirrored import two_mirrored
from tiny_training import Run, context, largest_difference, write_records

from tfdistill.distillation import (
    OBJECTIVES,
    bind_objectives,
    declare_objectives,
)
from tfdistill.records import DISTRIBUTION, Distribution, training_batches
from tfdistill.replicas import OneDevice

GOLDEN = golden("transformer_distillation")["soft_targets"]

BATCH = 8
STEPS = 20


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records") / "set", 21)


def batches(records, first_step=0):
    stream = training_batches(
        records,
        batch_size=BATCH,
        seed=1,
        shuffle_buffer_size=100,
        first_step=first_step,
        process_slice=(0, BATCH),
    )
    for step, batch in enumerate(stream, first_step):
        batch["step"] = tf.fill([BATCH], tf.constant(step, tf.int64))
        batch["is_stopping"] = tf.zeros([BATCH])
        yield batch


def trained(records, replicas, **settings):
    run = Run(replicas, **settings)
    stream = batches(records)
    results = [run.step(next(stream)) for _ in range(STEPS)]
    return run.weights(), [{k: float(v) for k, v in r.items()} for r in results]


@pytest.fixture(scope="module")
def reference(records):
    return trained(records, OneDevice())


def test_training_changes_every_weight(reference):
    start = Run(OneDevice()).weights()
    for name, weight in reference[0].items():
        # A key's bias adds the same to all scores of a query: no gradient.
        if name.endswith("key/bias"):
            assert not (weight - start[name]).any(), name
            continue
        assert np.abs(weight - start[name]).max() > 1e-4, name


def test_clipping_is_active(reference):
    assert all(r["gradient_norm"] > 0.5 for r in reference[1])


@pytest.mark.parametrize(
    ("devices", "accumulation_steps"), [(1, 4), (2, 1), (2, 2)]
)
def test_splits_give_the_same_weights(
    records, reference, devices, accumulation_steps
):
    replicas = OneDevice() if devices == 1 else two_mirrored()
    weights, results = trained(
        records, replicas, accumulation_steps=accumulation_steps
    )
    difference, name = largest_difference(weights, reference[0])
    assert difference < 1e-6, name
    for found, expected in zip(results, reference[1], strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_mirrored_adamw_is_one_device_adamw(records):
    one, _ = trained(records, OneDevice(), optimizer="adamw")
    two, _ = trained(records, two_mirrored(), optimizer="adamw")
    difference, name = largest_difference(one, two)
    assert difference < 1e-6, name


def test_means_per_replica_would_differ(records, reference):
    """The test above can fail: a loss averaged per part is another."""
    halves, _ = trained(
        records, OneDevice(), objectives=("labels", "next_sentence")
    )
    assert largest_difference(halves, reference[0])[0] > 1e-3


def test_all_masked_batch_gives_zero_loss_and_finite_weights(records):
    run = Run(OneDevice(), objectives=("soft_targets", "labels"))
    batch = next(batches(records))
    batch["masked_lm_weights"] = tf.zeros_like(batch["masked_lm_weights"])
    result = run.step(batch)
    assert float(result["loss"]) == 0.0
    assert all(np.isfinite(w).all() for w in run.weights().values())


def test_padding_slots_do_not_matter(records):
    one, two = Run(OneDevice()), Run(OneDevice())
    batch = next(batches(records))
    changed = dict(batch)
    padding = tf.cast(1 - batch["masked_lm_weights"], tf.int32)
    changed["masked_lm_ids"] += padding * 7
    one.step(batch)
    two.step(changed)
    assert largest_difference(one.weights(), two.weights())[0] == 0.0


def test_what_a_batch_is_padded_to_does_not_matter(records, monkeypatch):
    """But for dropout, whose draws are counted along padded examples."""
    config = dataclasses.replace(
        tiny_training.CONFIG, max_sequence_length=24, dropout=0.0
    )
    monkeypatch.setattr(tiny_training, "CONFIG", config)
    batch = next(batches(records))
    names = [f"masked_lm_{what}" for what in ("positions", "ids", "weights")]
    longer = batch | {
        name: tf.pad(batch[name], [[0, 0], [0, more]])
        for more, padded in (
            (8, ("input_ids", "input_mask", "segment_ids")),
            (3, names),
        )
        for name in padded
    }
    ours, theirs = (Run(OneDevice(), teacher_config=config) for _ in range(2))
    before = ours.weights()
    ours.step(batch)
    theirs.step(longer)
    assert largest_difference(before, ours.weights())[0] > 1e-4
    assert largest_difference(ours.weights(), theirs.weights())[0] < 1e-6


def test_original_reduction_divides_as_published(records):
    batch = next(batches(records))
    mean = Run(OneDevice(), objectives=("soft_targets",)).step(batch)
    original = Run(
        OneDevice(), objectives=("soft_targets(reduction=original)",)
    ).step(batch)
    weights = float(tf.reduce_sum(batch["masked_lm_weights"]))
    assert float(original["loss"]) == pytest.approx(
        float(mean["loss"]) * weights / (weights + 1e-5), rel=1e-6
    )


def test_teacher_is_frozen_and_without_dropout(records):
    """A live teacher answers alike at every step and keeps its weights."""
    from tiny_training import CONFIG

    from tfdistill.distillation import live_teacher
    from tfdistill.models.bert import Bert
    from tfdistill.models.weights import named_weights

    model = Bert(CONFIG, 99)
    before = named_weights(model)
    ask = live_teacher([model])
    reads = frozenset({DISTRIBUTION, "hidden_states"})
    batch = next(batches(records))
    answers = [
        ask(batch, reads)[DISTRIBUTION].log_probs.numpy() for _ in range(2)
    ]
    np.testing.assert_array_equal(*answers)
    assert model.trainable_variables == []
    assert largest_difference(before, named_weights(model))[0] == 0.0


@pytest.mark.parametrize("case", GOLDEN["original_reduction"])
@pytest.mark.parametrize("tail", ["left_out", "renormalised"])
def test_objective_with_the_original_reduction(case, tail):
    """The whole of an objective: values, weights and the division."""
    logits = tf.constant([GOLDEN["student_logits"]], tf.float32)
    teacher = tf.nn.log_softmax(
        tf.constant([GOLDEN["teacher_logits"]], tf.float32)
    )
    ids = tf.constant([GOLDEN["kept_ids"]])
    known = Distribution(tf.gather(teacher, ids, batch_dims=2), ids)
    declared = declare_objectives(
        (f"soft_targets(tail={tail}, reduction=original)",), OBJECTIVES
    )
    (loss,) = [o.loss for o in bind_objectives(declared, context())]
    batch = {"masked_lm_weights": tf.constant([case["weights"]], tf.float32)}
    parts = loss.compute(
        {"logits": logits}, {DISTRIBUTION: known}, batch, tf.constant(0.0)
    )
    np.testing.assert_array_equal(parts.weights, loss.weights(batch))
    found = tf.reduce_sum(parts.values) / (
        tf.reduce_sum(parts.weights) + loss.epsilon
    )
    found = float(found)
    assert found == pytest.approx(case[tail], abs=3e-7)
