"""Extraction: what is stored is what the teacher says, whatever happened."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from mirrored import two_mirrored
from small_records import unfinish
from tiny_training import (
    CONFIG,
    Run,
    V,
    examples,
    features,
    largest_difference,
)

from tfdistill.distillation import live_teacher
from tfdistill.distillation.extraction import (
    check_open,
    extract_shards,
    knowledge_schema,
)
from tfdistill.models.bert import Bert
from tfdistill.records import (
    DISTRIBUTION,
    RecordSetWriter,
    Schema,
    evaluation_batches,
    make_codec,
    training_batches,
)
from tfdistill.replicas import OneDevice

SIZES = [5, 0, 9, 3]
NAMES = [f"{i}.tfrecord" for i in range(len(SIZES))]


def write_inputs(folder, layout):
    writer = RecordSetWriter(
        str(folder),
        schema=Schema(features(), layout),
        identity={"task": "mlm"},
        shard_names=NAMES,
        files={},
    )
    made = examples(sum(SIZES))
    for name, size in zip(NAMES, SIZES, strict=True):
        with writer.shard(name) as shard:
            for _ in range(size):
                shard.add(next(made))
    return writer.finish()


def prepared(records, folder, spec):
    codec = make_codec([spec], records.with_vocabulary(V).shapes())
    added, schema = knowledge_schema(records, codec)
    writer = RecordSetWriter(
        str(folder),
        schema=schema,
        identity={"knowledge": spec},
        shard_names=NAMES,
        files={},
    )
    return codec, added, writer


def extract(records, folder, spec, *, replicas=None, batch_size=4):
    replicas = replicas or OneDevice()
    with replicas.scope():
        teacher = Bert(CONFIG, 99)
    codec, added, writer = prepared(records, folder, spec)
    extract_shards(
        records,
        teacher,
        codec,
        added,
        writer,
        replicas=replicas,
        batch_size=batch_size,
    )
    return writer.finished


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def read_examples(record_set):
    """Every example, decoded and as its bytes are."""
    paths = [str(s.path) for s in record_set.shards]
    raw = [x.numpy() for x in record_set.schema.read(paths)]
    return record_set.schema.decode(tf.constant(raw)), raw


@pytest.mark.parametrize("spec", ["top_k(k=3)", "top_k(k=all)"])
@pytest.mark.parametrize("layout", ["packed", "plain"])
def test_inputs_are_kept_and_order_too(tmp_path, layout, spec):
    records = write_inputs(tmp_path / "in", layout)
    found = extract(records, tmp_path / "out", spec)
    assert [s.examples for s in found.shards] == SIZES
    (before, _), (after, raw) = read_examples(records), read_examples(found)
    assert len(after["input_ids"]) == sum(SIZES)
    for name, old in before.items():
        np.testing.assert_array_equal(old, after[name], name)
    if layout == "plain":
        extra = 2 if spec == "top_k(k=3)" else 1
        for one in raw:
            example = tf.train.Example.FromString(one)
            assert len(example.features.feature) == 7 + extra


@pytest.mark.parametrize("layout", ["packed", "plain"])
def test_what_is_stored_is_what_the_teacher_says(tmp_path, layout):
    records = write_inputs(tmp_path / "in", layout)
    spec = "top_k(k=3, bits=32)"
    found = extract(records, tmp_path / "out", spec)
    ask = live_teacher([Bert(CONFIG, 99)])
    reads = frozenset({DISTRIBUTION})
    codec = found.codec()
    for batch in evaluation_batches(
        found, batch_size=17, process_slice=(0, 17)
    ):
        expected = ask(batch, reads)[DISTRIBUTION].log_probs.numpy()
        stored = codec.decode(batch)[DISTRIBUTION]
        weights = batch["masked_lm_weights"].numpy().astype(bool)
        order = np.argsort(-expected, axis=-1, kind="stable")[..., :3]
        np.testing.assert_array_equal(
            stored.ids.numpy()[weights], order[weights]
        )
        np.testing.assert_allclose(
            stored.log_probs.numpy()[weights],
            np.take_along_axis(expected, order, -1)[weights],
            atol=2e-6,
        )
        kept = np.exp(stored.log_probs.numpy()[weights])
        np.testing.assert_allclose(
            stored.tail_log_mass.numpy()[weights],
            np.log(1 - kept.sum(-1)),
            atol=1e-5,
        )


def test_any_number_of_devices_writes_the_same_bytes(tmp_path):
    records = write_inputs(tmp_path / "in", "packed")
    extract(records, tmp_path / "1", "top_k(k=3)")
    extract(records, tmp_path / "2", "top_k(k=3)", replicas=two_mirrored())
    assert contents(tmp_path / "2") == contents(tmp_path / "1")


@pytest.fixture
def short_windows(monkeypatch):
    """Of two batches, so that the longest shard has three of them."""
    name = "tfdistill.distillation.extraction._LENGTH_WINDOW"
    monkeypatch.setattr(name, 2)


def test_devices_have_batches_of_their_own_length(tmp_path, short_windows):
    records = write_inputs(tmp_path / "in", "packed")
    shapes = []
    codec, added, writer = prepared(records, tmp_path / "1", "top_k(k=3)")

    def ask(batch):
        shapes.append(tuple(batch["input_ids"].shape))
        return codec.encode({"logits": tf.zeros([2, 4, V])})

    class Asked(OneDevice):
        def compile_map(self, function):
            return lambda batches: [ask(batch) for batch in batches]

    extract_shards(
        records,
        None,
        codec,
        added,
        writer,
        replicas=Asked(),
        batch_size=2,
    )
    # Every batch is whole, with copies at the end of a shard.
    assert set(shapes) == {(2, 8), (2, 16)}
    assert len(shapes) == sum(-(-size // 2) for size in SIZES)
    for replicas, name in ((OneDevice(), "one"), (two_mirrored(), "two")):
        extract(
            records,
            tmp_path / name,
            "top_k(k=3)",
            replicas=replicas,
            batch_size=2,
        )
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_windows_change_nothing_that_is_stored(tmp_path, short_windows):
    """But last bits: log-probabilities are in whole floats here."""
    records = write_inputs(tmp_path / "in", "packed")
    spec = "top_k(k=3, bits=32)"
    cut = extract(records, tmp_path / "cut", spec, batch_size=2)
    whole = extract(records, tmp_path / "whole", spec, batch_size=9)
    (cut, _), (whole, _) = read_examples(cut), read_examples(whole)
    for name, values in whole.items():
        np.testing.assert_allclose(cut[name], values, atol=2e-6, err_msg=name)


@pytest.mark.parametrize(
    ("spec", "layout"),
    [
        ("top_k(k=3, bits=32)", "packed"),
        ("top_k(k=3)", "plain"),
        ("top_k(k=all)", "plain"),
        ("hybrid(k=2, samples=3)", "packed"),
    ],
)
def test_slots_that_no_example_has_change_nothing_that_is_stored(
    tmp_path, short_windows, monkeypatch, spec, layout
):
    records = write_inputs(tmp_path / "in", layout)
    trimmed = extract(records, tmp_path / "trimmed", spec, batch_size=2)
    of = {"batch_size": 2, "process_slice": (0, 2), "length_window": 2}
    batches = evaluation_batches(records, **of)
    assert {b["masked_lm_ids"].shape[1] for b in batches} == {1, 2, 4}
    monkeypatch.setattr(
        "tfdistill.records.batches.slot_grid", lambda most: [most]
    )
    batches = evaluation_batches(records, **of)
    assert {b["masked_lm_ids"].shape[1] for b in batches} == {4}
    whole = extract(records, tmp_path / "whole", spec, batch_size=2)
    (trimmed, _), (whole, _) = read_examples(trimmed), read_examples(whole)
    for name, values in whole.items():
        # A number in a byte may be rounded to its neighbour.
        atol = 1e-2 if name == "tail_log_mass" else 2e-6
        np.testing.assert_allclose(
            trimmed[name], values, atol=atol, err_msg=name
        )


def test_no_more_than_a_window_is_kept(tmp_path, short_windows):
    records = write_inputs(tmp_path / "in", "packed")
    codec, added, writer = prepared(records, tmp_path / "out", "top_k(k=3)")
    kept = []

    class Joining(Schema):
        def join(self, example, more):
            kept.append(kept[-1] - 1)
            return super().join(example, more)

    class Asked(OneDevice):
        def compile_map(self, function):
            def ask(batch):
                kept.append((kept[-1] if kept else 0) + 1)
                return codec.encode({"logits": tf.zeros([1, 4, V])})

            return lambda batches: [ask(batch) for batch in batches]

    extract_shards(
        records,
        None,
        codec,
        Joining(added.features),
        writer,
        replicas=Asked(),
        batch_size=1,
    )
    assert len(kept) == 2 * sum(SIZES)
    assert (min(kept), max(kept), kept[-1]) == (0, 2, 0)


def test_a_rerun_does_only_what_is_missing_or_damaged(tmp_path):
    records = write_inputs(tmp_path / "in", "packed")
    extract(records, tmp_path / "whole", "top_k(k=3)")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    unfinish(tmp_path / "cut")
    (tmp_path / "cut" / NAMES[1]).unlink()
    # An empty file is a sound TFRecord, of no examples.
    (tmp_path / "cut" / NAMES[2]).write_bytes(b"")
    damaged = tmp_path / "cut" / NAMES[3]
    damaged.write_bytes(damaged.read_bytes()[:-4])
    codec, added, writer = prepared(records, tmp_path / "cut", "top_k(k=3)")
    done = extract_shards(
        records,
        Bert(CONFIG, 99),
        codec,
        added,
        writer,
        replicas=OneDevice(),
        batch_size=4,
    )
    assert done == {"shards": 3, "examples": sum(SIZES[1:])}
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("spec", "objective"),
    [
        ("top_k(k=all)", "soft_targets"),
        ("top_k(k=all)", "soft_targets(temperature=2)"),
        (f"top_k(k={V}, bits=32)", "soft_targets(tail=bucket)"),
        (
            f"top_k(k={V}, bits=32)",
            "soft_targets(tail=renormalised, temperature=2)",
        ),
    ],
)
def test_recorded_teacher_is_the_live_one(tmp_path, spec, objective):
    records = write_inputs(tmp_path / "in", "packed")
    found = extract(records, tmp_path / "out", spec)
    objectives = (objective, "next_sentence")
    live = Run(OneDevice(), objectives=objectives)
    recorded = Run(
        OneDevice(), objectives=objectives, teacher="recorded", knowledge=spec
    )
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
    difference = largest_difference(recorded.weights(), live.weights())
    assert difference[0] < 2e-6, difference


def test_records_that_cannot_be_asked_about_are_refused(tmp_path):
    records = write_inputs(tmp_path / "in", "packed")
    found = extract(records, tmp_path / "out", "top_k(k=3)")
    with pytest.raises(ValueError, match="holds knowledge already"):
        check_open(found)
    unmasked = Schema(
        tuple(f for f in features() if not f.name.startswith("masked"))
    )
    writer = RecordSetWriter(
        str(tmp_path / "unmasked"),
        schema=unmasked,
        identity={"settings": {"dynamic_masking": True}},
        shard_names=[],
        files={},
    )
    with pytest.raises(ValueError, match="masked anew in every epoch"):
        check_open(writer.finish())
