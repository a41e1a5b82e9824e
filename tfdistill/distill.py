"""Trains a student from a recorded or a live teacher.

    python -m tfdistill.distill --knowledge_records=DIR \
        --student='bert(num_layers=4, hidden_dim=312)' \
        --objective='soft_targets(weight=1)' --run_dir=DIR

Objectives on the teacher's distribution read --knowledge_records; where that
is empty they ask the live --teacher about --records. Objectives on logits and
features always ask it.
"""

from typing import Any

from tfdistill import assembly, experiment
from tfdistill.agreement import check_length, check_vocabulary, tokenizer_of
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
    DISTRIBUTION,
    FEATURES,
    LOGITS,
    OBJECTIVES,
    bind_objectives,
    both_teachers,
    declare_objectives,
    live_teacher,
    recorded_teacher,
)
from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.models.specs import build_student, needs_teacher
from tfdistill.records import open_record_set, stored_pieces

_WHO_IS_ASKED = {
    False: "soft_targets needs --knowledge_records, or --teacher to ask.",
    True: "objectives on logits and features need --teacher to ask.",
}


def distill(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    training: Training,
) -> dict[str, Any]:
    """Train a student from a recorded or a live teacher."""
    task = assembly.find_task(general.task)
    declared = declare_objectives(training.objective, OBJECTIVES)
    needs = {one.needs for one in declared}
    is_soft = DISTRIBUTION in needs
    is_recorded = is_soft and bool(artefacts.knowledge_records)
    is_asked = not needs.isdisjoint({FEATURES, LOGITS})
    is_live = is_asked or (is_soft and not is_recorded)
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
            else _WHO_IS_ASKED[is_asked]
        )
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge, training
    )
    records = open_record_set(path)
    teachers = []
    with replicas.scope():
        if is_live or is_copied:
            teachers = [
                load_model(
                    folder,
                    needs=() if needs <= {"", FEATURES} else ("masked_lm",),
                )
                for folder in artefacts.teacher.split(",")
            ]
        first = teachers[0] if teachers else None
        tokenizer = tokenizer_of(
            records,
            first,
            artefacts.vocab_file,
            corpus.do_lower_case,
            role="teacher",
        )
        for other in teachers[1:]:
            check_vocabulary(other, tokenizer, records.path, "teacher")
        start = build_student(
            artefacts.student,
            tokenizer=tokenizer,
            teacher=first,
            seed=general.random_seed,
        )
    objectives = bind_objectives(
        declared,
        assembly.objective_context(
            task,
            records,
            start.model,
            first.model if first else None,
            replicas,
            general,
            training,
        ),
    )
    size = len(tokenizer.vocabulary)
    reads = frozenset[str]().union(*(o.loss.teacher_reads for o in objectives))
    models = [teacher.model for teacher in teachers]
    source, stored = None, None
    if is_recorded:
        source = recorded_teacher(records.codec(size))
        stored = stored_pieces(str(records.knowledge))
        reads -= {DISTRIBUTION}
    if is_live:
        for model in models:
            check_length(model, records, "teacher")
        live = live_teacher(models, reads)
        source = both_teachers(source, live) if source else live
    for objective in objectives:
        try:
            objective.loss.check(stored, size)
        except ValueError as error:
            raise ValueError(f"--objective={objective.name}: {error}") from None
    return experiment.run_training(
        assembly.Assembly(
            student=start.model,
            parts=start.parts,
            records=records,
            tokenizer=tokenizer,
            objectives=objectives,
            teacher=source,
            live=_compared_with(teachers) if is_live else None,
            lineage={
                "model": start.fingerprint,
                "teacher": [teacher.fingerprint for teacher in teachers],
            },
        ),
        task,
        replicas,
        artefacts,
        general,
        knowledge,
        training,
    )


def _compared_with(teachers: list[LoadedModel]) -> MaskedLM | None:
    """Returns the teacher that evaluations compare the student with."""
    (teacher, *others) = teachers
    return None if others or "masked_lm" not in teacher.parts else teacher.model


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
