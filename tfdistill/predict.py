"""Writes what a model predicts for records or text.

    python -m tfdistill.predict --task=sst2 --run_dir=DIR \
        --test_records=DIR --predictions=DIR
    python -m tfdistill.predict --run_dir=DIR --input=- <sentences.txt

    python -m tfdistill.predict --task=translation --run_dir=DIR < in > out

Files of several tasks of GLUE in one folder are put into one submission.zip.
Answers to questions are written in SQuAD's layout; with
--find_null_threshold, --eval_records say when there is no answer.

With --input, classifiers read lines of text or a table of --input_format and
write a line for each of them to --output, or to standard output as they go;
the summary goes to stderr then. A batch is waited for before it is predicted:
--predict_batch_size=1 answers line by line. For translation and summarisation,
lines are read from stdin and written to stdout.
"""

import dataclasses
import functools
import sys
from collections.abc import Iterator
from typing import Any

from tfdistill import assembly
from tfdistill.agreement import tokenizer_of
from tfdistill.config import FlagNeededError, Printed, run_command
from tfdistill.config.options import (
    Answering,
    Artefacts,
    Corpus,
    Decoding,
    Devices,
    Examples,
    General,
    Inference,
    Knowledge,
    ParallelText,
    Tables,
)
from tfdistill.generation import Writer
from tfdistill.launcher import this_process
from tfdistill.models.formats import load_model
from tfdistill.models.precision import lower_precision
from tfdistill.records import RecordSet, open_record_set
from tfdistill.replicas import check_same, from_chief
from tfdistill.scoring import examine
from tfdistill.tasks import GENERATION, SQUAD, Task, find_task
from tfdistill.tasks.own_task import own_columns
from tfdistill.text.parallel_text import tidy
from tfdistill.text.table_formats import STANDARD_INPUT
from tfdistill.text_predictions import (
    format_of,
    predict_texts,
    read_texts,
    standard_output,
    write_said,
)
from tfdistill.training import Findings


def predict(
    artefacts: Artefacts,
    general: General,
    devices: Devices,
    corpus: Corpus,
    knowledge: Knowledge,
    answering: Answering,
    decoding: Decoding,
    parallel: ParallelText,
    tables: Tables,
    examples: Examples,
    inference: Inference,
) -> dict[str, Any]:
    """Write what a model predicts for records or texts."""
    if general.task in GENERATION:
        return _write_lines(
            artefacts, general, knowledge, decoding, parallel, inference
        )
    # Of questions, --input is what records are made of.
    if artefacts.input and general.task not in SQUAD:
        return _of_texts(artefacts, knowledge, tables, examples, inference)
    for name in ("test_records", "predictions"):
        if not getattr(artefacts, name):
            raise FlagNeededError(name)
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


def _check_alone(what: str) -> None:
    process = this_process()
    if not process.is_alone:
        raise ValueError(
            f"{process.launcher} has started {process.count} processes; "
            f"{what} is read by one."
        )


def _of_texts(
    artefacts: Artefacts,
    knowledge: Knowledge,
    tables: Tables,
    examples: Examples,
    inference: Inference,
) -> dict[str, Any]:
    _check_alone("--input")
    kind = format_of(artefacts.input, tables.input_format)
    columns = own_columns(tables.text_column, tables.pair_column)
    loaded = load_model(
        artefacts.run_dir, heads=("classifier",), needs=("classifier",)
    )
    lower_precision(loaded.model, inference.precision)
    num_classes = loaded.model.config.num_classes
    labels = loaded.labels
    if num_classes > 1 and not labels:
        labels = tuple(map(str, range(num_classes)))
    said = predict_texts(
        loaded,
        read_texts(artefacts.input, kind, columns),
        length=examples.max_seq_length,
        batch_size=knowledge.predict_batch_size,
    )
    number = write_said(said, artefacts.output, kind, labels)
    summary = {
        "examples": number,
        "labels": list(labels),
        "input": artefacts.input,
        "output": artefacts.output,
        "run_dir": artefacts.run_dir,
    }
    if artefacts.output in ("", STANDARD_INPUT):
        return Printed(summary)
    return summary


def _write_lines(
    artefacts: Artefacts,
    general: General,
    knowledge: Knowledge,
    decoding: Decoding,
    parallel: ParallelText,
    inference: Inference,
) -> Printed:
    """Write a target to stdout for each source on stdin."""
    _check_alone("standard input")
    for flag in ("input", "output"):
        if getattr(artefacts, flag) not in ("", STANDARD_INPUT):
            raise ValueError(
                f"--{flag} is not for --task={general.task}, which reads "
                "standard input and writes to standard output."
            )
    loaded = load_model(
        artefacts.run_dir, heads=("generator",), needs=("generator",)
    )
    lower_precision(loaded.model, inference.precision)
    writer = Writer(
        loaded,
        decoding,
        max_source_length=parallel.max_source_length,
        batch_size=knowledge.predict_batch_size,
    )
    count = 0
    with standard_output() as file:
        for text in writer.write(_lines_of_stdin()):
            file.write(f"{text}\n")
            count += 1
    return Printed(
        task=general.task,
        lines=count,
        cut_sources=writer.cut,
        run_dir=artefacts.run_dir,
    )


def _lines_of_stdin() -> Iterator[str]:
    # Only newlines end lines, as in the files that models are trained on.
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield tidy(line.decode())
        except UnicodeDecodeError:
            raise ValueError(f"Line {number} of stdin is not UTF-8.") from None


if __name__ == "__main__":
    run_command(
        predict,
        Artefacts,
        General,
        Devices,
        Corpus,
        Knowledge,
        Answering,
        Decoding,
        ParallelText,
        Tables,
        Examples,
        Inference,
        needs=("run_dir",),
        examples=(
            "--task=sst2 --run_dir=runs/student "
            "--test_records=records/sst2-test --predictions=predictions",
            "--run_dir=runs/student --input=- <sentences.txt",
        ),
    )
