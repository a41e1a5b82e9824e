"""Adds a teacher's knowledge to records.

python -m tfdistill.extract_teacher --records=DIR --teacher=DIR \
        --knowledge='top_k(k=10)' --knowledge_records=DIR
"""

from typing import Any

from absl import logging

from tfdistill import assembly
from tfdistill.agreement import check_length, tokenizer_of
from tfdistill.config import run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Devices,
    General,
    Knowledge,
)
from tfdistill.distillation.extraction import extract_shards, knowledge_schema
from tfdistill.models.formats import load_model
from tfdistill.records import RecordSetWriter, make_codec, open_record_set
from tfdistill.replicas import check_same, from_chief


def extract_teacher(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
) -> dict[str, Any]:
    """Add a teacher's distribution at the masked positions to records."""
    assembly.find_task(general.task)
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge
    )
    records = open_record_set(artefacts.records)
    with replicas.scope():
        teacher = load_model(artefacts.teacher, needs=("masked_lm",))
    tokenizer = tokenizer_of(
        records,
        teacher,
        artefacts.vocab_file,
        corpus.do_lower_case,
        role="teacher",
    )
    size = len(tokenizer.vocabulary)
    records = records.with_vocabulary(size)
    check_length(teacher.model, records, "teacher")
    codec = make_codec(knowledge.knowledge, size, records.schema.layout)
    added, schema = knowledge_schema(records, codec, size)
    identity = {
        **records.identity,
        "tokenizer": tokenizer.fingerprint,
        "do_lower_case": tokenizer.do_lower_case,
        "knowledge": knowledge.knowledge,
        "teacher": teacher.fingerprint,
        "records": records.fingerprint,
    }
    check_same(replicas, identity)
    writer = RecordSetWriter(
        artefacts.knowledge_records,
        schema=schema,
        identity=identity,
        shard_names=[shard.path.name for shard in records.shards],
        vocabulary="".join(f"{p}\n" for p in tokenizer.vocabulary).encode(),
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
        "knowledge": knowledge.knowledge,
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
        needs=("records", "teacher", "knowledge_records"),
        example="--records=records/wiki --teacher=bert "
        "--knowledge='top_k(k=10)' --knowledge_records=records/wiki-top10",
    )
