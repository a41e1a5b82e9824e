"""Extraction: a teacher's knowledge is added to records.

Each process does its share of the missing shards and needs nothing of the
others. A run that was killed goes on with the shards that are missing or
damaged; the bytes come out the same.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.models.masked_lm import MaskedLM
from tfdistill.progress import Progress
from tfdistill.records import (
    Batch,
    Codec,
    RecordSet,
    RecordSetWriter,
    Schema,
    evaluation_batches,
)
from tfdistill.records.record_set import Shard
from tfdistill.replicas import Replicas, from_chief, share


def knowledge_schema(
    records: RecordSet, codec: Codec, vocabulary_size: int
) -> tuple[Schema, Schema]:
    """Returns the schemas of what is added and of the whole.

    Raises:
        ValueError: The records hold no masks, or hold knowledge already.
    """
    positions = records.schema.feature("masked_lm_positions")
    if positions is None:
        raise ValueError(
            f"{records.path} is masked anew in every epoch, so there is "
            "nothing that a teacher's answers could be stored for. Make "
            "records with --dynamic_masking=false, or distil from a live "
            "teacher."
        )
    if records.knowledge is not None:
        raise ValueError(
            f"{records.path} holds knowledge already: {records.knowledge}."
        )
    added = codec.features(positions.length, vocabulary_size)
    layout = records.schema.layout
    return (
        Schema(added, layout),
        Schema((*records.schema.features, *added), layout),
    )


def extract_shards(
    records: RecordSet,
    teacher: MaskedLM,
    codec: Codec,
    added: Schema,
    writer: RecordSetWriter,
    *,
    replicas: Replicas,
    batch_size: int,
) -> dict[str, int]:
    """Write the missing shards, each process its share, and finish the set.

    All processes must call it, and see the same folder.

    Args:
        records: The inputs, with masks.
        teacher: The model to ask.
        codec: How its answers are stored.
        added: Schema of what the codec adds.
        writer: The set to write; shards have the names of the inputs'.
        replicas: Where the teacher runs.
        batch_size: Examples in the batch of a device. Of more examples at
            a time the last bits may be others.

    Returns:
        `shards` and `examples` that this call has written, all processes
        together.

    Raises:
        ValueError: A process does not see the folder.
    """

    def begin() -> list[str]:
        writer.begin()
        return writer.missing()

    missing = set(from_chief(replicas, begin))
    writer.join()
    mine = share(
        replicas, [s for s in records.shards if s.path.name in missing]
    )

    def ask(batch: Batch) -> dict[str, tf.Tensor]:
        outputs = teacher(batch, reads=frozenset({"logits"}), noise=None)
        return codec.encode(outputs["logits"])

    compiled = replicas.compile_map(ask)
    total = sum(shard.examples for shard in mine)
    with Progress(
        "extracting",
        total,
        unit=" examples",
        shown=replicas.process.is_chief,
    ) as progress:
        for shard in mine:
            with writer.shard(shard.path.name) as out:
                for example in _answered(
                    records,
                    shard,
                    compiled,
                    added,
                    batch_size * replicas.num_local,
                ):
                    out.add_serialized(example)
                    progress.advance(1)
    written = replicas.gather(f"{len(mine)} {total}")
    if replicas.process.is_chief:
        writer.finished = writer.finish()
    shards, counts = zip(*(map(int, x.split()) for x in written), strict=True)
    return {"shards": sum(shards), "examples": sum(counts)}


def _answered(
    records: RecordSet,
    shard: Shard,
    ask: Any,
    added: Schema,
    batch_size: int,
) -> Any:
    """Yield a shard's examples with the teacher's answers, serialised."""
    one = dataclasses.replace(records, shards=(shard,))
    serialized = tf.data.TFRecordDataset(str(shard.path)).batch(batch_size)
    if shard.examples == 0:
        return
    batches = evaluation_batches(
        one, batch_size=batch_size, process_slice=(0, batch_size)
    )
    for batch, inputs in zip(batches, serialized, strict=True):
        answers = {k: v.numpy() for k, v in ask(batch).items()}
        weights = batch["masked_lm_weights"].numpy()
        for row, example in enumerate(inputs.numpy()):
            yield _merged(example, answers, row, weights[row], added)


def _merged(
    example: bytes,
    answers: dict[str, np.ndarray],
    row: int,
    weights: np.ndarray,
    added: Schema,
) -> bytes:
    # The published layout keeps answers for padded slots too.
    slots = len(weights) if added.layout == "plain" else int(weights.sum())
    proto = tf.train.Example.FromString(example)
    proto.MergeFromString(
        added.encode({k: v[row, :slots].ravel() for k, v in answers.items()})
    )
    return proto.SerializeToString(deterministic=True)
