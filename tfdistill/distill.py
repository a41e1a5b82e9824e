"""Trains a student from a recorded or a live teacher.

    python -m tfdistill.distill --knowledge_records=DIR \
        --student='bert(num_layers=4, hidden_dim=312)' \
        --objective='soft_targets(weight=1)' --run_dir=DIR

Objectives read of the teacher what --knowledge_records holds; for the rest
they ask the live --teacher. Without --knowledge_records it is asked about
--records.
"""

from typing import Any

from tfdistill import assembly, experiment
from tfdistill.agreement import (
    check_length,
    check_vocabulary,
    tokenizer_of,
    words_of,
)
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
    FEATURES,
    LOGITS,
    OBJECTIVES,
    Declared,
    bind_objectives,
    declare_objectives,
    live_teacher,
    recorded_teacher,
)
from tfdistill.models.formats import LoadedModel
from tfdistill.models.outputs import Model
from tfdistill.models.specs import build_student, needs_teacher
from tfdistill.records import (
    DISTRIBUTION,
    Codec,
    RecordSet,
    drawn_pieces,
    open_record_set,
    stored_pieces,
)
from tfdistill.tasks import Task, find_task

_WHO_IS_ASKED = {
    DISTRIBUTION: "soft_targets needs --knowledge_records, or --teacher to "
    "ask.",
    LOGITS: "objectives on logits need --knowledge_records that hold them, or "
    "--teacher to ask.",
    FEATURES: "objectives on features need --knowledge_records that hold "
    "them, or --teacher to ask.",
}


def distill(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    training: Training,
    answering: Answering,
) -> dict[str, Any]:
    """Train a student from a recorded or a live teacher."""
    declared = declare_objectives(training.objective, OBJECTIVES)
    needs = {one.needs for one in declared} - {""}
    is_copied = needs_teacher(artefacts.student)
    if is_copied and not artefacts.teacher:
        raise ValueError(f"{artefacts.student} needs --teacher to copy from.")
    path = artefacts.records
    if needs and artefacts.knowledge_records:
        path = artefacts.knowledge_records
    for need in sorted(needs):
        if not artefacts.knowledge_records and not artefacts.teacher:
            raise ValueError(_WHO_IS_ASKED[need])
    if not path:
        raise ValueError(
            "--records is needed: no objective reads --knowledge_records."
            if artefacts.knowledge_records
            else "--records or --knowledge_records is needed."
        )
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge, training
    )
    records = open_record_set(path)
    task = find_task(general.task, records, answering)
    training = assembly.with_steps(training, records)
    is_recorded = bool(needs) and path == artefacts.knowledge_records
    codec = records.codec() if is_recorded else None
    gives = codec.gives if codec else frozenset[str]()
    _check_knowledge(declared, records, task, codec)
    # Which features are read is only known once objectives are bound.
    is_live = not needs <= ({LOGITS, DISTRIBUTION} & {_need(x) for x in gives})
    teachers = []
    with replicas.scope():
        if artefacts.teacher and (is_live or is_copied):
            teachers = [
                assembly.load_teacher(
                    task,
                    folder,
                    knowledge,
                    needs=() if needs <= {FEATURES} else None,
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
            check_vocabulary(other, tokenizer, records, "teacher")
        start = build_student(
            artefacts.student,
            tokenizer=tokenizer,
            teacher=first,
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
            task,
            records,
            start.model,
            first.model if first else None,
            replicas,
            general,
            training,
        ),
    )
    records = records.with_vocabulary(len(tokenizer.vocabulary))
    reads = frozenset[str]().union(*(o.loss.teacher_reads for o in objectives))
    models = [teacher.model for teacher in teachers]
    is_live = not reads <= gives
    source = None
    if is_live:
        _check_asked(reads - gives, records, teachers)
        source = live_teacher(models)
    if is_recorded:
        source = recorded_teacher(records.codec(), source)
    return experiment.run_training(
        assembly.Assembly(
            student=start.model,
            parts=start.parts,
            records=records,
            tokenizer=tokenizer,
            vocabulary=start.tokenizer,
            objectives=objectives,
            teacher=source,
            live=_compared_with(teachers, task) if is_live else None,
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


def _check_knowledge(
    declared: list[Declared],
    records: RecordSet,
    task: Task,
    codec: Codec | None,
) -> None:
    """Refuse objectives that the recorded knowledge will not do for."""
    ids = records.schema.feature("input_ids")
    size = task.num_classes or (ids.limit if ids else 0)
    stored, drawn = None, 0
    if codec is not None and DISTRIBUTION in codec.gives:
        stored, drawn = stored_pieces(codec), drawn_pieces(codec)
    for one in declared:
        one.check(stored, size, drawn)


def _need(field: str) -> str:
    """Returns what kind of knowledge a field of the teacher's is."""
    return {"logits": LOGITS, DISTRIBUTION: DISTRIBUTION}.get(field, FEATURES)


def _check_asked(
    missing: frozenset[str], records: RecordSet, teachers: list[LoadedModel]
) -> None:
    """Refuse what neither the records nor live teachers can tell."""
    name = min(missing)
    if not teachers:
        raise ValueError(
            f"{records.path} does not hold the teacher's {name}, which an "
            "objective reads, and there is no --teacher to ask."
        )
    if len(teachers) > 1 and name != DISTRIBUTION:
        raise ValueError(
            f"{name} of {len(teachers)} teachers cannot be averaged: their "
            "probabilities alone can."
        )
    for teacher in teachers:
        check_length(teacher.model, records, "teacher")
    recorded = records.identity.get("teacher")
    if recorded not in (None, teachers[0].fingerprint):
        raise ValueError(
            f"{records.path} holds what another teacher said than --teacher, "
            f"which would be asked for its {name}."
        )


def _compared_with(teachers: list[LoadedModel], task: Task) -> Model | None:
    """Returns the teacher that evaluations compare the student with."""
    (teacher, *others) = teachers
    knows = teacher.parts.issuperset(task.needs)
    return None if others or not knows else teacher.model


if __name__ == "__main__":
    run_command(
        distill,
        Artefacts,
        General,
        Devices,
        Corpus,
        Knowledge,
        Training,
        Answering,
        needs=("student", "run_dir"),
        examples=(
            "--knowledge_records=records/wiki-top10 "
            "--student='bert(num_layers=4, hidden_dim=312)' "
            "--objective='soft_targets(weight=1)' --run_dir=runs/student",
            "--task=sst2 --records=records/sst2 --teacher=runs/sst2 "
            "--student='teacher_layers(layers=[0, 5])' "
            "--objective=soft_targets --objective=hidden_mse "
            "--run_dir=runs/student",
        ),
    )
