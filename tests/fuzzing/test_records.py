"""Record sets that were harmed: manifests, examples and shards."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hostile import cases, harmed, hostile_reading, retyped
from small_chain import FOREIGN_EXAMPLE, write_foreign
from small_records import SCHEMA, example, write_set

from tfdistill.records import evaluation_batches, open_record_set
from tfdistill.records.manifest import MANIFEST, digest, read_manifest
from tfdistill.records.schema import Schema

NUMBERS = (3, 998, 0, 77)
WORDS = (b'"name"', b'"bytes": 1', b'"../x"', b'"schema"', b'"digest"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "set"
    write_set(folder, (4, 3))
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    return pathlib.Path(shutil.copytree(folder, tmp_path / "inside" / "set"))


def test_manifests_give_all_or_nothing(copy):
    path = copy / MANIFEST
    good = path.read_bytes()
    whole = read_manifest(copy)
    with hostile_reading() as found:
        for draw in cases("manifest", 3000):
            path.write_bytes(harmed(good, draw, WORDS))
            read = found.of(copy, read_manifest, copy)
            assert read is None or read == whole
    assert found.refused > 2500


def test_manifests_of_others_with_a_digest(copy):
    path = copy / MANIFEST
    outside = copy.parent.parent / "outside"
    outside.write_text("x")
    good = read_manifest(copy)
    del good["digest"]
    with hostile_reading(outside="outside") as found:
        for draw in cases("others", 3000):
            other = retyped(good, draw)
            if draw.random() < 0.2:
                # Right but for where it is.
                shard = draw.choice(good["shards"])
                name = draw.choice(("../../outside", "..", ".", "", "/x"))
                other = good | {"shards": [shard | {"name": name}]}
            if isinstance(other, dict):
                other = other | {"digest": digest(other)}
            text = json.dumps(other, indent=2, ensure_ascii=False) + "\n"
            path.write_text(text, "utf-8", "surrogatepass")
            records = found.of(copy, open_record_set, str(copy))
            if records is not None:
                assert all(s.path.parent == copy for s in records.shards)
                assert all(type(s.examples) is int for s in records.shards)
                found.of("", records.shapes)
    assert found.refused > 1500


@pytest.mark.parametrize("layout", ["packed", "plain"])
def test_harmed_examples(layout):
    schema = Schema(SCHEMA.features, layout)
    good = [schema.encode(example(n)) for n in NUMBERS]
    decode = tf.function(
        schema.decode, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    limits = {f.name: f.limit for f in schema.features}
    with hostile_reading() as found:
        for draw in cases(f"examples {layout}", 2500):
            data = harmed(draw.choice(good), draw)
            batch = found.of("", decode, tf.constant([data, good[0]]))
            if batch is None:
                continue
            batch = {name: x.numpy() for name, x in batch.items()}
            for name, limit in limits.items():
                assert batch[name].min() >= 0 and batch[name].max() < limit
            assert batch["input_ids"][1].tolist() == [1, 3, 2, *[0] * 5]
            if layout == "packed":
                size = batch["input_mask"][0].sum()
                slots = batch["masked_lm_weights"][0].astype(int).sum()
                counts = {"masked_lm_positions": slots, "masked_lm_ids": slots}
                again = {
                    name: batch[name][0][: counts.get(name, size)]
                    for name in limits
                }
                rest = np.delete(batch["input_ids"][0], range(size))
                assert not rest.any()
                assert schema.encode(again)[: len(data)] == data or (
                    # Where a step stands behind the end, nothing is seen.
                    not again["segment_ids"].any()
                )
    assert found.read > 50 and found.refused > 500


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_harmed_shards_give_whole_records(tmp_path, compression):
    """TensorFlow's part: what has another check sum is not given on."""
    write_set(tmp_path / "set", (4, 3), compression=compression)
    path = tmp_path / "set/0.tfrecord"
    records = open_record_set(str(tmp_path / "set"))

    def read():
        return list(records.schema.read([str(path)]).as_numpy_iterator())

    whole, good = read(), path.read_bytes()
    with hostile_reading() as found:
        for draw in cases(f"records {compression}", 500):
            path.write_bytes(harmed(good, draw))
            read_records = found.of("", read)
            # Whole records can be gone or come twice.
            if read_records is not None and compression == "none":
                assert set(read_records) <= set(whole)
    assert found.refused > 120


def read_through(path):
    records = open_record_set(str(path))
    if not records.identity:
        records = records.with_vocabulary(1000)
    batches = evaluation_batches(records, batch_size=16, process_slice=(0, 16))
    return [{name: x.numpy() for name, x in batch.items()} for batch in batches]


def same(batches, others):
    return len(batches) == len(others) and all(
        np.array_equal(batch[name], other[name])
        for batch, other in zip(batches, others, strict=True)
        for name in batch
    )


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_harmed_sets_give_all_or_nothing(tmp_path, compression):
    write_set(tmp_path / "set", (4, 3), compression=compression)
    path = tmp_path / "set/0.tfrecord"
    whole = read_through(tmp_path / "set")
    good = path.read_bytes()
    with hostile_reading() as found:
        # A pipeline takes its time to be built.
        for draw in cases(f"sets {compression}", 10):
            data = harmed(good, draw)
            # A file of another size is refused before it is read.
            data = data[: len(good)].ljust(len(good), b"\0")
            path.write_bytes(data)
            read = found.of(tmp_path, read_through, tmp_path / "set")
            assert read is None or same(read, whole)
    assert found.refused > 5


def test_harmed_shards_without_a_manifest(tmp_path):
    write_foreign(tmp_path / "set", [{}] * 2)
    path = tmp_path / "set/a.tfrecord"
    (whole,) = read_through(path)
    good = path.read_bytes()
    with hostile_reading() as found:
        for case, draw in enumerate(cases("foreign", 200)):
            path.write_bytes(harmed(good, draw))
            records = found.of(path, open_record_set, str(path))
            if records is None or case % 10:
                continue
            (batch,) = read_through(path)
            for name in FOREIGN_EXAMPLE:
                rows = batch[name][: records.examples]
                assert (rows == whole[name][0]).all()
    assert found.refused > 120
