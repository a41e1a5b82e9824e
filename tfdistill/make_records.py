"""Makes masked-LM records from text.

    python -m tfdistill.make_records --text=DIR --vocab_file=FILE --records=DIR

With --eval_fraction, that share of the documents goes to --eval_records,
gone through once.
"""

import dataclasses
import functools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from tfdistill.config import run_command
from tfdistill.config.options import Artefacts, Corpus, General, Masking
from tfdistill.progress import Progress
from tfdistill.records import RecordSetWriter, Schema, masked_lm_features
from tfdistill.records.writer import ShardWriter
from tfdistill.text.documents import text_files
from tfdistill.text.instances import (
    Instance,
    packed_sequences,
    sentence_pairs,
)
from tfdistill.text.masking import mask_tokens, num_predictions
from tfdistill.text.parallel import map_in_order, process_count
from tfdistill.text.tokenizer import Tokenizer, read_vocabulary
from tfdistill.text.units import Plan, Unit, plan_units, read_unit


@dataclasses.dataclass(frozen=True)
class _Job:
    """One shard to write: everything that a process needs for it."""

    unit: Unit
    seed: str
    path: Path
    dupe_factor: int
    vocab_file: str
    do_lower_case: bool
    schema: Schema
    masking: Masking


def make_records(
    artefacts: Artefacts, general: General, corpus: Corpus, masking: Masking
) -> dict[str, Any]:
    """Make masked-LM records from text."""
    if general.task != "mlm":
        raise ValueError(f"Unknown task {general.task!r}. Known: mlm.")
    if masking.eval_fraction:
        _check_eval_records(artefacts)
    tokenizer = _tokenizer(artefacts.vocab_file, corpus.do_lower_case)
    plan = plan_units(
        text_files(artefacts.text),
        unit_bytes=masking.record_unit_bytes,
        eval_fraction=masking.eval_fraction,
    )
    _check(plan, masking, artefacts)
    schema = _schema(masking, len(tokenizer.vocabulary))
    folders = {"train": artefacts.records, "eval": artefacts.eval_records}
    writers: dict[str, RecordSetWriter] = {}
    jobs: list[_Job] = []
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
                "do_lower_case": tokenizer.do_lower_case,
                "random_seed": general.random_seed,
                "settings": dataclasses.asdict(masking),
                "text": plan.text_fingerprint,
            },
            shard_names=names,
            vocabulary=Path(artefacts.vocab_file).read_bytes(),
        )
        writers[split] = writer
        if writer.finished is None:
            missing = set(writer.missing())
            jobs += [
                _Job(
                    unit,
                    f"{general.random_seed} {split} {i}",
                    Path(folders[split]) / name,
                    dupe_factor,
                    artefacts.vocab_file,
                    corpus.do_lower_case,
                    schema,
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


def _tokenizer(vocab_file: str, do_lower_case: bool) -> Tokenizer:
    return Tokenizer(
        read_vocabulary(vocab_file),
        do_lower_case=do_lower_case,
        source=vocab_file,
    )


def _check_eval_records(artefacts: Artefacts) -> None:
    if not artefacts.eval_records:
        raise ValueError("--eval_fraction needs --eval_records.")
    folders = {artefacts.records, artefacts.eval_records}
    if len({Path(folder).resolve() for folder in folders}) == 1:
        raise ValueError(
            f"--records and --eval_records are both {artefacts.records}; "
            "each needs a folder of its own."
        )


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


def _schema(masking: Masking, vocabulary_size: int) -> Schema:
    return Schema(
        masked_lm_features(
            max_seq_length=masking.max_seq_length,
            max_predictions_per_seq=masking.max_predictions_per_seq,
            vocabulary_size=vocabulary_size,
            is_masked=not masking.dynamic_masking,
            has_next_sentence=masking.use_next_sentence_label,
        ),
        masking.record_layout,
    )


def _run(jobs: list[_Job], processes: int) -> None:
    total = sum(_size(job.unit) for job in jobs)
    with Progress("making records", total, unit="B", scale=True) as progress:
        for done in map_in_order(
            _write, jobs, max(1, min(processes, len(jobs)))
        ):
            progress.advance(done)


def _size(unit: Unit) -> int:
    return sum(end - start for _, start, end in unit.ranges)


class _Worker:
    """Writes shards, one unit of text each."""

    def __init__(
        self, tokenizer: Tokenizer, schema: Schema, masking: Masking
    ) -> None:
        self._tokenizer = tokenizer
        self._schema = schema
        self._masking = masking

    def write(self, job: _Job) -> int:
        """Write one shard; returns the bytes of text that went into it."""
        rng = random.Random(job.seed)
        documents = self._tokenized(read_unit(job.unit))
        rng.shuffle(documents)
        examples = [
            self._schema.encode(self._features(instance, rng))
            for _ in range(job.dupe_factor)
            for instance in self._instances(documents, rng)
        ]
        rng.shuffle(examples)
        with ShardWriter(job.path, self._schema) as out:
            for example in examples:
                out.add_serialized(example)
        return _size(job.unit)

    def _tokenized(self, documents: list[list[str]]) -> list[list[list[int]]]:
        lines = [line for document in documents for line in document]
        ids = iter(self._tokenizer.tokenize(lines))
        tokenized = [
            [tokens for _ in document if (tokens := next(ids))]
            for document in documents
        ]
        return [document for document in tokenized if document]

    def _instances(
        self, documents: list[list[list[int]]], rng: random.Random
    ) -> Iterator[Instance]:
        tokenizer, masking = self._tokenizer, self._masking
        if not masking.use_next_sentence_label:
            yield from packed_sequences(
                documents,
                max_seq_length=masking.max_seq_length,
                cls_id=tokenizer.cls_id,
                sep_id=tokenizer.sep_id,
            )
            return
        for index in range(len(documents)):
            yield from sentence_pairs(
                documents,
                index,
                max_seq_length=masking.max_seq_length,
                short_seq_prob=masking.short_seq_prob,
                cls_id=tokenizer.cls_id,
                sep_id=tokenizer.sep_id,
                rng=rng,
            )

    def _features(
        self, instance: Instance, rng: random.Random
    ) -> dict[str, np.ndarray]:
        tokenizer, masking = self._tokenizer, self._masking
        length = len(instance.input_ids)
        features = {
            "segment_ids": np.arange(length) >= instance.first_segment_length
        }
        if instance.is_random_next is not None:
            features["next_sentence_labels"] = np.array(
                [int(instance.is_random_next)]
            )
        ids = instance.input_ids
        if not masking.dynamic_masking:
            ids, positions, labels = mask_tokens(
                ids,
                num_to_predict=num_predictions(
                    length,
                    masking.masked_lm_prob,
                    masking.max_predictions_per_seq,
                ),
                special_ids=frozenset({tokenizer.cls_id, tokenizer.sep_id}),
                mask_id=tokenizer.mask_id,
                vocabulary_size=len(tokenizer.vocabulary),
                rng=rng,
                continues_word=tokenizer.continues_word
                if masking.do_whole_word_mask
                else None,
            )
            features["masked_lm_positions"] = np.array(positions, np.int64)
            features["masked_lm_ids"] = np.array(labels, np.int64)
        features["input_ids"] = np.array(ids)
        features["segment_ids"] = features["segment_ids"].astype(np.int64)
        return features


@functools.cache
def _worker(
    vocab_file: str, do_lower_case: bool, schema: Schema, masking: Masking
) -> _Worker:
    return _Worker(_tokenizer(vocab_file, do_lower_case), schema, masking)


def _write(job: _Job) -> int:
    # The first job of a process makes its tokenizer.
    worker = _worker(job.vocab_file, job.do_lower_case, job.schema, job.masking)
    return worker.write(job)


if __name__ == "__main__":
    run_command(
        make_records,
        Artefacts,
        General,
        Corpus,
        Masking,
        needs=("text", "vocab_file", "records"),
        example="--text=text --vocab_file=vocab.txt --records=records/wiki",
    )
