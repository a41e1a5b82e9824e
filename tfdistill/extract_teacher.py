"""Adds a teacher's knowledge to records.

python -m tfdistill.extract_teacher --records=DIR --teacher=DIR \
        --knowledge='top_k(k=10)' --knowledge_records=DIR
"""

import pathlib
from typing import Any

from absl import logging

from tfdistill import assembly
from tfdistill.agreement import check_length, tokenizer_of, words_of
from tfdistill.config import run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Devices,
    General,
    Inference,
    Knowledge,
)
from tfdistill.distillation.extraction import (
    check_open,
    extract_shards,
    knowledge_files,
    knowledge_schema,
    teacher_shape,
)
from tfdistill.models.precision import lower_precision
from tfdistill.records import (
    RecordSetWriter,
    check_identity,
    make_codec,
    open_record_set,
)
from tfdistill.replicas import check_same, from_chief
from tfdistill.tasks import find_task


def extract_teacher(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    inference: Inference,
) -> dict[str, Any]:
    """Add what a teacher says to records."""
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge
    )
    records = open_record_set(artefacts.records)
    task = find_task(general.task, records)
    check_open(records)
    specs = knowledge.knowledge or task.knowledge
    known = {
        **records.identity,
        "knowledge": list(specs),
        "precision": inference.precision,
        "predict_batch_size": knowledge.predict_batch_size,
        "records": records.fingerprint,
    }
    check_identity(pathlib.Path(artefacts.knowledge_records), known)
    with replicas.scope():
        teacher = assembly.load_teacher(task, artefacts.teacher, knowledge)
        lower_precision(teacher.model, inference.precision)
    tokenizer = tokenizer_of(
        records,
        teacher,
        artefacts.vocab_file,
        corpus.do_lower_case,
        role="teacher",
    )
    words = words_of(records)
    size = len(tokenizer.vocabulary)
    records = records.with_vocabulary(size)
    check_length(teacher.model, records, "teacher")
    shape = teacher_shape(teacher.model)
    codec = make_codec(specs, records.shapes(**shape))
    added, schema = knowledge_schema(records, codec)
    identity = {
        **known,
        "tokenizer": tokenizer.fingerprint,
        **tokenizer.settings,
        "teacher": teacher.fingerprint,
        "teacher_shape": shape,
    }
    files = {
        **tokenizer.files(),
        **(words.files() if words else {}),
        **knowledge_files(codec, teacher.model),
    }
    check_same(replicas, identity)
    writer = RecordSetWriter(
        artefacts.knowledge_records,
        schema=schema,
        identity=identity,
        shard_names=[shard.path.name for shard in records.shards],
        files=files,
    )
    done = {"shards": 0, "examples": 0}
    if from_chief(replicas, lambda: writer.finished is not None):
        logging.info("%s is finished already.", artefacts.knowledge_records)
    else:
        done = extract_shards(
            records,
            teacher.model,
            codec,
            added,
            writer,
            replicas=replicas,
            batch_size=knowledge.predict_batch_size,
        )
    return {
        "knowledge_records": artefacts.knowledge_records,
        "knowledge": list(specs),
        "examples": records.examples,
        "extracted_shards": done["shards"],
        "extracted_examples": done["examples"],
        "replicas": replicas.name,
        "world_size": replicas.num_replicas,
    }


if __name__ == "__main__":
    run_command(
        extract_teacher,
        Artefacts,
        General,
        Devices,
        Corpus,
        Knowledge,
        Inference,
        needs=("records", "teacher", "knowledge_records"),
        examples=(
            "--records=records/wiki --teacher=bert "
            "--knowledge='top_k(k=10)' --knowledge_records=records/wiki-top10",
            "--task=sst2 --records=records/sst2 --teacher=runs/sst2 "
            "--knowledge=logits --knowledge_records=records/sst2-logits",
        ),
    )
