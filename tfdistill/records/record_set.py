"""Record sets: shards, their manifest, and the checks on both.

A set of ours is a folder with shards, the files of the tokenizer and, written
last, `manifest.json`. Shards of BERT's or the source system's own scripts have no
manifest; their schema is read off the first example.
"""

import dataclasses
import glob
import pathlib
from collections.abc import Mapping
from typing import Any

from tfdistill.records.knowledge import Codec, Shapes, make_codec
from tfdistill.records.manifest import (
    MANIFEST,
    MARK,
    digest,
    read_manifest,
)
from tfdistill.records.published import published_schema, with_vocabulary
from tfdistill.records.schema import Schema
from tfdistill.records.shards import Shard, count_examples

# One of them is among the files of any tokenizer.
VOCABULARIES = ("vocab.txt", "vocab.json", "words.txt", "pieces.model")
_SHARDS = "*.tfrecord*"


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

    def shapes(self, *, folder: str = "", **of_the_teacher: int) -> Shapes:
        """Returns what the shapes of knowledge follow from.

        Args:
            folder: Where files of a codec are, if it is to decode.
            **of_the_teacher: Layers, width and heads, if it has them.
        """
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
            folder=folder,
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
        shapes = self.shapes(folder=self.path, **teacher)
        return make_codec(self.knowledge, shapes)

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

    def check_readable(self) -> None:
        """Refuse compressed shards that were changed.

        Of others TensorFlow checks every byte as it reads them, of these
        not all.

        Raises:
            ValueError: One was; the message names it.
        """
        if self.schema.compression != "none":
            for shard in self.shards:
                if (change := shard.change()) is not None:
                    raise ValueError(change)

    def damage(self) -> str | None:
        """Read every shard through; returns what is wrong, or None."""
        listed = {shard.path for shard in self.shards}
        if self.identity and listed:
            for path in sorted(pathlib.Path(self.path).glob(_SHARDS)):
                if path not in listed:
                    return f"{path} is not in the manifest beside it."
        found = (shard.damage(self.schema) for shard in self.shards)
        return next((what for what in found if what), None)


def open_record_set(path: str) -> RecordSet:
    """Open a folder of records, one shard or a glob of shards.

    Sizes are compared with the manifest here, and all bytes of the files
    beside the shards; checksums of records are checked by TensorFlow as they
    are read.

    Raises:
        ValueError: The manifest or a shard is damaged, or there is none.
        OSError: Nothing is there.
    """
    folder = pathlib.Path(path)
    if folder.is_dir():
        if (folder / MANIFEST).exists():
            return open_with_manifest(folder)
        if (folder / MARK).exists():
            raise ValueError(
                f"{path} is unfinished: it has no {MANIFEST}. Run the "
                "command that makes it again; finished shards are kept."
            )
        shards = sorted(folder.glob(_SHARDS))
    else:
        shards = [pathlib.Path(p) for p in sorted(glob.glob(path))]
    if not shards:
        raise FileNotFoundError(f"{path}: no records there.")
    schema, knowledge = published_schema(shards[0])
    counted = tuple(Shard(p, count_examples(p, schema)) for p in shards)
    sizes = [[p.name, p.stat().st_size] for p in shards]
    identity = {} if knowledge is None else {"knowledge": knowledge}
    return RecordSet(
        path, schema, counted, identity, digest({"published": sizes})
    )


def open_with_manifest(folder: pathlib.Path) -> RecordSet:
    """Open a finished set of ours; errors as `open_record_set`."""
    manifest = read_manifest(folder)
    try:
        schema = Schema.from_json(manifest.get("schema"))
    except ValueError as error:
        raise ValueError(f"{folder / MANIFEST}: {error}") from None
    return RecordSet(
        str(folder),
        schema,
        tuple(
            Shard(
                folder / entry["name"],
                entry["examples"],
                entry["sha256"],
            )
            for entry in manifest["shards"]
        ),
        manifest["identity"],
        manifest["digest"],
    )
