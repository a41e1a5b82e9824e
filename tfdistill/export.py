"""Exports a model of sentences, if the export says what the model says.

    python -m tfdistill.export --task=sst2 --run_dir=DIR --format=tflite \
        --eval_records=DIR --output=DIR

The export is run on --eval_records as another program would run it. Where it
differs, it is refused and nothing is left of it. --format=saved_model is tried
on the texts themselves: the table in --data_dir that the records were made
from. A model card lies beside the files.
"""

import pathlib
from typing import Any

from tfdistill import assembly
from tfdistill.agreement import check_length, tokenizer_of
from tfdistill.config import FlagNeededError, run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Export,
    General,
    Knowledge,
    Tables,
)
from tfdistill.exporting import (
    FORMATS,
    check_parity,
    model_card,
    read_examples,
)
from tfdistill.files import holds_anything, read_json, write_atomically
from tfdistill.models.bert import Bert
from tfdistill.models.weights import count_parameters
from tfdistill.records import open_record_set
from tfdistill.tasks import find_task
from tfdistill.tasks.glue import path_of
from tfdistill.tasks.own_task import find_sentence_task


def export(
    artefacts: Artefacts,
    general: General,
    wanted: Export,
    corpus: Corpus,
    tables: Tables,
    knowledge: Knowledge,
) -> dict[str, Any]:
    """Export a model of sentences, if the export says what the model says."""
    kind = FORMATS[wanted.format]
    output = pathlib.Path(artefacts.output)
    if output.exists() and not (output.is_dir() and not holds_anything(output)):
        raise ValueError(f"--output={output} exists already.")
    records = open_record_set(artefacts.eval_records)
    task = find_task(general.task, records)
    if "num_classes" not in records.identity:
        raise ValueError(
            f"--task={general.task}: models of sentences and pairs alone are "
            "exported. Every finished BERT has a preset in its run directory, "
            "in export/preset."
        )
    loaded = assembly.load_for(task, artefacts.run_dir)
    if not isinstance(loaded.model, Bert):
        raise ValueError(
            f"{artefacts.run_dir} reads whole words; models of the BERT "
            "family alone are exported."
        )
    tokenizer_of(records, loaded, artefacts.vocab_file, corpus.do_lower_case)
    check_length(loaded.model, records)
    table = None
    is_pair = False
    if kind.reads_text:
        if not artefacts.data_dir:
            raise FlagNeededError("data_dir")
        sentences = find_sentence_task(general.task, artefacts.data_dir, tables)
        is_pair = sentences.is_pair
        split = records.identity["split"]
        table = (sentences, path_of(sentences, artefacts.data_dir, split))
    examples = read_examples(
        records, loaded.model, knowledge.predict_batch_size, table
    )
    with write_atomically(output) as temporary:
        kind.write(loaded, temporary, examples.length, is_pair)
        parity = check_parity(
            examples,
            kind.run(temporary, examples),
            metric=task.best_metric,
            is_exact=kind.is_exact,
        )
        card = model_card(
            title=f"{pathlib.Path(artefacts.run_dir).name}, {wanted.format}",
            usage=kind.usage.replace("LENGTH", str(examples.length)),
            labels=loaded.labels,
            parity=parity,
            identity=records.identity,
            eval_records=artefacts.eval_records,
            parameters=count_parameters(loaded.model, loaded.parts),
            **_made_by(pathlib.Path(artefacts.run_dir)),
        )
        (temporary / "README.md").write_text(card, "utf-8")
        size = sum(p.stat().st_size for p in temporary.rglob("*"))
    return {
        "format": wanted.format,
        "output": str(output),
        "bytes": size,
        **parity,
        "labels": list(loaded.labels),
        "run_dir": artefacts.run_dir,
    }


def _made_by(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what a run directory says of the run, if it is one."""
    if not (folder / "result.json").exists():
        return {"config": None, "result": None, "flags": ""}
    return {
        "config": read_json(folder / "config.json"),
        "result": read_json(folder / "result.json"),
        "flags": (folder / "run.flags").read_text("utf-8"),
    }


if __name__ == "__main__":
    run_command(
        export,
        Artefacts,
        General,
        Export,
        Corpus,
        Tables,
        Knowledge,
        needs=("run_dir", "eval_records", "output"),
        examples=(
            "--task=sst2 --run_dir=runs/student --format=tflite "
            "--eval_records=records/sst2-dev --output=exports/student",
            "--task=sst2 --run_dir=runs/student --format=saved_model "
            "--data_dir=data/SST-2 --eval_records=records/sst2-dev "
            "--output=exports/student",
        ),
    )
