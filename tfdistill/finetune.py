"""Trains or adapts a masked LM on records, from labels alone.

python -m tfdistill.finetune --model=DIR --records=DIR --run_dir=DIR
"""

import dataclasses
from typing import Any

from tfdistill import assembly, experiment
from tfdistill.agreement import tokenizer_of
from tfdistill.config import run_command
from tfdistill.config.options import (
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


def finetune(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    training: Training,
) -> dict[str, Any]:
    """Train or adapt a masked LM on records, from labels alone."""
    task = assembly.find_task(general.task)
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge, training
    )
    records = open_record_set(artefacts.records)
    tokenizer = tokenizer_of(
        records, None, artefacts.vocab_file, corpus.do_lower_case
    )
    # Labels are the only objectives here, whatever the flagfile gives.
    has_pairs = records.schema.feature("next_sentence_labels") is not None
    specs = ("labels", "next_sentence") if has_pairs else ("labels",)
    training = dataclasses.replace(training, objective=specs)
    declared = declare_objectives(specs, OBJECTIVES)
    with replicas.scope():
        start = build_student(
            artefacts.model,
            tokenizer=tokenizer,
            teacher=None,
            seed=general.random_seed,
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
        needs=("model", "records", "run_dir"),
        example="--model=bert --records=records/wiki --run_dir=runs/teacher",
    )
