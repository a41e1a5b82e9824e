"""Writes what a model predicts for records, as GLUE wants it or as a table.

    python -m tfdistill.predict --task=sst2 --run_dir=DIR \
        --test_records=DIR --predictions=DIR

Files of several tasks in one folder are put into one submission.zip.
"""

from typing import Any

from tfdistill import assembly
from tfdistill.agreement import tokenizer_of
from tfdistill.config import run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Devices,
    General,
    Knowledge,
)
from tfdistill.records import open_record_set
from tfdistill.replicas import check_same, from_chief
from tfdistill.scoring import examine
from tfdistill.tasks import find_task
from tfdistill.tasks.predictions import write_predictions


def predict(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
) -> dict[str, Any]:
    """Write what a model predicts for records."""
    replicas = assembly.start_replicas(
        devices, artefacts, general, corpus, knowledge
    )
    records = open_record_set(artefacts.test_records)
    task = find_task(general.task, records)
    if not task.num_classes:
        raise ValueError(f"--task={general.task} has no predictions to write.")
    with replicas.scope():
        model = assembly.load_for(task, artefacts.run_dir)
        tokenizer = tokenizer_of(
            records, model, artefacts.vocab_file, corpus.do_lower_case
        )
    check_same(
        replicas,
        {"run_dir": model.fingerprint, "test_records": records.fingerprint},
    )
    found = examine(
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
    logits = found.rows["logits"]
    written = from_chief(
        replicas,
        lambda: write_predictions(records, logits, artefacts.predictions),
    )
    return {
        "task": general.task,
        "examples": len(logits),
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
        needs=("run_dir", "test_records", "predictions"),
        example="--task=sst2 --run_dir=runs/student "
        "--test_records=records/sst2-test --predictions=predictions",
    )
