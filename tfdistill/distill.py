"""Trains a student from a recorded or a live teacher.

    python -m tfdistill.distill --knowledge_records=DIR \
        --student='bert(num_layers=4, hidden_dim=312)' \
        --objective='soft_targets(weight=1)' --run_dir=DIR

Objectives on the teacher's distribution read --knowledge_records; where that
is empty they ask the live --teacher about --records.
"""

from typing import Any

from tfdistill import experiment
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
    live_teacher,
    make_objectives,
    recorded_teacher,
)
from tfdistill.models.formats import load_model
from tfdistill.models.specs import build_student, needs_teacher
from tfdistill.records import open_record_set, stored_pieces


def distill(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    training: Training,
) -> dict[str, Any]:
    """Train a student from a recorded or a live teacher."""
    task = experiment.find_task(general.task)
    objectives = make_objectives(
        training.objective, task.targets, task.soft_target
    )
    is_soft = any(o.is_soft for o in objectives)
    is_recorded = is_soft and bool(artefacts.knowledge_records)
    is_live = is_soft and not is_recorded
    path = artefacts.knowledge_records if is_recorded else artefacts.records
    if not path:
        raise ValueError(
            "--records is needed: only soft_targets reads --knowledge_records."
            if artefacts.knowledge_records
            else "--records or --knowledge_records is needed."
        )
    is_copied = needs_teacher(artefacts.student)
    if (is_live or is_copied) and not artefacts.teacher:
        raise ValueError(
            f"{artefacts.student} needs --teacher to copy from."
            if is_copied
            else "soft_targets needs --knowledge_records, or --teacher to ask."
        )
    replicas = experiment.start_replicas(
        devices, artefacts, general, corpus, knowledge, training
    )
    records = open_record_set(path)
    teacher = None
    with replicas.scope():
        if is_live or is_copied:
            teacher = load_model(artefacts.teacher, needs=("masked_lm",))
        tokenizer = tokenizer_of(
            records,
            teacher,
            artefacts.vocab_file,
            corpus.do_lower_case,
            role="teacher",
        )
        start = build_student(
            artefacts.student,
            tokenizer=tokenizer,
            teacher=teacher,
            seed=general.random_seed,
        )
    source, stored = None, None
    size = len(tokenizer.vocabulary)
    if is_recorded:
        source = recorded_teacher(records.codec(size))
        stored = stored_pieces(str(records.knowledge))
    elif is_live and teacher is not None:
        source = live_teacher(teacher.model)
    for objective in objectives:
        objective.check(stored, size)
    return experiment.run_training(
        experiment.Assembly(
            student=start.model,
            parts=start.parts,
            records=records,
            tokenizer=tokenizer,
            objectives=objectives,
            teacher=source,
            live=teacher.model if is_live and teacher is not None else None,
            lineage={
                "model": start.fingerprint,
                "teacher": teacher.fingerprint if teacher else None,
            },
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
        distill,
        Artefacts,
        General,
        Devices,
        Corpus,
        Knowledge,
        Training,
        needs=("student", "run_dir"),
        example="--knowledge_records=records/wiki-top10 "
        "--student='bert(num_layers=4, hidden_dim=312)' "
        "--objective='soft_targets(weight=1)' --run_dir=runs/student",
    )
