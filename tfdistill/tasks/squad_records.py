"""Records of questions: from SQuAD's JSON to shards."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from absl import logging

from tfdistill.config.options import Artefacts, Examples, General
from tfdistill.config.question_answering import Windows
from tfdistill.progress import Progress
from tfdistill.records import (
    RecordSetWriter,
    Schema,
)
from tfdistill.records.spans import span_features
from tfdistill.tasks.question_answering import QUESTIONS, SQUAD_V2
from tfdistill.tasks.squad_oddities import count_oddities
from tfdistill.tasks.squad_shards import ShardJob, places_of, write_shard
from tfdistill.text.parallel import map_in_order, process_count
from tfdistill.text.squad import QuestionFile, read_questions
from tfdistill.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class _Split:
    """A file of questions, and the records to make of it."""

    name: str
    file: QuestionFile
    schema: Schema
    writer: RecordSetWriter


def make_squad_records(
    artefacts: Artefacts,
    general: General,
    examples: Examples,
    windows: Windows,
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    """Make records of --input, and of --eval_input where it is given.

    Returns:
        What the command prints.

    Raises:
        ValueError: A file or a setting does not do, or a folder holds
            something else.
    """
    _check(examples, windows, tokenizer)
    # All files have been read and all folders accepted before any is made.
    files = {"train": _read(artefacts.input, general.task)}
    folders = {"train": artefacts.records, "dev": artefacts.eval_records}
    if artefacts.eval_input:
        files["dev"] = _read(artefacts.eval_input, general.task)
    splits = [
        _open(name, file, folders[name], general, examples, windows, tokenizer)
        for name, file in files.items()
    ]
    jobs = [
        job
        for split in splits
        for job in _jobs(
            split, folders[split.name], artefacts, windows, tokenizer
        )
    ]
    for split in splits:
        if split.writer.finished is None:
            split.writer.begin()
    if jobs:
        _run(jobs, process_count(general.num_processes))
    else:
        logging.info("%s is finished already.", artefacts.records)
    summary: dict[str, Any] = {"task": general.task}
    for split in splits:
        records = split.writer.finished or split.writer.finish()
        prefix = "" if split.name == "train" else "eval_"
        summary[f"{prefix}records"] = folders[split.name]
        counts = {
            "questions": len(split.file.questions),
            "examples": records.examples,
            "shards": len(records.shards),
            **count_oddities(
                split.file,
                records,
                tokenizer,
                max_query_length=windows.max_query_length,
            ),
        }
        summary |= {f"{prefix}{name}": n for name, n in counts.items()}
    return summary


def _check(examples: Examples, windows: Windows, tokenizer: Tokenizer) -> None:
    if examples.record_layout != "packed":
        raise ValueError(
            f"--record_layout={examples.record_layout} is not for questions, "
            "whose records are packed."
        )
    longest = [tokenizer.mask_id] * windows.max_query_length
    _, room = places_of(longest, tokenizer, examples.max_seq_length)
    if room < 1:
        raise ValueError(
            f"--max_query_length={windows.max_query_length} leaves no room "
            f"for texts in --max_seq_length={examples.max_seq_length}."
        )


def _read(path: str, task: str) -> QuestionFile:
    return read_questions(path, allows_impossible=task == SQUAD_V2)


def _open(
    name: str,
    file: QuestionFile,
    folder: str,
    general: General,
    examples: Examples,
    windows: Windows,
    tokenizer: Tokenizer,
) -> _Split:
    schema = Schema(
        span_features(
            examples.max_seq_length,
            len(tokenizer.vocabulary),
            num_questions=len(file.questions),
            num_characters=max(len(q.context) for q in file.questions),
            has_answers=file.is_labelled,
        ),
        compression=examples.record_compression,
    )
    num_shards = math.ceil(len(file.questions) / windows.questions_per_shard)
    writer = RecordSetWriter(
        folder,
        schema=schema,
        identity={
            "task": general.task,
            "split": name,
            "tokenizer": tokenizer.fingerprint,
            **tokenizer.settings,
            "settings": dataclasses.asdict(examples)
            | dataclasses.asdict(windows),
            "questions": file.fingerprint,
        },
        shard_names=[
            f"{name}-{i:05d}-of-{num_shards:05d}.tfrecord"
            for i in range(num_shards)
        ],
        files=tokenizer.files() | {QUESTIONS: Path(file.path).read_bytes()},
    )
    return _Split(name, file, schema, writer)


def _jobs(
    split: _Split,
    folder: str,
    artefacts: Artefacts,
    windows: Windows,
    tokenizer: Tokenizer,
) -> list[ShardJob]:
    if split.writer.finished is not None:
        return []
    missing = set(split.writer.missing())
    size = windows.questions_per_shard
    return [
        ShardJob(
            split.file.questions[i * size : (i + 1) * size],
            i * size,
            Path(folder) / name,
            artefacts.vocab_file,
            tokenizer.settings,
            split.schema,
            windows,
        )
        for i, name in enumerate(split.writer.shard_names)
        if name in missing
    ]


def _run(jobs: list[ShardJob], processes: int) -> None:
    total = sum(len(job.questions) for job in jobs)
    with Progress("making records", total, unit=" questions") as progress:
        for done in map_in_order(
            write_shard, jobs, max(1, min(processes, len(jobs)))
        ):
            progress.advance(done)
