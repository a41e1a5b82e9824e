"""Masked-LM records: text is planned into shards, shards are written."""

import dataclasses
from pathlib import Path
from typing import Any

from absl import logging

from tfdistill.config.options import Artefacts, Examples, General, Masking
from tfdistill.progress import Progress
from tfdistill.records import RecordSetWriter, Schema, masked_lm_features
from tfdistill.tasks.mlm_shards import ShardJob, unit_size, write_shard
from tfdistill.text.documents import text_files
from tfdistill.text.parallel import map_in_order, process_count
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.text.units import Plan, plan_units


def make_masked_lm_records(
    artefacts: Artefacts,
    general: General,
    examples: Examples,
    masking: Masking,
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    """Make the records of text, and those held out of it.

    Returns:
        What the command prints.

    Raises:
        ValueError: The text does not do, or a folder holds something else.
    """
    plan = plan_units(
        text_files(artefacts.text),
        unit_bytes=masking.record_unit_bytes,
        eval_fraction=masking.eval_fraction,
    )
    _check(plan, masking, artefacts)
    schema = _schema(examples, masking, len(tokenizer.vocabulary))
    folders = {"train": artefacts.records, "eval": artefacts.eval_records}
    writers: dict[str, RecordSetWriter] = {}
    jobs: list[ShardJob] = []
    for split, units in plan.units.items():
        if not units:
            continue
        names = [
            f"{split}-{i:05d}-of-{len(units):05d}.tfrecord"
            for i in range(len(units))
        ]
        dupe_factor = (
            masking.dupe_factor
            if split == "train" and not masking.dynamic_masking
            else 1
        )
        writer = RecordSetWriter(
            folders[split],
            schema=schema,
            identity={
                "task": "mlm",
                "split": split,
                "tokenizer": tokenizer.fingerprint,
                **tokenizer.settings,
                "random_seed": general.random_seed,
                "settings": dataclasses.asdict(masking)
                | dataclasses.asdict(examples),
                "text": plan.text_fingerprint,
            },
            shard_names=names,
            files=tokenizer.files(),
        )
        writers[split] = writer
        if writer.finished is None:
            missing = set(writer.missing())
            jobs += [
                ShardJob(
                    unit,
                    f"{general.random_seed} {split} {i}",
                    Path(folders[split]) / name,
                    dupe_factor,
                    artefacts.vocab_file,
                    tokenizer.settings,
                    schema,
                    examples,
                    masking,
                )
                for i, (unit, name) in enumerate(zip(units, names, strict=True))
                if name in missing
            ]
    # Both folders have been accepted before either is made.
    for writer in writers.values():
        if writer.finished is None:
            writer.begin()
    if jobs:
        _run(jobs, process_count(general.num_processes))
    else:
        logging.info("%s is finished already.", artefacts.records)
    summary: dict[str, Any] = {
        "documents": plan.documents["train"],
        "eval_documents": plan.documents["eval"],
    }
    for split, prefix in (("train", ""), ("eval", "eval_")):
        if split in writers:
            records = writers[split].finished or writers[split].finish()
            summary |= {
                f"{prefix}records": folders[split],
                f"{prefix}examples": records.examples,
                f"{prefix}shards": len(records.shards),
            }
    return summary


def _check(plan: Plan, masking: Masking, artefacts: Artefacts) -> None:
    if not plan.units["train"]:
        raise ValueError(f"{artefacts.text} holds no documents to train on.")
    if masking.eval_fraction and not plan.units["eval"]:
        raise ValueError(
            f"--eval_fraction={masking.eval_fraction} of "
            f"{plan.documents['train']} documents leaves none to evaluate on."
        )
    for split, count in plan.documents.items():
        if masking.use_next_sentence_label and count == 1:
            raise ValueError(
                f"{artefacts.text} gives a single document for {split}: "
                "there is no other to draw random next sentences from. Put "
                "blank lines between documents, or use "
                "--use_next_sentence_label=false."
            )


def _schema(
    examples: Examples, masking: Masking, vocabulary_size: int
) -> Schema:
    return Schema(
        masked_lm_features(
            max_seq_length=examples.max_seq_length,
            max_predictions_per_seq=masking.max_predictions_per_seq,
            vocabulary_size=vocabulary_size,
            is_masked=not masking.dynamic_masking,
            has_next_sentence=masking.use_next_sentence_label,
        ),
        examples.record_layout,
        examples.record_compression,
    )


def _run(jobs: list[ShardJob], processes: int) -> None:
    total = sum(unit_size(job.unit) for job in jobs)
    with Progress("making records", total, unit="B", scale=True) as progress:
        for done in map_in_order(
            write_shard, jobs, max(1, min(processes, len(jobs)))
        ):
            progress.advance(done)
