"""Writes what a teacher said of a table's rows beside these rows.

    python -m tfdistill.export_logits --task=sst2 --data_dir=SST-2 \
        --knowledge_records=DIR --output=sst2-logits.tsv

The table is the one to train on, or --input in its place. Rows are found
among the records by what they hold, so neither order nor missing records can
give a row another's logits. `make_records --input` reads the table back as
--knowledge_records.
"""

from collections.abc import Iterator
from typing import Any, cast

from tfdistill.agreement import tokenizer_of
from tfdistill.config import run_command
from tfdistill.config.options import Artefacts, Corpus, General, Tables
from tfdistill.files import sha256_of
from tfdistill.progress import Progress
from tfdistill.records import open_record_set
from tfdistill.tasks.glue import label_of
from tfdistill.tasks.logit_columns import (
    RecordedLogits,
    as_cells,
    logit_names,
)
from tfdistill.tasks.own_task import find_sentence_task
from tfdistill.tasks.sentence_records import laid_out
from tfdistill.tasks.transfer_tables import table_of, write_logits_table
from tfdistill.text.tables import read_table, sentences_of
from tfdistill.text.tokenizer import Tokenizer


def export_logits(
    artefacts: Artefacts, general: General, corpus: Corpus, tables: Tables
) -> dict[str, Any]:
    """Write a table's rows with the teacher's logits beside them."""
    task = find_sentence_task(general.task, artefacts.data_dir, tables)
    path, columns = table_of(task, artefacts.data_dir, "train", artefacts.input)
    records = open_record_set(artefacts.knowledge_records)
    made_for = records.identity.get("task")
    if made_for != task.name:
        raise ValueError(
            f"{records.path} was made for --task={made_for}, not for "
            f"{task.name}."
        )
    found = tokenizer_of(
        records, None, artefacts.vocab_file, corpus.do_lower_case
    )
    # Records of sentences are made with no other.
    tokenizer = cast(Tokenizer, found)
    known = RecordedLogits(records)
    keeps_masks = bool(records.identity.get("keeps_masks"))
    rows = list(read_table(path, columns))
    has_labels = rows[0].label is not None

    def labelled(
        progress: Progress,
    ) -> Iterator[tuple[tuple[str, ...], str | None, list[str]]]:
        inputs = laid_out(
            tokenizer, rows, records.schema.max_seq_length, keeps_masks
        )
        for row, (ids, segments) in zip(rows, inputs, strict=True):
            label_of(task, row, path)
            try:
                logits = known.of(ids, segments)
            except KeyError:
                raise ValueError(
                    f"{path}: line {row.line} is not among the examples of "
                    f"{records.path}."
                ) from None
            progress.advance(1)
            yield sentences_of(row), row.label, list(as_cells(logits))

    with Progress("writing", len(rows), unit=" rows") as progress:
        count = write_logits_table(
            artefacts.output,
            task,
            labelled(progress),
            has_labels=has_labels,
            names=logit_names(len(task.labels) or 1),
        )
    return {
        "task": task.name,
        "table": str(path),
        "table_sha256": sha256_of(path),
        "knowledge_records": artefacts.knowledge_records,
        "output": artefacts.output,
        "examples": count,
    }


if __name__ == "__main__":
    run_command(
        export_logits,
        Artefacts,
        General,
        Corpus,
        Tables,
        needs=("task", "data_dir", "knowledge_records", "output"),
        examples=(
            "--task=sst2 --data_dir=data/SST-2 "
            "--knowledge_records=records/sst2-logits --output=sst2-logits.tsv",
            "--task=sst2 --data_dir=data/SST-2 --input=sst2-rules.tsv "
            "--knowledge_records=records/rules-logits --output=rules-logits.tsv",
        ),
    )
