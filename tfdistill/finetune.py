"""Trains or adapts a model on records, from labels alone.

python -m tfdistill.finetune --model=DIR --records=DIR --run_dir=DIR
"""

import dataclasses
from typing import Any

from tfdistill import assembly, experiment
from tfdistill.agreement import tokenizer_of, words_of
from tfdistill.config import run_command
from tfdistill.config.options import (
    Answering,
    Artefacts,
    Corpus,
    Devices,
    General,
    Knowledge,
    Training,
)
from tfdistill.distillation import (
    OBJECTIVES,
    bind_objectives,
    declare_objectives,
)
from tfdistill.models.specs import build_student
from tfdistill.records import open_record_set
from tfdistill.tasks import find_task


def finetune(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    training: Training,
    answering: Answering,
) -> dict[str, Any]:
    """Train or adapt a model on records, from labels alone."""
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge, training
    )
    records = open_record_set(artefacts.records)
    task = find_task(general.task, records, answering)
    tokenizer = tokenizer_of(
        records, None, artefacts.vocab_file, corpus.do_lower_case
    )
    # Labels are the only objectives here, whatever the flagfile gives.
    specs = tuple(
        name
        for name, target in task.targets.items()
        if name == "labels" or records.schema.feature(target.labels) is not None
    )
    training = dataclasses.replace(
        assembly.with_steps(training, records), objective=specs
    )
    declared = declare_objectives(specs, OBJECTIVES)
    with replicas.scope():
        start = build_student(
            artefacts.model,
            tokenizer=tokenizer,
            teacher=None,
            seed=general.random_seed,
            heads=task.heads,
            num_classes=task.num_classes,
            classes=task.classes,
            words=words_of(records),
            kind=task.kind,
        )
    objectives = bind_objectives(
        declared,
        assembly.objective_context(
            task, records, start.model, None, replicas, general, training
        ),
    )
    return experiment.run_training(
        assembly.Assembly(
            student=start.model,
            parts=start.parts,
            records=records,
            tokenizer=tokenizer,
            vocabulary=start.tokenizer,
            objectives=objectives,
            teacher=None,
            live=None,
            lineage={"model": start.fingerprint},
        ),
        task,
        replicas,
        artefacts,
        general,
        knowledge,
        training,
    )


if __name__ == "__main__":
    run_command(
        finetune,
        Artefacts,
        General,
        Devices,
        Corpus,
        Knowledge,
        Training,
        Answering,
        needs=("model", "records", "run_dir"),
        examples=(
            "--model=bert --records=records/wiki --run_dir=runs/teacher",
            "--task=sst2 --model=bert --records=records/sst2 "
            "--eval_records=records/sst2-dev --early_stop_metric=auto "
            "--run_dir=runs/sst2",
        ),
    )
