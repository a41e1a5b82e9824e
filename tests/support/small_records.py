"""A small record set to read."""

import dataclasses
import json
import pathlib

import numpy as np

from tfdistill.records import RecordSetWriter, Schema, masked_lm_features
from tfdistill.records.examples import input_features
from tfdistill.records.manifest import MANIFEST, MARK, plan, read_manifest
from tfdistill.records.notes import write_note

SCHEMA = Schema(
    masked_lm_features(
        max_seq_length=8,
        max_predictions_per_seq=2,
        vocabulary_size=1000,
        is_masked=True,
        has_next_sentence=False,
    )
)


def example(number):
    """An example that can be told by its second token."""
    return {
        "input_ids": np.array([1, number, 2]),
        "segment_ids": np.zeros(3, int),
        "masked_lm_positions": np.array([1]),
        "masked_lm_ids": np.array([number]),
    }


def write_set(folder, shard_sizes, identity=None, compression="none"):
    """Write examples numbered through over shards of the given sizes."""
    names = [f"{i}.tfrecord" for i in range(len(shard_sizes))]
    writer = RecordSetWriter(
        str(folder),
        schema=dataclasses.replace(SCHEMA, compression=compression),
        identity=identity or {"task": "mlm"},
        shard_names=names,
        files={},
    )
    number = 0
    for name, size in zip(names, shard_sizes, strict=True):
        with writer.shard(name) as shard:
            for _ in range(size):
                shard.add(example(number))
                number += 1
    return writer.finish()


def write_uneven_set(folder, lengths, max_seq_length=100):
    """Write examples of so many tokens, numbered through, to two shards."""
    writer = RecordSetWriter(
        str(folder),
        schema=Schema(input_features(max_seq_length, 1000)),
        identity={"task": "mlm"},
        shard_names=["0.tfrecord", "1.tfrecord"],
        files={},
    )
    half = len(lengths) // 2
    for name, numbers in (
        ("0.tfrecord", range(half)),
        ("1.tfrecord", range(half, len(lengths))),
    ):
        with writer.shard(name) as shard:
            for number in numbers:
                rest = range(2, lengths[number])
                shard.add(
                    {
                        "input_ids": np.array([1, number, *rest]),
                        "segment_ids": np.zeros(lengths[number], int),
                    }
                )
    return writer.finish()


def unfinish(folder: pathlib.Path) -> None:
    """Leave a set as a kill does that came before its manifest."""
    made = read_manifest(folder)
    names = [shard["name"] for shard in made["shards"]]
    (folder / MARK).write_text(
        json.dumps(plan(made["identity"], made["schema"], names))
    )
    for shard in made["shards"]:
        path = folder / shard["name"]
        write_note(path, path, shard["examples"])
    (folder / MANIFEST).unlink()
