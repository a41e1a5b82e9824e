"""Runs the training of what has been assembled."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import keras
import tensorflow as tf
from absl import logging

from tfdistill.agreement import check_length
from tfdistill.assembly import Assembly
from tfdistill.batching import training_stream
from tfdistill.config.command import flags_of
from tfdistill.config.options import (
    Answering,
    Artefacts,
    General,
    Knowledge,
    Training,
)
from tfdistill.distillation import TrainStep
from tfdistill.held_out import HeldOut, watched_metric
from tfdistill.launcher import peak_memory
from tfdistill.models.bert import Bert, recompute_layers
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.weights import (
    count_parameters,
    part_of,
    variable_names,
)
from tfdistill.records import Batch
from tfdistill.replicas import Replicas, check_same, from_chief
from tfdistill.tasks import Task
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
    "gradient_checkpointing",
    "log_every_steps",
    "objective",
    # The steps that follow from these are there.
    "num_train_epochs",
    "warmup_proportion",
}


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
    config = _config(assembly, task, general, training)
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
    if training.gradient_checkpointing:
        recompute_layers(assembly.student)
    stream_from = training_stream(
        records,
        training,
        replicas,
        seed=general.random_seed,
        transform=task.transform(
            records, assembly.tokenizer, general.random_seed
        ),
    )
    weights = _weights(assembly)
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
            weights.learnt,
        )
    step = TrainStep(
        student=assembly.student,
        variables=list(weights.learnt.values()),
        objectives=assembly.objectives,
        teacher=assembly.teacher,
        optimizer=optimizer,
        replicas=replicas,
        accumulation_steps=training.accumulation_steps,
        clip_norm=training.clip_norm,
        seed=general.random_seed,
        compression=training.gradient_compression,
    )
    held_out = None
    if artefacts.eval_records:
        held_out = HeldOut(
            assembly,
            _parts(assembly),
            task,
            replicas,
            artefacts.eval_records,
            batch_size=knowledge.predict_batch_size,
            max_batches=training.max_eval_steps,
        )
    watched = watched_metric(training.early_stop_metric, task, held_out)
    run = None
    if replicas.process.is_chief:
        run = RunDirectory(
            artefacts.run_dir,
            config=config,
            flag_lines=flags_of(
                artefacts, general, knowledge, training, *_answering(task)
            ),
            keep_checkpoint_max=training.keep_checkpoint_max,
        )

    def batches(first_step: int) -> Iterator[Batch]:
        stream = stream_from(first_step)
        if first_step or not weights.remembered:
            return stream
        first = next(stream)
        step.prepare(first | {"step": tf.zeros_like(first["example_index"])})
        return itertools.chain([first], stream)

    result = train(
        step.compiled(),
        batches=batches,
        state=weights.state
        | {f"optimizer/{i:04d}": v for i, v in enumerate(optimizer.variables)},
        run=run,
        cadence=Cadence(
            num_train_steps=training.num_train_steps,
            log_every_steps=training.log_every_steps,
            eval_every_steps=training.eval_every_steps
            or training.save_checkpoints_steps,
            save_checkpoints_steps=training.save_checkpoints_steps,
            early_stop_metric=watched,
            higher_is_better=task.metrics.get(watched, True),
            early_stop_patience=training.early_stop_patience,
        ),
        evaluate=held_out.evaluate if held_out else None,
        replicas=replicas,
        samples=held_out.samples if held_out else None,
    )
    parts = _parts(assembly)
    result |= {
        "best_metric": task.best_metric,
        "higher_is_better": task.metrics[task.best_metric],
        "run_dir": artefacts.run_dir,
        "parameters": count_parameters(assembly.student, parts),
        "replicas": replicas.name,
        "world_size": replicas.num_replicas,
        "peak_memory_bytes": peak_memory(),
    }
    if run is not None:
        _save(assembly, parts, run)
        run.finish(result)
        run.close()
    return result


class _Weights(NamedTuple):
    """Variables by name.

    Attributes:
        learnt: What the optimizer changes.
        remembered: What objectives keep from step to step.
        state: All that a checkpoint holds, the optimizer's apart.
    """

    learnt: dict[str, keras.Variable]
    remembered: dict[str, keras.Variable]
    state: dict[str, keras.Variable]


def _weights(assembly: Assembly) -> _Weights:
    trained = _trained(assembly)
    student = variable_names(assembly.student)
    learnt_beside = {
        f"{objective.name}/{name}": variable
        for objective in assembly.objectives
        for name, variable in objective.loss.variables.items()
    }
    remembered = {
        f"{objective.name}/{name}": variable
        for objective in assembly.objectives
        if objective.loss.memory is not None
        for name, variable in objective.loss.memory.variables.items()
    }
    of_student = {
        name: variable
        for name, variable in student.items()
        if part_of(name) in trained and variable.trainable
    }
    return _Weights(
        learnt=of_student | learnt_beside,
        remembered=remembered,
        state={f"model/{n}": v for n, v in student.items()}
        | {
            f"objectives/{n}": v
            for n, v in (learnt_beside | remembered).items()
        },
    )


def _trained(assembly: Assembly) -> frozenset[str]:
    """Returns the parts of the student that some objective trains."""
    return frozenset[str]().union(*(o.loss.trains for o in assembly.objectives))


def _parts(assembly: Assembly) -> frozenset[str]:
    """Returns the parts of the student that are kept."""
    return assembly.parts | _trained(assembly)


def _check_targets(assembly: Assembly, training: Training, task: Task) -> None:
    transformed = {
        "masked_lm_ids",
        "masked_lm_weights",
        "next_ids",
        "next_weights",
        "is_real_example",
    }
    features = assembly.records.schema.features
    known = {n for f in features for n in (f.name, f.mask)} | transformed
    for objective in assembly.objectives:
        missing = objective.loss.batch_reads - known
        if missing:
            raise ValueError(
                f"--objective={objective.name} reads {min(missing)}, which "
                f"{assembly.records.path} does not hold."
            )
    watched = training.early_stop_metric
    if watched not in ("", "auto", *task.metrics):
        raise ValueError(
            f"Unknown metric {watched!r}. Known: {', '.join(task.metrics)}."
        )


def _answering(task: Task) -> list[Answering]:
    return [] if task.answering is None else [task.answering]


def _config(
    assembly: Assembly, task: Task, general: General, training: Training
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
        **{k: v for x in _answering(task) for k, v in vars(x).items()},
        "student": dataclasses.asdict(assembly.student.config),
        **assembly.lineage,
        "records": assembly.records.fingerprint,
    }


def _save(assembly: Assembly, parts: frozenset[str], run: RunDirectory) -> None:
    model, tokenizer = assembly.student, assembly.vocabulary
    save_model(
        model,
        tokenizer,
        parts=parts,
        path=run.path,
        labels=assembly.records.identity.get("labels", ()),
    )
    if not isinstance(model, Bert):
        return
    try:
        save_preset(
            model,
            # No BERT has another.
            cast(Tokenizer, tokenizer),
            parts=parts,
            path=run.path / "export" / "preset",
        )
    except ValueError as error:
        logging.warning("No keras-nlp preset was written: %s", error)
