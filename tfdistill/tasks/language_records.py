"""Records of a task's sentences for models of language.

A causal model reads a text up to its end; a masked LM reads what the task's
own models do, and masks are drawn while it is trained.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from tfdistill.config.options import Examples, Masking
from tfdistill.records import (
    Schema,
    causal_features,
    masked_lm_features,
)
from tfdistill.records.schema import Example
from tfdistill.tasks.causal_lm import CAUSAL_LM
from tfdistill.tasks.glue import SentenceTask
from tfdistill.tasks.mlm import MLM
from tfdistill.tasks.sentence_records import laid_out
from tfdistill.tasks.table_records import Layout, Split
from tfdistill.text.causal import SEPARATOR, CausalTokenizer, num_given
from tfdistill.text.tables import Row, sentences_of
from tfdistill.text.tokenizer import Tokenizer


def causal_layout(
    task: SentenceTask,
    split: Split,
    tokenizer: CausalTokenizer,
    examples: Examples,
    *,
    examples_per_shard: int,
) -> Layout:
    """Describe records of texts and their ends, cut if they are too long.

    Beside the ids they hold how many characters and words are predicted of a
    text that is whole; of one that is cut, of what is left of it.

    Args:
        task: Whose sentences they are.
        split: Its table.
        tokenizer: Of the language model.
        examples: How long they are.
        examples_per_shard: In a shard, at most.

    Raises:
        ValueError: The model is one of second sentences, which there are none
            of.
    """
    most = examples.max_seq_length
    is_conditional = tokenizer.is_conditional
    if is_conditional and not task.is_pair:
        raise ValueError(
            "A conditional language model writes second sentences; the "
            f"examples of {task.name} have one."
        )

    def encode(rows: list[Row]) -> Iterator[Example]:
        texts = [sentences_of(row) for row in rows]
        for sentences, ids in zip(texts, tokenizer.encode(texts), strict=True):
            text = SEPARATOR.join(sentences)
            if len(ids) > most:
                text = tokenizer.decode(ids[:most])
            if is_conditional:
                text = text.partition(SEPARATOR)[2]
            example = {
                "input_ids": np.array(ids[:most], np.int64),
                "num_characters": np.array([len(text)]),
                # A separator is a word, as published.
                "num_words": np.array([len(text.split(" ")) if text else 0]),
            }
            if is_conditional:
                places = np.arange(len(example["input_ids"]))
                given = num_given(tokenizer, ids)
                example["segment_ids"] = (places >= given).astype(np.int64)
            yield example

    features = causal_features(
        most, len(tokenizer.vocabulary), is_conditional=is_conditional
    )
    return Layout(
        schema=Schema(
            features, examples.record_layout, examples.record_compression
        ),
        identity={
            "task": CAUSAL_LM.name,
            "of_task": task.name,
            "split": split.name,
            "tokenizer": tokenizer.fingerprint,
            **tokenizer.settings,
            "settings": dataclasses.asdict(examples)
            | {"examples_per_shard": examples_per_shard},
            "table": split.fingerprint,
        },
        files=tokenizer.files(),
        encode=encode,
    )


def unmasked_layout(
    task: str,
    split: Split,
    tokenizer: Tokenizer,
    examples: Examples,
    masking: Masking,
    *,
    examples_per_shard: int,
) -> Layout:
    """Describe records for a masked LM whose masks are drawn in training.

    Args: as `causal_layout`, and `masking`: the share of tokens to mask, and
        whether words are masked whole.
    """

    def encode(rows: list[Row]) -> Iterator[Example]:
        for ids, segments in laid_out(tokenizer, rows, examples.max_seq_length):
            yield {"input_ids": ids, "segment_ids": segments}

    features = masked_lm_features(
        max_seq_length=examples.max_seq_length,
        max_predictions_per_seq=masking.max_predictions_per_seq,
        vocabulary_size=len(tokenizer.vocabulary),
        is_masked=False,
        has_next_sentence=False,
    )
    return Layout(
        schema=Schema(
            features, examples.record_layout, examples.record_compression
        ),
        identity={
            "task": MLM.name,
            "of_task": task,
            "split": split.name,
            "tokenizer": tokenizer.fingerprint,
            **tokenizer.settings,
            "settings": dataclasses.asdict(examples)
            | {
                "examples_per_shard": examples_per_shard,
                "dynamic_masking": True,
                "max_predictions_per_seq": masking.max_predictions_per_seq,
                "masked_lm_prob": masking.masked_lm_prob,
                "do_whole_word_mask": masking.do_whole_word_mask,
            },
            "table": split.fingerprint,
        },
        files=tokenizer.files(),
        encode=encode,
    )
