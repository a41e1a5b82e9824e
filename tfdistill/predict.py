"""Writes what a model predicts for records, as benchmarks want it.

    python -m tfdistill.predict --task=sst2 --run_dir=DIR \
        --test_records=DIR --predictions=DIR

Files of several tasks of GLUE in one folder are put into one submission.zip.
Answers to questions are written in SQuAD's layout; with
--find_null_threshold, --eval_records say when there is no answer.
"""

import dataclasses
import functools
from typing import Any

from tfdistill import assembly
from tfdistill.agreement import tokenizer_of
from tfdistill.config import FlagNeededError, run_command
from tfdistill.config.options import (
    Answering,
    Artefacts,
    Corpus,
    Devices,
    General,
    Inference,
    Knowledge,
)
from tfdistill.models.precision import lower_precision
from tfdistill.records import RecordSet, open_record_set
from tfdistill.replicas import check_same, from_chief
from tfdistill.scoring import examine
from tfdistill.tasks import Task, find_task
from tfdistill.training import Findings


def predict(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    answering: Answering,
    inference: Inference,
) -> dict[str, Any]:
    """Write what a model predicts for records."""
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge
    )
    records = open_record_set(artefacts.test_records)
    task = find_task(general.task, records, answering)
    if task.write is None:
        raise ValueError(f"--task={general.task} has no predictions to write.")
    held_out = None
    if task.answering is not None and task.answering.find_null_threshold:
        if not artefacts.eval_records:
            raise FlagNeededError("eval_records")
        held_out = open_record_set(artefacts.eval_records)
    with replicas.scope():
        model = assembly.load_for(task, artefacts.run_dir)
        lower_precision(model.model, inference.precision)
        tokenizer = tokenizer_of(
            records, model, artefacts.vocab_file, corpus.do_lower_case
        )
    check_same(
        replicas,
        {
            "run_dir": model.fingerprint,
            "test_records": records.fingerprint,
            "eval_records": held_out.fingerprint if held_out else None,
        },
    )

    def find_out(records: RecordSet, task: Task) -> Findings:
        return examine(
            model.model,
            model.parts,
            None,
            records,
            tokenizer,
            task,
            replicas,
            batch_size=knowledge.predict_batch_size,
            seed=general.random_seed,
        )()

    if held_out is not None:
        held_out.check_tokenizer(tokenizer.fingerprint, records.path)
        of_held_out = find_task(general.task, held_out, answering)
        metrics = of_held_out.finish(*find_out(held_out, of_held_out))
        threshold = metrics["null_score_diff_threshold"]
        answering = dataclasses.replace(
            answering, null_score_diff_threshold=threshold
        )
        task = find_task(general.task, records, answering)
    rows = find_out(records, task).rows
    assert task.write is not None
    written = from_chief(
        replicas,
        functools.partial(task.write, rows, artefacts.predictions),
    )
    return {
        "task": general.task,
        "examples": records.examples,
        **written,
        "test_records": artefacts.test_records,
        "run_dir": artefacts.run_dir,
        "replicas": replicas.name,
        "world_size": replicas.num_replicas,
    }


if __name__ == "__main__":
    run_command(
        predict,
        Artefacts,
        General,
        Devices,
        Corpus,
        Knowledge,
        Answering,
        Inference,
        needs=("run_dir", "test_records", "predictions"),
        example="--task=sst2 --run_dir=runs/student "
        "--test_records=records/sst2-test --predictions=predictions",
    )
