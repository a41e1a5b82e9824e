"""Every objective: specs, schedules, splits, and that it can be learnt."""

import dataclasses
import itertools
import pathlib
import re
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from tiny_training import CONFIG, KINDS, Run, V, context, write_records

from tfdistill.distillation import (
    FEATURES,
    bind_objectives,
    declare_objectives,
    live_teacher,
)
from tfdistill.distillation.objectives import Bind, Kind
from tfdistill.distillation.objectives.layers import on_pairs
from tfdistill.losses.reduction import Parts, loss_of, summed
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.records import DISTRIBUTION, training_batches
from tfdistill.replicas import OneDevice

# Another width, depth and head count than the student's 2, 12 and 3.
TEACHER = BertConfig(
    vocabulary_size=V,
    num_layers=4,
    hidden_dim=20,
    num_heads=2,
    max_sequence_length=CONFIG.max_sequence_length,
    dropout=0.1,
    initializer_range=0.3,
)
# What an objective needs to be said where the heads differ.
ARGUMENTS = {
    "attention_mse": "heads=average",
    "attention_kl": "heads=average",
    "attention_pearson": "heads=average",
    "relation_kl": "relation_heads=4",
    "minilm": "heads=average, relation_heads=4",
    "minilm_v2": "relation_heads=4",
    "tinybert": "heads=average",
    "crd": "negatives=8, width=8",
}
# Beside the soft loss, which is much larger.
WEIGHTS = {"layer_distance": 1000, "crd": 1}
# Labels of the examples are random: only those seen can be learnt.
ON_LABELS = {"labels", "next_sentence"}
BATCH = 8
# Those whose documentation says that they depend on the split.
ALONG_EXAMPLES = {"attention_pearson"}


def spec_of(name, **more):
    arguments = [ARGUMENTS.get(name, "")] if ARGUMENTS.get(name) else []
    arguments += [f"{k}={v}" for k, v in more.items()]
    return f"{name}({', '.join(arguments)})"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records") / "set", 50)


def batches(records, seed=1):
    stream = training_batches(
        records,
        batch_size=BATCH,
        seed=seed,
        shuffle_buffer_size=100,
        first_step=0,
        process_slice=(0, BATCH),
    )
    for step, batch in enumerate(stream):
        batch["step"] = tf.fill([BATCH], tf.constant(step, tf.int64))
        batch["is_stopping"] = tf.zeros([BATCH])
        yield batch


def bound(*specs, student=CONFIG, teacher=TEACHER, num_steps=100):
    return bind_objectives(
        declare_objectives(specs, KINDS), context(student, teacher, num_steps)
    )


@pytest.mark.parametrize("name", list(KINDS))
def test_a_student_of_another_shape_learns(records, name):
    """On examples that it has not seen, the objective and soft loss fall."""
    run = Run(
        OneDevice(),
        objectives=(
            spec_of(name, weight=WEIGHTS.get(name, 1)),
            "soft_targets(weight=0.5)",
        ),
        teacher_config=TEACHER,
        clip_norm=0,
        optimizer="adamw",
        rate=3e-3,
    )
    stream = batches(records)
    held_out = next(stream)
    seen = set(held_out["record_index"].numpy())

    def losses():
        found = {}
        for one in run.objectives:
            known = run.teacher(held_out, one.loss.teacher_reads)
            outputs = run.student(
                held_out, reads=one.loss.student_reads, noise=None
            )
            parts = one.loss.compute(outputs, known, held_out, tf.constant(0.0))
            found[one.name] = float(loss_of(parts))
        return found

    run.prepare(held_out)
    before = losses()
    steps = 0
    while steps < 30:
        batch = next(stream)
        # The first batch comes again in later epochs.
        if seen.isdisjoint(batch["record_index"].numpy()):
            run.step(batch)
            steps += 1
    after = losses()
    for key in before.keys() - ON_LABELS:
        assert after[key] < before[key], (before, after)


@pytest.mark.parametrize("name", [n for n in KINDS if n not in ALONG_EXAMPLES])
def test_micro_batches_give_the_same_weights(records, name):
    whole, split = (
        Run(
            OneDevice(),
            objectives=(spec_of(name),),
            teacher_config=TEACHER,
            accumulation_steps=parts,
        )
        for parts in (1, 2)
    )
    stream = batches(records)
    for _ in range(3):
        batch = next(stream)
        ours, theirs = split.step(batch), whole.step(batch)
        assert float(ours["loss"]) == pytest.approx(
            float(theirs["loss"]), rel=1e-5
        )
    ours, theirs = split.weights(), whole.weights()
    for key, expected in theirs.items():
        np.testing.assert_allclose(ours[key], expected, atol=2e-6, err_msg=key)


@pytest.mark.parametrize("name", list(KINDS))
def test_weights_from_a_batch_are_those_of_the_loss(records, name):
    run = Run(OneDevice(), objectives=(spec_of(name),), teacher_config=TEACHER)
    batch = next(batches(records))
    for one in run.objectives:
        known = run.teacher(batch, one.loss.teacher_reads)
        outputs = run.student(batch, reads=one.loss.student_reads)
        parts = one.loss.compute(outputs, known, batch, tf.constant(0.0))
        np.testing.assert_array_equal(parts.weights, one.loss.weights(batch))


@pytest.mark.parametrize("name", list(KINDS))
def test_only_what_is_read_is_asked_for(name):
    for one in bound(spec_of(name)):
        for read in one.loss.student_reads | one.loss.teacher_reads:
            assert read not in ("hidden_states", "attention_scores"), read


def test_weights_follow_their_schedule():
    specs = ("labels(weight=1, final_weight=0, start_step=10, end_step=30)",)
    (one,) = bound(*specs)
    assert (one.start_step, one.end_step) == (10, 30)
    found = [float(one.ramp(tf.constant(float(s)))) for s in range(10, 30, 5)]
    assert found == [1, 0.75, 0.5, 0.25]


def test_two_stages_switch_by_step(records):
    run = Run(
        OneDevice(),
        objectives=("hidden_mse(end_step=2)", "soft_targets(start_step=2)"),
        teacher_config=TEACHER,
    )
    stream = batches(records)
    for step in range(4):
        result = {k: float(v) for k, v in run.step(next(stream)).items()}
        counts = "hidden_mse" if step < 2 else "soft_targets"
        assert result["loss"] == pytest.approx(result[counts])


def test_random_layers_differ_by_step_and_not_by_split(records):
    specs = ("hidden_mse(layers=random)", "attention_kl(layers=random)")
    whole, split = (
        Run(
            OneDevice(),
            objectives=specs,
            teacher_config=dataclasses.replace(
                TEACHER, num_heads=3, hidden_dim=12
            ),
            accumulation_steps=parts,
        )
        for parts in (1, 2)
    )
    batch = next(batches(records))
    found = []
    for step in range(6):
        batch["step"] = tf.fill([BATCH], tf.constant(step, tf.int64))
        ours, theirs = split.step(batch), whole.step(batch)
        assert float(ours["loss"]) == pytest.approx(
            float(theirs["loss"]), rel=1e-5
        )
        found.append(float(theirs["hidden_mse"]))
    # Two of four layers: a loss that only falls would be one map's.
    assert any(b > a * 1.02 for a, b in itertools.pairwise(found))


def test_temperature_follows_its_schedule(records):
    fixed = [
        Run(OneDevice(), objectives=(f"soft_targets({arguments})",))
        for arguments in ("temperature=4", "temperature=3", "temperature=2.002")
    ]
    batch = next(batches(records))
    # The context of these runs has 1000 steps.
    for run, step in zip(fixed, (0, 500, 999), strict=True):
        batch["step"] = tf.fill([BATCH], tf.constant(step, tf.int64))
        again = Run(
            OneDevice(),
            objectives=("soft_targets(temperature=4, final_temperature=2)",),
        )
        assert float(again.step(batch)["soft_targets"]) == pytest.approx(
            float(run.step(batch)["soft_targets"]), rel=1e-5
        )


def test_compositions_have_a_name_for_each_part():
    names = [o.name for o in bound("tinybert(heads=average)", "labels")]
    assert names == ["tinybert.hidden", "tinybert.attention", "labels"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("labels(weight=-1)", "weight=-1"),
        ("labels(start_step=5, end_step=5)", "no span of steps"),
        ("hidden_mse(tokens=some)", "Unknown tokens 'some'"),
        ("hidden_mse(layers=none)", "Unknown layer map 'none'"),
        ("hidden_mse(reduction=sum)", "Unknown reduction 'sum'"),
        ("hidden_mse(projection=no)", "Unknown projection 'no'"),
        ("attention_kl", "3 heads of the student"),
        ("relation_kl(of=scores)", "Unknown of 'scores'"),
        ("relation_kl(relation_heads=7)", "relation_heads=7"),
        ("attention_mse(layers=emb, heads=average)", "matches no attention"),
    ],
)
def test_what_makes_no_sense_is_refused(records, spec, says):
    with pytest.raises(ValueError, match=says):
        for one in bound(spec):
            one.loss.weights(next(batches(records)))


def test_features_need_a_live_teacher():
    with pytest.raises(ValueError, match="live --teacher is needed"):
        bound("hidden_mse", teacher=None)


def test_an_objective_is_added_as_the_map_says(records, monkeypatch):
    """The example of WORKSPACE.md, as it stands there."""
    text = (pathlib.Path(__file__).parents[2] / "WORKSPACE.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    names = {
        "tf": tf,
        "Bind": Bind,
        "Parts": Parts,
        "summed": summed,
        "on_pairs": on_pairs,
    }
    exec(textwrap.dedent(code), names)
    kind = Kind(names["hidden_l1"], needs=FEATURES)
    monkeypatch.setitem(KINDS, "hidden_l1", kind)
    run = Run(
        OneDevice(),
        objectives=("hidden_l1(layers=final)", "labels"),
        clip_norm=0,
        optimizer="adamw",
        rate=3e-3,
    )
    stream = batches(records)
    first, *_, last = (
        float(run.step(next(stream))["hidden_l1"]) for _ in range(20)
    )
    assert last < first


def test_teachers_are_averaged(records):
    models = [Bert(TEACHER, seed) for seed in (1, 2)]
    batch = next(batches(records))
    reads = frozenset({DISTRIBUTION})
    one, two = (
        tf.exp(live_teacher([m])(batch, reads)[DISTRIBUTION].log_probs)
        for m in models
    )
    both = live_teacher(models)(batch, reads)[DISTRIBUTION].log_probs
    np.testing.assert_allclose(tf.exp(both), (one + two) / 2, rtol=1e-5)
    with pytest.raises(ValueError, match="of 2 teachers cannot be averaged"):
        live_teacher(models)(batch, frozenset({"hidden_states/0"}))
