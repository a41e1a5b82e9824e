"""Assembles runs: task, records, models, teacher and objectives.

Commands call these functions with option groups; everything below takes
plain values.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from absl import logging

from tfdistill.config.command import flags_of
from tfdistill.config.options import (
    Artefacts,
    General,
    Knowledge,
    Training,
)
from tfdistill.distillation import (
    Objective,
    Teacher,
    TrainStep,
    live_teacher,
    recorded_teacher,
)
from tfdistill.files import write_atomically
from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.models.formats.preset import save_preset
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.models.weights import variable_names
from tfdistill.records import (
    RecordSet,
    evaluation_batches,
    open_record_set,
    training_batches,
)
from tfdistill.replicas import Replicas
from tfdistill.tasks import TASKS, Task
from tfdistill.text.tokenizer import Tokenizer, read_vocabulary
from tfdistill.training import (
    Cadence,
    RunDirectory,
    Schedule,
    evaluate,
    make_optimizer,
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


def tokenizer_of(
    records: RecordSet, model: LoadedModel | None, vocab_file: str, casing: bool
) -> Tokenizer:
    """Find the vocabulary of records: their own, a model's, or a file.

    All that are known must agree.

    Raises:
        ValueError: They differ, or there is none.
    """
    if records.vocabulary_file is not None:
        tokenizer = Tokenizer(
            read_vocabulary(records.vocabulary_file),
            do_lower_case=records.identity["do_lower_case"],
            source=str(records.vocabulary_file),
        )
    elif model is not None:
        tokenizer = Tokenizer(
            model.vocabulary, do_lower_case=model.do_lower_case
        )
    elif vocab_file:
        tokenizer = Tokenizer(
            read_vocabulary(vocab_file), do_lower_case=casing, source=vocab_file
        )
    else:
        raise ValueError(
            f"{records.path} does not say which vocabulary it was made "
            "with; --vocab_file is needed."
        )
    records.check_tokenizer(tokenizer.fingerprint, "its own vocab.txt")
    if vocab_file:
        given = Tokenizer(
            read_vocabulary(vocab_file),
            do_lower_case=tokenizer.do_lower_case,
            source=vocab_file,
        )
        records.check_tokenizer(given.fingerprint, vocab_file)
    if model is not None:
        check_vocabulary(model, tokenizer, records.path)
    return tokenizer


def check_vocabulary(
    model: LoadedModel, tokenizer: Tokenizer, whose: str
) -> None:
    """Refuse a model whose vocabulary differs from that of records.

    Raises:
        ValueError: It differs.
    """
    theirs = Tokenizer(model.vocabulary, do_lower_case=model.do_lower_case)
    if theirs.fingerprint != tokenizer.fingerprint:
        raise ValueError(
            f"The model has another vocabulary or casing "
            f"({theirs.fingerprint[:12]}…, {len(model.vocabulary)} pieces) "
            f"than {whose} ({tokenizer.fingerprint[:12]}…, "
            f"{len(tokenizer.vocabulary)} pieces)."
        )


def score(
    model: MaskedLM,
    parts: frozenset[str],
    teacher: MaskedLM | None,
    records: RecordSet,
    tokenizer: Tokenizer,
    task: Task,
    replicas: Replicas,
    *,
    batch_size: int,
    seed: int,
    max_batches: int = 0,
) -> Callable[[], dict[str, float]]:
    """Returns a function that evaluates a model on held-out records.

    The step is compiled once, so the function may be called while the model
    is trained.
    """
    reads = frozenset({"logits"})
    if "next_sentence" in parts:
        reads |= {"next_sentence_logits"}
    num_batches = math.ceil(records.examples / batch_size)
    if max_batches:
        num_batches = min(num_batches, max_batches)

    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        theirs = None
        if teacher is not None:
            theirs = teacher(batch, reads=frozenset({"logits"}), noise=None)
        ours = model(batch, reads=reads, noise=None)
        return replicas.sum(task.sums(ours, batch, theirs))

    compiled = replicas.compile(step)

    def run() -> dict[str, float]:
        batches = evaluation_batches(
            records,
            batch_size=batch_size,
            process_slice=replicas.process_slice(batch_size),
            transform=task.transform(records, tokenizer, seed),
        )
        return evaluate(
            compiled,
            batches,
            task.finish,
            num_batches=num_batches,
            shown=replicas.is_chief,
        )

    return run


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
    """Train a student, evaluate it, and save it in its run directory."""
    _check_targets(assembly, training, task)
    trained = frozenset(o.part for o in assembly.objectives) | {"encoder"}
    names = variable_names(assembly.student)
    variables = {
        name: variable
        for name, variable in names.items()
        if _part_of(name) in trained
    }
    run = RunDirectory(
        artefacts.run_dir,
        config=_config(assembly, general, training),
        flag_lines=flags_of(artefacts, general, knowledge, training),
        keep_checkpoint_max=training.keep_checkpoint_max,
    )
    if run.result is not None:
        logging.info("%s is finished already.", artefacts.run_dir)
        return run.result
    with replicas.scope():
        optimizer = make_optimizer(
            training.optimizer,
            Schedule(
                training.schedule,
                training.learning_rate,
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
    transform = task.transform(
        assembly.records, assembly.tokenizer, general.random_seed
    )
    result = train(
        replicas.compile(step.__call__),
        batches=lambda first_step: training_batches(
            assembly.records,
            batch_size=training.train_batch_size,
            seed=general.random_seed,
            shuffle_buffer_size=training.shuffle_buffer_size,
            first_step=first_step,
            process_slice=replicas.process_slice(training.train_batch_size),
            transform=transform,
        ),
        state={f"model/{n}": v for n, v in names.items()}
        | {
            f"optimizer/{i:04d}": v
            for i, v in enumerate(optimizer.variables)
        },
        run=run,
        cadence=Cadence(
            num_train_steps=training.num_train_steps,
            log_every_steps=training.log_every_steps,
            eval_every_steps=training.eval_every_steps
            or training.save_checkpoints_steps,
            save_checkpoints_steps=training.save_checkpoints_steps,
            early_stop_metric=training.early_stop_metric,
            higher_is_better=task.metrics.get(
                training.early_stop_metric, True
            ),
            early_stop_patience=training.early_stop_patience,
        ),
        evaluate=evaluate_now,
        is_chief=replicas.is_chief,
    )
    if evaluate_now is not None:
        result |= {"eval": evaluate_now()}
    result |= {
        "run_dir": artefacts.run_dir,
        "parameters": count_parameters(assembly.student, parts),
        "replicas": replicas.name,
        "world_size": replicas.num_replicas,
    }
    if replicas.is_chief:
        _save(assembly, parts, run)
        run.finish(result)
    run.close()
    return result


def count_parameters(model: MaskedLM, parts: frozenset[str]) -> int:
    """Returns the number of weights in the given parts of a model."""
    return sum(
        math.prod(variable.shape)
        for name, variable in variable_names(model).items()
        if _part_of(name) in parts
    )


def _part_of(name: str) -> str:
    first = name.split("/")[0]
    if first in ("encoder", "pooler", "next_sentence"):
        return first
    return "masked_lm"


def _check_targets(
    assembly: Assembly, training: Training, task: Task
) -> None:
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


def _save(
    assembly: Assembly, parts: frozenset[str], run: RunDirectory
) -> None:
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


__all__ = [
    "Assembly",
    "check_vocabulary",
    "count_parameters",
    "find_task",
    "live_teacher",
    "load_model",
    "recorded_teacher",
    "run_training",
    "score",
    "tokenizer_of",
    "write_atomically",
]
