"""Record sets: shards, their manifest, and the checks on both.

A set of ours is a folder with shards, the files of the tokenizer and, written
last, `manifest.json`. Shards of BERT's or the source system's own scripts have no
manifest; their schema is read off the first example.
"""

import dataclasses
import glob
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfdistill.files import read_json
from tfdistill.records.knowledge import Codec, Shapes, make_codec
from tfdistill.records.published import published_schema, with_vocabulary
from tfdistill.records.schema import Schema

FORMAT = "tfdistill records"
VERSION = 1
MANIFEST = "manifest.json"
# One of them is among the files of any tokenizer.
VOCABULARIES = ("vocab.txt", "vocab.json", "pieces.model")
# Present while a set is written; says what the finished shards belong to.
IDENTITY = "unfinished.json"


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a record set and the number of its examples."""

    path: pathlib.Path
    examples: int


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """An opened record set.

    Attributes:
        path: Where it was opened.
        schema: What its examples hold.
        shards: In the order of their names.
        identity: What made them: task, tokenizer fingerprint, settings,
            seed, source and, for knowledge, codec and teacher. Empty for
            records without a manifest.
        fingerprint: Changes with any byte of the set; for records without a
            manifest, with names and sizes only.
    """

    path: str
    schema: Schema
    shards: tuple[Shard, ...]
    identity: Mapping[str, Any]
    fingerprint: str

    @property
    def examples(self) -> int:
        """Examples in all shards."""
        return sum(shard.examples for shard in self.shards)

    @property
    def knowledge(self) -> tuple[str, ...]:
        """Specs of the teacher knowledge that is stored, if any."""
        specs = self.identity.get("knowledge") or ()
        return (specs,) if isinstance(specs, str) else tuple(specs)

    @property
    def tokenizer_folder(self) -> pathlib.Path | None:
        """Where the tokenizer that the records were made with is, if known."""
        folder = pathlib.Path(self.path)
        is_there = any((folder / name).exists() for name in VOCABULARIES)
        return folder if self.identity and is_there else None

    def shapes(self, **of_the_teacher: int) -> Shapes:
        """Returns what the shapes of knowledge follow from."""
        slots = self.schema.feature("masked_lm_positions")
        slots = slots or self.schema.feature("target_ids")
        ids = self.schema.feature("input_ids")
        ends = self.schema.feature("answer_positions")
        return Shapes(
            layout=self.schema.layout,
            max_seq_length=self.schema.max_seq_length,
            num_slots=slots.length if slots else 0,
            vocabulary_size=ids.limit if ids else 0,
            num_classes=self.identity.get("num_classes", 0),
            num_ends=ends.length if ends else 0,
            **of_the_teacher,
        )

    def codec(self) -> Codec:
        """Returns the codec of the stored knowledge.

        Raises:
            ValueError: None is stored.
        """
        if not self.knowledge:
            raise ValueError(
                f"{self.path} holds no teacher knowledge: its features are "
                f"{', '.join(f.name for f in self.schema.features)}."
            )
        teacher = self.identity.get("teacher_shape", {})
        return make_codec(self.knowledge, self.shapes(**teacher))

    def check_tokenizer(self, fingerprint: str, whose: str) -> None:
        """Refuse records that were made with another vocabulary or casing.

        Raises:
            ValueError: The fingerprints differ.
        """
        made_with = self.identity.get("tokenizer")
        if made_with is not None and made_with != fingerprint:
            raise ValueError(
                f"{self.path} was made with another vocabulary or casing "
                f"({made_with[:12]}…) than {whose} has ({fingerprint[:12]}…)."
            )

    def with_vocabulary(self, size: int) -> "RecordSet":
        """Returns the set, whose ids are checked as they are read."""
        schema = with_vocabulary(self.schema, size)
        return dataclasses.replace(self, schema=schema)

    def damage(self) -> str | None:
        """Read every shard through; returns what is wrong, or None."""
        for shard in self.shards:
            try:
                found = count_examples(shard.path)
                _check_examples(shard.path, self.schema)
            except ValueError as error:
                return str(error)
            if found != shard.examples:
                return (
                    f"{shard.path} holds {found} examples, its manifest "
                    f"says {shard.examples}."
                )
        return None


def count_examples(path: pathlib.Path) -> int:
    """Count the records of a shard, checking every checksum.

    Raises:
        ValueError: The file is cut or damaged.
    """
    examples = tf.data.TFRecordDataset(str(path), buffer_size=8 << 20)
    try:
        count = examples.reduce(tf.constant(0, tf.int64), lambda n, _: n + 1)
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError):
        raise ValueError(f"{path} is cut or damaged.") from None
    except tf.errors.OpError as error:
        raise ValueError(f"{path} cannot be read: {error.message}") from None
    return int(count)


def _check_examples(path: pathlib.Path, schema: Schema) -> None:
    examples = tf.data.TFRecordDataset(str(path)).batch(256)
    try:
        for _ in examples.map(schema.decode):
            pass
    except tf.errors.InvalidArgumentError as error:
        # What is in front of the cause names parts of the pipeline.
        cause = re.sub(
            r"^.*Iterator::\S+ |Name: <unknown>, |assertion failed: |[][]|\n.*",
            "",
            error.message,
        )
        raise ValueError(f"{path}: {' '.join(cause.split())}.") from None


def open_record_set(path: str) -> RecordSet:
    """Open a folder of records, one shard or a glob of shards.

    Sizes are compared with the manifest here; checksums of records are
    checked by TensorFlow as they are read.

    Raises:
        ValueError: The manifest or a shard is damaged, or there is none.
        OSError: Nothing is there.
    """
    folder = pathlib.Path(path)
    if folder.is_dir():
        if (folder / MANIFEST).exists():
            return open_with_manifest(folder)
        if (folder / IDENTITY).exists():
            raise ValueError(
                f"{path} is unfinished: it has no {MANIFEST}. Run the "
                "command that makes it again; finished shards are kept."
            )
        shards = sorted(folder.glob("*.tfrecord*"))
    else:
        shards = [pathlib.Path(p) for p in sorted(glob.glob(path))]
    if not shards:
        raise FileNotFoundError(f"{path}: no records there.")
    schema, knowledge = published_schema(shards[0])
    counted = tuple(Shard(p, count_examples(p)) for p in shards)
    sizes = [[p.name, p.stat().st_size] for p in shards]
    identity = {} if knowledge is None else {"knowledge": knowledge}
    return RecordSet(
        path, schema, counted, identity, digest({"published": sizes})
    )


def open_with_manifest(folder: pathlib.Path) -> RecordSet:
    """Open a finished set of ours; errors as `open_record_set`."""
    path = folder / MANIFEST
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{path} is no manifest of {FORMAT}.")
    if manifest.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {manifest.get('version')!r}; this program "
            f"reads version {VERSION}."
        )
    stated = manifest.pop("digest", None)
    if stated != digest(manifest):
        raise ValueError(f"{path} is damaged: its digest does not match.")
    shards = []
    for entry in manifest["shards"]:
        shard = folder / pathlib.PurePath(entry["name"]).name
        if not shard.exists():
            raise ValueError(f"{shard} is missing; {path} lists it.")
        size = shard.stat().st_size
        if size != entry["bytes"]:
            raise ValueError(
                f"{shard} has {size} bytes, expected {entry['bytes']}: it "
                "is cut or was changed."
            )
        shards.append(Shard(shard, entry["examples"]))
    return RecordSet(
        str(folder),
        Schema.from_json(manifest["schema"]),
        tuple(shards),
        manifest["identity"],
        stated,
    )


def digest(values: Any) -> str:
    """Returns a hash of JSON values that ignores the order of keys."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
