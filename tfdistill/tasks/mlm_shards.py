"""Masked-LM examples: from units of text to shards of records.

A shard depends on its unit, its seed and the settings alone, so it does not
matter which process writes it.
"""

import dataclasses
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfdistill.config.options import Examples, Masking
from tfdistill.records import Schema
from tfdistill.records.writer import ShardWriter
from tfdistill.text.instances import (
    Instance,
    packed_sequences,
    sentence_pairs,
)
from tfdistill.text.masking import mask_tokens, num_predictions
from tfdistill.text.tokenizer import Tokenizer, shared_tokenizer
from tfdistill.text.units import Unit, read_unit

_EXAMPLES_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """One shard to write: everything that a process needs for it."""

    unit: Unit
    seed: str
    path: Path
    dupe_factor: int
    vocab_file: str
    tokenizer_settings: dict[str, Any]
    schema: Schema
    examples: Examples
    masking: Masking


def unit_size(unit: Unit) -> int:
    """Returns the bytes of text in a unit."""
    return sum(end - start for _, start, end in unit.ranges)


class _Worker:
    """Writes shards, one unit of text each."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        schema: Schema,
        examples: Examples,
        masking: Masking,
    ) -> None:
        self._tokenizer = tokenizer
        self._schema = schema
        self._max_seq_length = examples.max_seq_length
        self._masking = masking

    def write(self, job: ShardJob) -> int:
        """Write one shard; returns the bytes of text that went into it."""
        rng = random.Random(job.seed)
        documents = self._tokenized(read_unit(job.unit))
        rng.shuffle(documents)
        made = (
            self._features(instance, rng)
            for _ in range(job.dupe_factor)
            for instance in self._instances(documents, rng)
        )
        examples = []
        while some := list(itertools.islice(made, _EXAMPLES_AT_ONCE)):
            examples += self._schema.encode_all(some)
        rng.shuffle(examples)
        with ShardWriter(job.path, self._schema) as out:
            for example in examples:
                out.add_serialized(example)
        return unit_size(job.unit)

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
                max_seq_length=self._max_seq_length,
                cls_id=tokenizer.cls_id,
                sep_id=tokenizer.sep_id,
            )
            return
        for index in range(len(documents)):
            yield from sentence_pairs(
                documents,
                index,
                max_seq_length=self._max_seq_length,
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


def write_shard(job: ShardJob) -> int:
    """Write one shard; returns the bytes of text that went into it."""
    tokenizer = shared_tokenizer(job.vocab_file, job.tokenizer_settings)
    return _Worker(tokenizer, job.schema, job.examples, job.masking).write(job)
