"""Evaluates a model on held-out records.

python -m tfdistill.evaluate --run_dir=DIR --eval_records=DIR
"""

import time
from typing import Any

from tfdistill import assembly
from tfdistill.agreement import check_vocabulary, tokenizer_of
from tfdistill.config import run_command
from tfdistill.config.options import (
    Answering,
    Artefacts,
    Corpus,
    Decoding,
    Devices,
    General,
    Inference,
    Knowledge,
    ParallelText,
)
from tfdistill.generation import Writer
from tfdistill.models.formats import LoadedModel
from tfdistill.models.precision import lower_precision
from tfdistill.models.weights import count_parameters
from tfdistill.records import RecordSet, open_record_set
from tfdistill.replicas import check_same, from_chief
from tfdistill.scoring import examine, measure_speed
from tfdistill.tasks import Task, find_task
from tfdistill.tasks.generation import pairs_of


def evaluate(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    answering: Answering,
    decoding: Decoding,
    parallel: ParallelText,
    inference: Inference,
) -> dict[str, Any]:
    """Evaluate a model on held-out records, every record exactly once."""
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge
    )
    records = open_record_set(artefacts.eval_records)
    task = find_task(general.task, records, answering)
    with replicas.scope():
        model = assembly.load_for(task, artefacts.run_dir)
        lower_precision(model.model, inference.precision)
        tokenizer = tokenizer_of(
            records, model, artefacts.vocab_file, corpus.do_lower_case
        )
        teacher = None
        if artefacts.teacher:
            teacher = assembly.load_teacher(task, artefacts.teacher, knowledge)
            check_vocabulary(teacher, tokenizer, records, "teacher")
    check_same(
        replicas,
        {
            "run_dir": model.fingerprint,
            "eval_records": records.fingerprint,
            "teacher": teacher.fingerprint if teacher else None,
        },
    )
    find_out = examine(
        model.model,
        model.parts,
        teacher.model if teacher else None,
        records,
        tokenizer,
        task,
        replicas,
        batch_size=knowledge.predict_batch_size,
    )
    metrics: dict[str, Any] = task.finish(*find_out())
    if task.score is not None:
        metrics |= from_chief(
            replicas,
            lambda: _score_texts(
                model, task, records, decoding, parallel, knowledge
            ),
        )
    speed = measure_speed(
        model.model,
        records,
        tokenizer,
        task,
        replicas,
        batch_size=knowledge.predict_batch_size,
    )
    return {
        **metrics,
        "examples": records.examples,
        "examples_per_second": round(speed, 1),
        "parameters": count_parameters(model.model, model.parts),
        "parameters_without_embeddings": count_parameters(
            model.model, model.parts, with_embeddings=False
        ),
        "eval_records": artefacts.eval_records,
        "run_dir": artefacts.run_dir,
        "replicas": replicas.name,
        "world_size": replicas.num_replicas,
    }


def _score_texts(
    model: LoadedModel,
    task: Task,
    records: RecordSet,
    decoding: Decoding,
    parallel: ParallelText,
    knowledge: Knowledge,
) -> dict[str, Any]:
    """Let a model write the targets of all pairs, and score these.

    Pairs that are too long for records are among them.
    """
    assert task.score is not None
    pairs = pairs_of(records)
    writer = Writer(
        model,
        decoding,
        max_source_length=parallel.max_source_length,
        batch_size=knowledge.predict_batch_size,
    )
    started = time.perf_counter()
    texts = list(writer.write([pair.source for pair in pairs], len(pairs)))
    seconds = time.perf_counter() - started
    return {
        **task.score(texts, [pair.target for pair in pairs]),
        "texts": len(texts),
        "cut_sources": writer.cut,
        "texts_per_second": round(len(texts) / seconds, 1),
    }


if __name__ == "__main__":
    run_command(
        evaluate,
        Artefacts,
        General,
        Devices,
        Corpus,
        Knowledge,
        Answering,
        Decoding,
        ParallelText,
        Inference,
        needs=("run_dir", "eval_records"),
        examples=(
            "--run_dir=runs/student --eval_records=records/wiki-eval",
            "--task=sst2 --run_dir=runs/student --teacher=runs/sst2 "
            "--eval_records=records/sst2-dev",
        ),
    )
