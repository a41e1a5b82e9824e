"""Extraction: a teacher's knowledge is added to records.

Each process does its share of the missing shards and needs nothing of the
others. A run that was killed goes on with the shards that are missing or
damaged; the bytes come out the same.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.conditional import ConditionalConfig, ConditionalLM
from tfdistill.models.configuration import BertConfig
from tfdistill.models.outputs import Model
from tfdistill.progress import Progress
from tfdistill.records import (
    HEAD_STATES,
    Batch,
    Codec,
    OutputLayer,
    RecordSet,
    RecordSetWriter,
    Schema,
    evaluation_batches,
    serialized_batches,
)
from tfdistill.records.shards import Shard
from tfdistill.replicas import Map, Replicas, from_chief, share

# Batches of answers that are kept until their examples' turn has come: at
# 100 KB an example, of 32 a batch, 100 MB.
_LENGTH_WINDOW = 32


def check_open(records: RecordSet) -> None:
    """Refuse records that no knowledge can be added to.

    Raises:
        ValueError: They are masked anew in every epoch, or hold knowledge.
    """
    if records.identity.get("settings", {}).get("dynamic_masking"):
        raise ValueError(
            f"{records.path} is masked anew in every epoch, so there is "
            "nothing that a teacher's answers could be stored for. Make "
            "records with --dynamic_masking=false, or distil from a live "
            "teacher."
        )
    if records.knowledge:
        raise ValueError(
            f"{records.path} holds knowledge already: "
            f"{', '.join(records.knowledge)}."
        )


def knowledge_schema(records: RecordSet, codec: Codec) -> tuple[Schema, Schema]:
    """Returns the schemas of what is added and of the whole."""
    added = codec.features()
    return (
        dataclasses.replace(records.schema, features=added),
        dataclasses.replace(
            records.schema, features=(*records.schema.features, *added)
        ),
    )


def teacher_shape(teacher: Model) -> dict[str, Any]:
    """Returns what of a teacher the shapes of its knowledge follow from.

    The layers of a conditional masked LM cannot be stored: they read a source
    and a target that is masked otherwise in each pass.
    """
    config = teacher.config
    if isinstance(config, ConditionalConfig):
        return {"hidden_dim": config.bert.hidden_dim}
    if isinstance(config, BertConfig):
        return {
            "num_layers": config.num_layers,
            "hidden_dim": config.hidden_dim,
            "num_heads": config.num_heads,
        }
    return {}


def knowledge_files(codec: Codec, teacher: Model) -> dict[str, bytes]:
    """Returns what of the teacher is stored once a set, by file."""
    if HEAD_STATES not in codec.reads:
        return {}
    return output_layer_of(teacher).files()


def output_layer_of(teacher: Model) -> OutputLayer:
    """Returns a masked LM's output layer.

    Raises:
        ValueError: It is no masked LM.
    """
    if not isinstance(teacher, Bert | ConditionalLM):
        raise ValueError("hidden is for masked LMs.")
    kernel, bias = teacher.output_layer()
    return OutputLayer(kernel.numpy(), bias.numpy())


def extract_shards(
    records: RecordSet,
    teacher: Model,
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
            a time, or others, the last bits may be others, so it belongs
            to the identity of the set.

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
        said = teacher(batch, reads=codec.reads, noise=None)
        return codec.encode(said | {"record_index": batch["record_index"]})

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
                    batch_size,
                    replicas.num_local,
                    progress,
                ):
                    out.add_serialized(example)
    written = replicas.gather(f"{len(mine)} {total}")
    if replicas.process.is_chief:
        writer.finished = writer.finish()
    shards, counts = zip(*(map(int, x.split()) for x in written), strict=True)
    return {"shards": sum(shards), "examples": sum(counts)}


def _answered(
    records: RecordSet,
    shard: Shard,
    ask: Map,
    added: Schema,
    batch_size: int,
    num_devices: int,
    progress: Progress,
) -> Iterator[bytes]:
    """Yield a shard's examples with the teacher's answers, serialised.

    They are asked about in order of length, a window at a time, so that
    little is padded, and come in their own order. Which examples make a
    batch depends on the shard alone: the last bits of answers hang on it.
    """
    if shard.examples == 0:
        return
    one = dataclasses.replace(records, shards=(shard,))
    before = records.shards[: records.shards.index(shard)]
    first = sum(other.examples for other in before)
    batches = evaluation_batches(
        one,
        batch_size=batch_size,
        process_slice=(0, batch_size),
        length_window=_LENGTH_WINDOW,
    )
    windows = serialized_batches(one, batch_size * _LENGTH_WINDOW)
    for number, inputs in enumerate(windows):
        mine = itertools.islice(batches, math.ceil(len(inputs) / batch_size))
        stored: dict[int, bytes] = {}
        while group := list(itertools.islice(mine, num_devices)):
            places = [batch["record_index"].numpy() for batch in group]
            for batch in group:
                # Draws of a codec belong to the example's place in the set.
                batch["record_index"] += first
            for batch, answers, place in zip(
                group, ask(group), places, strict=True
            ):
                found = encode_answers(answers, batch, added)
                # Others are copies that fill up the last batch.
                real = place[place < shard.examples]
                stored |= zip(real.tolist(), found, strict=False)
                progress.advance(len(real))
        start = number * batch_size * _LENGTH_WINDOW
        for place, example in enumerate(inputs.numpy(), start):
            yield added.join(example, stored[place])


def encode_answers(
    answers: Mapping[str, tf.Tensor], batch: Batch, added: Schema
) -> list[bytes]:
    """Returns what is stored of each example of a batch.

    Args:
        answers: A codec's features, padded as the batch is.
        batch: The examples, with masks of what is theirs.
        added: Schema of the codec's features.
    """
    arrays = {k: v.numpy() for k, v in answers.items()}
    masks = {"L": "input_mask", "P": "masked_lm_weights"}
    counts = {
        axis: batch[mask].numpy().sum(1).astype(int)
        for axis, mask in masks.items()
        if mask in batch
    }
    examples = []
    for row in range(len(batch["input_mask"])):
        own: dict[Any, int] = {k: int(v[row]) for k, v in counts.items()}
        examples.append(
            {
                f.name: arrays[f.name][row][
                    tuple(slice(own.get(axis)) for axis in f.axes)
                ].ravel()
                for f in added.features
            }
        )
    return added.encode_all(examples)
