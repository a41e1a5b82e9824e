"""Gathers what a run is made of: task, replicas, records, models, objectives.

Commands call these functions with option groups.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
from absl import logging

from tfdistill.config.fields import Options
from tfdistill.config.options import Devices, General, Knowledge, Training
from tfdistill.distillation import Context, Objective, Teacher
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.models.generators import in_groups
from tfdistill.models.outputs import Model
from tfdistill.records import RecordSet, read_feature
from tfdistill.replicas import (
    Replicas,
    check_same,
    fingerprint_of_code,
    make_replicas,
)
from tfdistill.tasks import Task
from tfdistill.text.tokenizer import Pieces
from tfdistill.text.words import Words


def start_replicas(devices: Devices, *groups: Options) -> Replicas:
    """Make the replicas; all processes must run one code with one set of flags.

    Raises:
        ValueError: They do not, or `make_replicas` refuses.
    """
    replicas = make_replicas(devices.replicas, devices.num_devices)
    if not replicas.process.is_alone:
        logging.info(
            "%d %s replicas in %d processes.",
            replicas.num_replicas,
            replicas.name,
            replicas.process.count,
        )
    settings = (dataclasses.asdict(group).items() for group in groups)
    check_same(
        replicas,
        {"code": fingerprint_of_code()}
        | {f"--{name}": value for group in settings for name, value in group},
    )
    return replicas


def load_for(
    task: Task, folder: str, needs: tuple[str, ...] | None = None
) -> LoadedModel:
    """Load a model of a task; it must have what the task's logits need.

    Its classes are put into the order of the task's.

    Args:
        task: The task.
        folder: The model's.
        needs: Parts that it must have instead.

    Raises:
        ValueError: as `load_model`.
    """
    return load_model(
        folder,
        heads=task.heads,
        num_classes=task.num_classes,
        classes=task.classes,
        needs=task.needs if needs is None else needs,
    )


def load_teacher(
    task: Task,
    folder: str,
    knowledge: Knowledge,
    needs: tuple[str, ...] | None = None,
) -> LoadedModel:
    """Load a model that is to be asked; see `load_for`."""
    loaded = load_for(task, folder, needs)
    return in_groups(loaded, knowledge.cmlm_groups)


def objective_context(
    task: Task,
    records: RecordSet,
    student: Model,
    teacher: Model | None,
    replicas: Replicas,
    general: General,
    training: Training,
) -> Context:
    """Returns what objectives are bound to.

    Where there is no live teacher, records may hold one's knowledge.
    """
    name = task.example_labels
    recorded = records.identity.get("teacher_shape", {})
    shape = BertConfig(**recorded) if "num_layers" in recorded else None
    if teacher is not None:
        shape = _layered(teacher)
    has_labels = records.schema.feature(name) is not None
    return Context(
        targets=task.targets,
        soft_target=task.soft_target,
        student=_layered(student),
        teacher=shape,
        example_labels=(
            functools.partial(_read_labels, records, name)
            if has_labels
            else None
        ),
        scope=replicas.scope,
        num_steps=training.num_train_steps,
        seed=general.random_seed,
    )


def _layered(model: Model) -> BertConfig | None:
    """Returns the shape of a model whose layers can be compared."""
    config = model.config
    return config if isinstance(config, BertConfig) else None


def _read_labels(records: RecordSet, name: str) -> np.ndarray:
    return read_feature(records, name).reshape(records.examples)


def with_steps(training: Training, records: RecordSet) -> Training:
    """Returns the options with the steps that --num_train_epochs stands for.

    The number of steps is rounded down, as in the published scripts.
    """
    if training.train_batch_tokens:
        for name, value in (
            ("num_train_epochs", training.num_train_epochs),
            ("length_window", training.length_window > 1),
            ("learning_rate_scaling", training.learning_rate_scaling != "none"),
        ):
            if value:
                raise ValueError(
                    f"--{name} does not go with --train_batch_tokens, whose "
                    "batches differ in how many examples they have."
                )
    if not training.num_train_epochs:
        return training
    steps = int(
        records.examples / training.train_batch_size * training.num_train_epochs
    )
    return dataclasses.replace(
        training,
        num_train_steps=max(steps, 1),
        num_warmup_steps=int(steps * training.warmup_proportion),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembly:
    """What a training run is made of.

    Attributes:
        student: The model to train.
        parts: Its parts that hold more than random weights.
        records: What it is trained on.
        tokenizer: Of the records.
        vocabulary: What makes text into the student's ids, of pieces or of
            words; it is saved with it.
        objectives: What it learns.
        teacher: Where objectives find what the teacher says, if anywhere.
        live: The teacher in memory, if any, to be compared with in
            evaluations.
        lineage: Fingerprints of what the run depends on, for its config.
    """

    student: Model
    parts: frozenset[str]
    records: RecordSet
    tokenizer: Pieces
    vocabulary: Pieces | Words
    objectives: list[Objective]
    teacher: Teacher | None
    live: Model | None
    lineage: dict[str, Any]
