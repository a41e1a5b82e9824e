"""Assembles runs: task, records, models, teacher and objectives.

Commands call these functions with option groups; everything below takes
plain values.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import logging

from tfdistill.agreement import check_length
from tfdistill.config.command import flags_of
from tfdistill.config.fields import Options
from tfdistill.config.options import (
    Artefacts,
    Devices,
    General,
    Knowledge,
    Training,
)
from tfdistill.distillation import Objective, Teacher, TrainStep
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.models.weights import (
    count_parameters,
    part_of,
    variable_names,
)
from tfdistill.records import (
    RecordSet,
    open_record_set,
    training_batches,
)
from tfdistill.replicas import (
    Replicas,
    check_same,
    fingerprint_of_code,
    from_chief,
    make_replicas,
)
from tfdistill.scoring import score
from tfdistill.tasks import TASKS, Task
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.training import (
    Cadence,
    RunDirectory,
    Schedule,
    find_result,
    make_optimizer,
    scaled_rate,
    train,
)

# Options that change how a run is done, but not what it computes.
_NOT_OF_THE_RESULT = {
    "save_checkpoints_steps",
    "keep_checkpoint_max",
    "log_every_steps",
    "objective",
}


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembly:
    """What a training run is made of.

    Attributes:
        student: The model to train.
        parts: Its parts that hold more than random weights.
        records: What it is trained on.
        tokenizer: Of the records.
        objectives: What it learns.
        teacher: Where soft objectives find distributions, if anywhere.
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


def run_training(
    assembly: Assembly,
    task: Task,
    replicas: Replicas,
    artefacts: Artefacts,
    general: General,
    knowledge: Knowledge,
    training: Training,
) -> dict[str, Any]:
    """Train a student, evaluate it, and save it in its run directory.

    The directory is made once everything has been checked.
    """
    config = _config(assembly, general, training)
    check_same(replicas, config)
    result = from_chief(
        replicas, lambda: find_result(artefacts.run_dir, config)
    )
    if result is not None:
        logging.info("%s is finished already.", artefacts.run_dir)
        return result
    records = assembly.records.with_vocabulary(
        len(assembly.tokenizer.vocabulary)
    )
    _check_targets(assembly, training, task)
    check_length(assembly.student, records, "student")
    if assembly.live is not None:
        check_length(assembly.live, records, "teacher")
    process_slice = _divide(training, replicas)
    trained = frozenset(o.part for o in assembly.objectives) | {"encoder"}
    names = variable_names(assembly.student)
    variables = {
        name: variable
        for name, variable in names.items()
        if part_of(name) in trained
    }
    with replicas.scope():
        optimizer = make_optimizer(
            training.optimizer,
            Schedule(
                training.schedule,
                scaled_rate(
                    training.learning_rate,
                    training.learning_rate_scaling,
                    training.train_batch_size / training.base_batch_size,
                ),
                training.num_warmup_steps,
                training.num_train_steps,
            ),
            variables,
        )
    step = TrainStep(
        student=assembly.student,
        variables=list(variables.values()),
        objectives=assembly.objectives,
        teacher=assembly.teacher,
        optimizer=optimizer,
        replicas=replicas,
        accumulation_steps=training.accumulation_steps,
        clip_norm=training.clip_norm,
        seed=general.random_seed,
        compression=training.gradient_compression,
    )
    parts = assembly.parts | trained
    if "next_sentence" in trained:
        parts |= {"pooler"}
    evaluate_now = None
    if artefacts.eval_records:
        held_out = open_record_set(artefacts.eval_records)
        held_out.check_tokenizer(
            assembly.tokenizer.fingerprint, assembly.records.path
        )
        evaluate_now = score(
            assembly.student,
            parts,
            assembly.live,
            held_out,
            assembly.tokenizer,
            task,
            replicas,
            batch_size=knowledge.predict_batch_size,
            seed=general.random_seed,
            max_batches=training.max_eval_steps,
        )
    if training.early_stop_metric:
        _check_watched(training.early_stop_metric, evaluate_now)
    transform = task.transform(records, assembly.tokenizer, general.random_seed)
    run = None
    if replicas.process.is_chief:
        run = RunDirectory(
            artefacts.run_dir,
            config=config,
            flag_lines=flags_of(artefacts, general, knowledge, training),
            keep_checkpoint_max=training.keep_checkpoint_max,
        )
    result = train(
        replicas.compile(step.__call__),
        batches=lambda first_step: training_batches(
            records,
            batch_size=training.train_batch_size,
            seed=general.random_seed,
            shuffle_buffer_size=training.shuffle_buffer_size,
            first_step=first_step,
            process_slice=process_slice,
            transform=transform,
        ),
        state={f"model/{n}": v for n, v in names.items()}
        | {f"optimizer/{i:04d}": v for i, v in enumerate(optimizer.variables)},
        run=run,
        cadence=Cadence(
            num_train_steps=training.num_train_steps,
            log_every_steps=training.log_every_steps,
            eval_every_steps=training.eval_every_steps
            or training.save_checkpoints_steps,
            save_checkpoints_steps=training.save_checkpoints_steps,
            early_stop_metric=training.early_stop_metric,
            higher_is_better=task.metrics.get(training.early_stop_metric, True),
            early_stop_patience=training.early_stop_patience,
        ),
        evaluate=evaluate_now,
        replicas=replicas,
    )
    result |= {
        "run_dir": artefacts.run_dir,
        "parameters": count_parameters(assembly.student, parts),
        "replicas": replicas.name,
        "world_size": replicas.num_replicas,
    }
    if run is not None:
        _save(assembly, parts, run)
        run.finish(result)
        run.close()
    return result


def _check_targets(assembly: Assembly, training: Training, task: Task) -> None:
    transformed = {"masked_lm_ids", "is_real_example"}
    known = {f.name for f in assembly.records.schema.features} | transformed
    for objective in assembly.objectives:
        if objective.labels not in known:
            raise ValueError(
                f"--objective={objective.name} reads "
                f"{objective.labels}, which {assembly.records.path} does "
                f"not hold."
            )
    watched = training.early_stop_metric
    if watched and watched not in task.metrics:
        raise ValueError(
            f"Unknown metric {watched!r}. Known: {', '.join(task.metrics)}."
        )


def _check_watched(
    watched: str, evaluate: Callable[..., dict[str, float]] | None
) -> None:
    if evaluate is None:
        raise ValueError(f"--early_stop_metric={watched} needs --eval_records.")
    logging.info("One batch is evaluated to see whether it has %s.", watched)
    found = evaluate(1)
    if watched not in found:
        raise ValueError(
            f"--early_stop_metric={watched} is not in what evaluations give "
            f"here: {', '.join(found)}."
        )


def _divide(training: Training, replicas: Replicas) -> tuple[int, int]:
    """Returns this process's slice of a batch, proving that all divides."""
    process_slice = replicas.process_slice(training.train_batch_size)
    part = training.train_batch_size // replicas.num_replicas
    if part % training.accumulation_steps:
        raise ValueError(
            f"A replica's {part} examples do not divide into "
            f"--accumulation_steps={training.accumulation_steps} parts."
        )
    return process_slice


def _config(
    assembly: Assembly, general: General, training: Training
) -> dict[str, Any]:
    chosen = {
        name: value
        for name, value in dataclasses.asdict(training).items()
        if name not in _NOT_OF_THE_RESULT
    }
    return {
        "task": general.task,
        "random_seed": general.random_seed,
        "objectives": list(training.objective),
        **chosen,
        "student": dataclasses.asdict(assembly.student.config),
        **assembly.lineage,
        "records": assembly.records.fingerprint,
    }


def _save(assembly: Assembly, parts: frozenset[str], run: RunDirectory) -> None:
    model, tokenizer = assembly.student, assembly.tokenizer
    save_model(
        model,
        tokenizer.vocabulary,
        do_lower_case=tokenizer.do_lower_case,
        parts=parts,
        path=run.path,
    )
    try:
        save_preset(
            model,
            tokenizer.vocabulary,
            do_lower_case=tokenizer.do_lower_case,
            parts=parts,
            path=run.path / "export" / "preset",
        )
    except ValueError as error:
        logging.warning("No keras-nlp preset was written: %s", error)
