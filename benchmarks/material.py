"""Random masked-LM material for benchmarks: examples, records and steps."""

import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.distillation import (
    OBJECTIVES,
    Context,
    Teacher,
    TrainStep,
    bind_objectives,
    declare_objectives,
)
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import part_of, variable_names
from tfdistill.records import (
    Batch,
    Codec,
    RecordSet,
    RecordSetWriter,
    Schema,
    Shapes,
    make_codec,
    masked_lm_features,
    training_batches,
)
from tfdistill.replicas import OneDevice, Replicas
from tfdistill.tasks import MLM, Task
from tfdistill.training import Schedule, make_optimizer

PIECES, LENGTH, SLOTS, K = 30522, 128, 20, 10


class Shape(NamedTuple):
    """Tokens and slots of an example, and pieces of the vocabulary."""

    length: int = LENGTH
    slots: int = SLOTS
    pieces: int = PIECES


USUAL = Shape()
TEACHERS = {
    "6 x 384": BertConfig(num_layers=6, hidden_dim=384, num_heads=12),
    "12 x 768": BertConfig(num_layers=12, hidden_dim=768, num_heads=12),
}
STUDENTS = {
    "2 x 128": BertConfig(num_layers=2, hidden_dim=128, num_heads=2),
    "4 x 312": BertConfig(num_layers=4, hidden_dim=312, num_heads=12),
}
PARTS = frozenset({"encoder", "masked_lm"})
Sizes = dict[str, int]


def sizes(config: BertConfig) -> Sizes:
    """Returns what a peer makes the same model of."""
    names = ("vocabulary_size", "num_layers", "hidden_dim", "num_heads")
    return {name: getattr(config, name) for name in names}


def random_inputs(
    rows: int, seed: int = 0, shape: Shape = USUAL
) -> dict[str, np.ndarray]:
    """Returns examples of full length with all their slots, `[rows, …]`."""
    draw = np.random.default_rng(seed)
    tokens, slots = (rows, shape.length), (rows, shape.slots)
    places = np.arange(1, shape.length)
    positions = [
        np.sort(draw.choice(places, shape.slots, replace=False))
        for _ in range(rows)
    ]
    return {
        "input_ids": draw.integers(5, shape.pieces, tokens, np.int32),
        "input_mask": np.ones(tokens, np.int32),
        "segment_ids": np.zeros(tokens, np.int32),
        "masked_lm_positions": np.stack(positions).astype(np.int32),
        "masked_lm_ids": draw.integers(5, shape.pieces, slots, np.int32),
        "masked_lm_weights": np.ones(slots, np.float32),
    }


def tensors(arrays: dict[str, np.ndarray]) -> Batch:
    """Returns the same as tensors."""
    return {name: tf.constant(values) for name, values in arrays.items()}


def for_peer(batch: dict[str, np.ndarray]) -> dict[str, list]:
    """Returns a batch as lists, and its slots' places in all its tokens."""
    rows, length = batch["input_ids"].shape
    places = batch["masked_lm_positions"] + np.arange(rows)[:, None] * length
    slots = places[batch["masked_lm_weights"] > 0]
    kept = ("input_ids", "input_mask", "segment_ids")
    return {n: batch[n].tolist() for n in kept} | {"slots": slots.tolist()}


def top_k_codec(
    k: int = K, layout: str = "packed", shape: Shape = USUAL
) -> Codec:
    """Returns what stores the top k of each slot."""
    return make_codec(
        [f"top_k(k={k})"],
        Shapes(
            layout=layout,
            max_seq_length=shape.length,
            num_slots=shape.slots,
            vocabulary_size=shape.pieces,
            num_classes=0,
        ),
    )


def input_schema(layout: str = "packed", shape: Shape = USUAL) -> Schema:
    """Returns the schema of masked-LM examples without knowledge."""
    features = masked_lm_features(
        max_seq_length=shape.length,
        max_predictions_per_seq=shape.slots,
        vocabulary_size=shape.pieces,
        is_masked=True,
        has_next_sentence=False,
    )
    return Schema(features, layout)


def write_records(
    folder: pathlib.Path,
    examples: Iterable[dict[str, np.ndarray]],
    *,
    k: int = 0,
    layout: str = "packed",
    shape: Shape = USUAL,
) -> RecordSet:
    """Write examples to one shard.

    Args:
        folder: Of the new set.
        examples: Of each what is written, and maybe more.
        k: Pieces kept of each slot; 0: there is no knowledge.
        layout: Of the records.
        shape: Of the examples.
    """
    schema, identity = input_schema(layout, shape), {"task": "mlm"}
    if k:
        added = top_k_codec(k, layout, shape).features()
        schema = Schema((*schema.features, *added), layout)
        identity |= {"knowledge": f"top_k(k={k})"}
    writer = RecordSetWriter(
        str(folder),
        schema=schema,
        identity=identity,
        shard_names=["0.tfrecord"],
        files={},
    )
    names = [feature.name for feature in schema.features]
    with writer.shard("0.tfrecord") as shard:
        for example in examples:
            shard.add({name: example[name] for name in names})
    return writer.finish()


def random_examples(count: int, k: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield examples with knowledge, by the names of both layouts."""
    draw = np.random.default_rng(1)
    for number in range(count):
        inputs = {n: x[0] for n, x in random_inputs(1, number).items()}
        log_probs = -np.sort(draw.exponential(3.0, (SLOTS, k)), axis=-1) - 2
        log_probs -= np.log(np.maximum(np.exp(log_probs).sum(-1), 0.9))[:, None]
        ids = draw.integers(5, PIECES, (SLOTS, k)).ravel()
        tail = np.log(1 - np.minimum(np.exp(log_probs).sum(-1), 0.999))
        yield {
            **inputs,
            "top_k_ids": ids,
            "top_k_indices": ids,
            "top_k_log_probs": log_probs.ravel(),
            "truncated_masked_lm_probs": np.exp(log_probs).ravel(),
            "tail_log_mass": tail,
        }


def as_batch(examples: list[dict[str, np.ndarray]], first: int = 0) -> Batch:
    """Returns what a training step reads of examples with top 10.

    Args:
        examples: As `random_examples` yields them.
        first: Index of the first one in the global batch.
    """
    stacked = {n: np.stack([e[n] for e in examples]) for n in examples[0]}
    rows, codec = len(examples), top_k_codec()
    for feature in codec.features():
        stacked[feature.name] = stacked[feature.name].astype(
            np.int32 if feature.limit else np.float32
        )
    return tensors(stacked) | {
        "is_real_example": tf.ones([rows]),
        "example_index": tf.range(first, first + rows, dtype=tf.int64),
        "record_index": tf.range(first, first + rows, dtype=tf.int64),
        "step": tf.zeros([rows], tf.int64),
        "is_stopping": tf.zeros([rows]),
    }


def make_student(config: BertConfig) -> tuple[Bert, dict[str, Any]]:
    """Returns a student and its variables that masked LMs train, by name."""
    student = Bert(config, seed=1)
    variables = {
        name: variable
        for name, variable in variable_names(student).items()
        if part_of(name) in PARTS
    }
    return student, variables


def soft_target_step(
    config: BertConfig, teacher: Teacher, replicas: Replicas | None = None
) -> Callable[[Batch], dict[str, tf.Tensor]]:
    """Returns a compiled training step on a teacher's soft targets."""
    student, variables = make_student(config)
    return training_step(
        student,
        variables,
        MLM,
        "soft_targets(tail=bucket)",
        teacher,
        shape=student.config,
        replicas=replicas,
        clip_norm=1.0,
    )


def training_step(
    student: Any,
    variables: dict[str, Any],
    task: Task,
    objective: str,
    teacher: Teacher,
    *,
    shape: BertConfig | None = None,
    replicas: Replicas | None = None,
    optimizer: str = "adamw",
    learning_rate: float = 1e-4,
    clip_norm: float = 0.0,
) -> Callable[[Batch], dict[str, tf.Tensor]]:
    """Returns a compiled training step.

    Args:
        student: Any model.
        variables: Its variables that are trained, by name.
        task: What it learns.
        objective: The one that there is.
        teacher: Where that finds what the teacher says.
        shape: The student's, if its layers can be compared.
        replicas: Where it is trained; one device if it is None.
        optimizer: A spec.
        learning_rate: Of all steps.
        clip_norm: Of gradients; 0: none.
    """
    context = Context(
        targets=task.targets,
        soft_target=task.soft_target,
        student=shape,
        teacher=None,
        num_steps=1000,
        seed=1,
    )
    return TrainStep(
        student=student,
        variables=list(variables.values()),
        objectives=bind_objectives(
            declare_objectives((objective,), OBJECTIVES), context
        ),
        teacher=teacher,
        optimizer=make_optimizer(
            optimizer, Schedule("constant", learning_rate, 0, 1000), variables
        ),
        replicas=replicas or OneDevice(),
        accumulation_steps=1,
        clip_norm=clip_norm,
        seed=1,
    ).compiled()


def trainable(model: Any) -> dict[str, Any]:
    """Returns the variables of a model that can be trained, by name."""
    return {n: v for n, v in variable_names(model).items() if v.trainable}


def stream(records: RecordSet, batch_size: int) -> Iterator[Batch]:
    """Yield training batches without end."""
    return training_batches(
        records,
        batch_size=batch_size,
        seed=1,
        shuffle_buffer_size=records.examples,
        first_step=0,
        process_slice=(0, batch_size),
    )
