"""Record sets: whole or refused, and the same whatever was killed."""

import dataclasses
import json
import random
import struct

import pytest
import tensorflow as tf
from small_records import SCHEMA, example, write_set

from tfdistill.files import write_json
from tfdistill.records import (
    DISTRIBUTION,
    RecordSetWriter,
    evaluation_batches,
    open_record_set,
)
from tfdistill.records.manifest import digest, read_manifest

SIZES = [5, 3, 0, 4]


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_opened_set(tmp_path):
    made = write_set(tmp_path / "set", SIZES)
    found = open_record_set(str(tmp_path / "set"))
    assert found == made
    assert found.examples == 12
    assert [s.examples for s in found.shards] == SIZES
    assert found.damage() is None


def test_bytes_are_reproducible(tmp_path):
    write_set(tmp_path / "a", SIZES)
    write_set(tmp_path / "b", SIZES)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_every_flip_of_a_shard_is_refused_by_readers(tmp_path, compression):
    records = write_set(tmp_path / "set", [1], compression=compression)
    path = records.shards[0].path
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"0\.tfrecord"):
            batches = evaluation_batches(
                open_record_set(str(tmp_path / "set")),
                batch_size=1,
                process_slice=(0, 1),
            )
            list(batches)
    path.write_bytes(data)
    opened = open_record_set(str(tmp_path / "set"))
    (batch,) = evaluation_batches(opened, batch_size=1, process_slice=(0, 1))
    assert batch["input_ids"][0, :3].numpy().tolist() == [1, 0, 2]


def test_every_byte_of_the_other_files_counts(tmp_path):
    """Also spaces of the manifest, which mean nothing in JSON."""
    writer = RecordSetWriter(
        str(tmp_path / "set"),
        schema=SCHEMA,
        identity={"task": "mlm"},
        shard_names=[],
        files={"vocab.txt": b"a\nb\n"},
    )
    writer.begin()
    writer.finish()
    for name, data in contents(tmp_path / "set").items():
        path = tmp_path / "set" / name
        for place in range(len(data)):
            for flip in (1, 0x2A):
                changed = bytearray(data)
                changed[place] ^= flip
                path.write_bytes(changed)
                with pytest.raises(ValueError, match=name):
                    read_manifest(tmp_path / "set")
        path.write_bytes(data)
    assert open_record_set(str(tmp_path / "set")).damage() is None


def test_a_shard_that_nobody_lists_is_noticed(tmp_path):
    write_set(tmp_path / "set", [2])
    (tmp_path / "set" / "9.tfrecord").write_bytes(b"")
    found = open_record_set(str(tmp_path / "set")).damage()
    assert "9.tfrecord is not in the manifest" in found


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_every_cut_and_flip_is_noticed(tmp_path, compression):
    write_set(tmp_path / "set", SIZES, compression=compression)
    whole = contents(tmp_path / "set")
    rng = random.Random(0)
    for name, data in whole.items():
        path = tmp_path / "set" / name
        if not data:
            continue
        for _ in range(10):
            place = rng.randrange(len(data))
            flipped = bytearray(data)
            flipped[place] ^= 1 << rng.randrange(8)
            for changed in (data[:place], bytes(flipped)):
                path.write_bytes(changed)
                with pytest.raises(ValueError) as error:
                    opened = open_record_set(str(tmp_path / "set"))
                    raise ValueError(opened.damage())
                message = str(error.value)
                assert name in message and "\n" not in message, message
                is_mended = "command that made these records again" in message
                assert is_mended == (name != "manifest.json"), message
        path.write_bytes(data)
    assert open_record_set(str(tmp_path / "set")).damage() is None


def test_missing_shard_is_named(tmp_path):
    write_set(tmp_path / "set", SIZES)
    (tmp_path / "set" / "1.tfrecord").unlink()
    with pytest.raises(ValueError, match=r"1\.tfrecord is missing"):
        open_record_set(str(tmp_path / "set"))


def test_manifest_cannot_point_elsewhere(tmp_path):
    write_set(tmp_path / "set", [2])
    path = tmp_path / "set" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][0]["name"] = "../../etc/passwd"
    manifest.pop("digest")
    write_json(path, manifest | {"digest": digest(manifest)})
    with pytest.raises(ValueError, match=r"passwd. is not beside it"):
        open_record_set(str(tmp_path / "set"))


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json"])
def test_tokenizer_is_beside_the_records(tmp_path, name):
    records = write_set(tmp_path / "set", [2])
    assert records.tokenizer_folder is None
    (tmp_path / "set" / name).write_text("")
    assert records.tokenizer_folder == tmp_path / "set"
    foreign = dataclasses.replace(records, identity={})
    assert foreign.tokenizer_folder is None


def writer_for(folder, identity=None, files=None):
    return RecordSetWriter(
        str(folder),
        schema=SCHEMA,
        identity=identity or {"task": "mlm"},
        shard_names=[f"{i}.tfrecord" for i in range(len(SIZES))],
        files=files or {},
    )


def test_interrupted_writing_goes_on_with_what_is_missing(tmp_path):
    write_set(tmp_path / "whole", SIZES)
    writer = writer_for(tmp_path / "cut")
    with writer.shard("0.tfrecord") as shard:
        for number in range(5):
            shard.add(example(number))
    with pytest.raises(RuntimeError), writer.shard("1.tfrecord") as shard:
        shard.add(example(5))
        raise RuntimeError("killed")
    with pytest.raises(ValueError, match="unfinished"):
        open_record_set(str(tmp_path / "cut"))
    # A shard that was damaged after it was finished is done again, too.
    again = writer_for(tmp_path / "cut")
    assert again.missing() == ["1.tfrecord", "2.tfrecord", "3.tfrecord"]
    (tmp_path / "cut" / ".1.tfrecord.4711.partial").write_bytes(b"killed")
    number = 5
    for name, size in zip(again.missing(), SIZES[1:], strict=True):
        with again.shard(name) as shard:
            for _ in range(size):
                shard.add(example(number))
                number += 1
    again.finish()
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def write_shard(writer, name, numbers):
    with writer.shard(name) as shard:
        for number in numbers:
            shard.add(example(number))


def without_last_record(data):
    (length,) = struct.unpack("<Q", data[:8])
    return data[: -(8 + 4 + length + 4)]


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-3],
        lambda data: b"",
        without_last_record,
        lambda data: data + data,
        lambda data: without_last_record(data) * 2,
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    ],
    ids=["cut", "empty", "record lost", "doubled", "another", "flipped"],
)
def test_shard_of_an_unfinished_set_is_as_finished_or_missing(tmp_path, harm):
    writer = writer_for(tmp_path / "cut")
    for name in writer.shard_names:
        write_shard(writer, name, [7, 8])
    path = tmp_path / "cut" / "2.tfrecord"
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    again = writer_for(tmp_path / "cut")
    assert again.missing() == ["2.tfrecord"]
    with pytest.raises(ValueError, match=r"2\.tfrecord was changed after"):
        again.finish()
    write_shard(again, "2.tfrecord", [7, 8])
    assert again.finish().examples == 8
    assert path.read_bytes() == whole
    # What was noted of shards is in the manifest now.
    names = [*again.shard_names, "manifest.json"]
    assert sorted(contents(tmp_path / "cut")) == names


def test_shard_whose_note_is_damaged_is_missing(tmp_path):
    writer = writer_for(tmp_path / "cut")
    for name in writer.shard_names:
        write_shard(writer, name, [0])
    note = tmp_path / "cut/finished/1.tfrecord.json"
    note.write_text(note.read_text().replace('"examples": 1', '"examples": 2'))
    (tmp_path / "cut/finished/3.tfrecord.json").write_text("{")
    (tmp_path / "cut/finished/0.tfrecord.json").unlink()
    assert writer.missing() == ["0.tfrecord", "1.tfrecord", "3.tfrecord"]


def flipped(data):
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def harmed_set(folder):
    """A finished set of which each file but the manifest needs mending."""
    writer = writer_for(folder, files={"vocab.txt": b"a\nb\n"})
    number = 0
    for name, size in zip(writer.shard_names, SIZES, strict=True):
        write_shard(writer, name, range(number, number + size))
        number += size
    writer.finish()
    whole = contents(folder)
    (folder / "0.tfrecord").write_bytes(flipped(whole["0.tfrecord"]))
    (folder / "1.tfrecord").unlink()
    (folder / "3.tfrecord").write_bytes(b"")
    (folder / "vocab.txt").write_bytes(flipped(whole["vocab.txt"]))
    return whole


def test_finished_set_is_mended(tmp_path, caplog):
    folder = tmp_path / "set"
    whole = harmed_set(folder)
    kept = {
        name: (folder / name).stat().st_mtime_ns
        for name in ("2.tfrecord", "manifest.json")
    }
    writer = writer_for(folder, files={"vocab.txt": b"a\nb\n"})
    with caplog.at_level("WARNING"):
        assert writer.finished is None
    assert "0.tfrecord, 1.tfrecord, 3.tfrecord, vocab.txt" in caplog.text
    assert writer.missing() == ["0.tfrecord", "1.tfrecord", "3.tfrecord"]
    write_shard(writer, "0.tfrecord", range(5))
    # What is left after a kill is still the finished set.
    again = writer_for(folder, files={"vocab.txt": b"a\nb\n"})
    assert again.missing() == ["1.tfrecord", "3.tfrecord"]
    with pytest.raises(ValueError, match=r"1\.tfrecord was not written"):
        again.finish()
    write_shard(again, "1.tfrecord", range(5, 8))
    write_shard(again, "3.tfrecord", range(8, 12))
    assert again.finish().damage() is None
    assert contents(folder) == whole
    for name, stamp in kept.items():
        assert (folder / name).stat().st_mtime_ns == stamp
    assert writer_for(folder).finished is not None


def test_mended_set_has_to_be_what_it_was(tmp_path):
    harmed_set(tmp_path / "set")
    manifest = (tmp_path / "set/manifest.json").read_bytes()
    writer = writer_for(tmp_path / "set", files={"vocab.txt": b"a\nb\n"})
    write_shard(writer, "0.tfrecord", range(1, 6))
    write_shard(writer, "1.tfrecord", range(5, 8))
    write_shard(writer, "3.tfrecord", range(8, 12))
    with pytest.raises(ValueError, match=r"0\.tfrecord was made again and di"):
        writer.finish()
    assert (tmp_path / "set/manifest.json").read_bytes() == manifest
    again = writer_for(tmp_path / "set", files={"vocab.txt": b"a\nb\n"})
    assert again.finished is None and again.missing() == ["0.tfrecord"]


def test_shards_without_a_manifest_are_refused(tmp_path):
    write_set(tmp_path / "set", SIZES)
    (tmp_path / "set/manifest.json").unlink()
    before = contents(tmp_path / "set")
    with pytest.raises(ValueError, match=r"no manifest.json.*Put it back, or"):
        writer_for(tmp_path / "set")
    assert contents(tmp_path / "set") == before


def test_other_identity_is_refused(tmp_path):
    early = writer_for(tmp_path / "unfinished", {"task": "other"})
    assert not (tmp_path / "unfinished").exists()
    writer_for(tmp_path / "unfinished").begin()
    with pytest.raises(ValueError, match="other input or settings"):
        early.begin()
    with pytest.raises(ValueError, match="other input or settings"):
        writer_for(tmp_path / "unfinished", {"task": "other"})
    write_set(tmp_path / "set", SIZES)
    assert writer_for(tmp_path / "set").finished is not None
    with pytest.raises(
        ValueError, match='other input or settings: task is "mlm" there'
    ):
        writer_for(tmp_path / "set", {"task": "other"})


def test_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        writer_for(tmp_path / "set")


def published_example(**extra):
    numbers = {
        "input_ids": [101, 5, 102, 0],
        "input_mask": [1, 1, 1, 0],
        "segment_ids": [0, 0, 0, 0],
        "masked_lm_positions": [1, 0],
        "masked_lm_ids": [7, 0],
        "next_sentence_labels": [1],
    }
    feature = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        for name, values in numbers.items()
    }
    for name, values in {"masked_lm_weights": [1.0, 0.0], **extra}.items():
        kind = (
            {"int64_list": tf.train.Int64List(value=values)}
            if isinstance(values[0], int)
            else {"float_list": tf.train.FloatList(value=values)}
        )
        feature[name] = tf.train.Feature(**kind)
    return tf.train.Example(
        features=tf.train.Features(feature=feature)
    ).SerializeToString()


@pytest.mark.parametrize(
    ("extra", "knowledge"),
    [
        ({}, None),
        (
            {
                "truncated_masked_lm_probs": [0.5, 0.25, 0.1, 0.1],
                "top_k_indices": [7, 8, 1, 2],
            },
            "top_k(k=2)",
        ),
        ({"masked_lm_probs": [0.2] * 10}, "top_k(k=all)"),
    ],
)
def test_published_records_are_read(tmp_path, extra, knowledge):
    for name, count in (("b.tfrecord", 2), ("a.tfrecord", 1)):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for _ in range(count):
                writer.write(published_example(**extra))
    for path in (str(tmp_path), str(tmp_path / "*.tfrecord")):
        found = open_record_set(path)
        assert [s.examples for s in found.shards] == [1, 2]
        assert found.knowledge == ((knowledge,) if knowledge else ())
    batch = found.schema.decode(tf.constant([published_example(**extra)]))
    assert batch["masked_lm_weights"].numpy().tolist() == [[1.0, 0.0]]
    assert batch["next_sentence_labels"].numpy().tolist() == [1]
    if knowledge:
        found = found.with_vocabulary(5)
        got = found.codec().decode(batch)[DISTRIBUTION]
        assert got.log_probs.shape[:2] == (1, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no records"),
        (b"text, no records at all, just text", "no TFRecord file"),
    ],
)
def test_files_that_hold_no_records(tmp_path, content, message):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        open_record_set(str(path))
    assert "x.tfrecord" in str(error.value)


def test_records_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "x.tfrecord"
    example_ = tf.train.Example()
    example_.features.feature["image"].bytes_list.value.append(b"x")
    for data in (example_.SerializeToString(), b"\xff\xff\xff"):
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(data)
        with pytest.raises(ValueError, match=r"x\.tfrecord.*(input_ids|Exam)"):
            open_record_set(str(path))


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no records there"):
        open_record_set(str(tmp_path / "nothing"))
