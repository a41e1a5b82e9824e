"""Gathers what a run is made of: task, replicas, records, models, objectives.

Commands call these functions with option groups.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
from absl import logging

from tfdistill.config.fields import Options
from tfdistill.config.options import Devices, General, Training
from tfdistill.distillation import Context, Objective, Teacher
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.records import RecordSet, read_feature
from tfdistill.replicas import (
    Replicas,
    check_same,
    fingerprint_of_code,
    make_replicas,
)
from tfdistill.tasks import TASKS, Task
from tfdistill.text.tokenizer import Tokenizer


def find_task(name: str) -> Task:
    """Look up a task.

    Raises:
        ValueError: It is not known.
    """
    if name not in TASKS:
        raise ValueError(f"Unknown task {name!r}. Known: {', '.join(TASKS)}.")
    return TASKS[name]


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


def objective_context(
    task: Task,
    records: RecordSet,
    student: MaskedLM,
    teacher: MaskedLM | None,
    replicas: Replicas,
    general: General,
    training: Training,
) -> Context:
    """Returns what objectives are bound to."""
    name = task.example_labels
    has_labels = records.schema.feature(name) is not None
    return Context(
        targets=task.targets,
        soft_target=task.soft_target,
        student=student.config,
        teacher=teacher.config if teacher else None,
        example_labels=(
            functools.partial(_read_labels, records, name)
            if has_labels
            else None
        ),
        scope=replicas.scope,
        num_steps=training.num_train_steps,
        seed=general.random_seed,
    )


def _read_labels(records: RecordSet, name: str) -> np.ndarray:
    return read_feature(records, name).reshape(records.examples)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembly:
    """What a training run is made of.

    Attributes:
        student: The model to train.
        parts: Its parts that hold more than random weights.
        records: What it is trained on.
        tokenizer: Of the records.
        objectives: What it learns.
        teacher: Where objectives find what the teacher says, if anywhere.
        live: The teacher in memory, if any, to be compared with in
            evaluations.
        lineage: Fingerprints of what the run depends on, for its config.
    """

    student: MaskedLM
    parts: frozenset[str]
    records: RecordSet
    tokenizer: Tokenizer
    objectives: list[Objective]
    teacher: Teacher | None
    live: MaskedLM | None
    lineage: dict[str, Any]
