"""Makes more sentences of those of a task.

    python -m tfdistill.augment --task=sst2 --data_dir=SST-2 --method=rules \
        --output=sst2-rules.tsv
    python -m tfdistill.augment --task=sst2 --data_dir=SST-2 \
        --method=tinybert --model=DIR --vectors_file=FILE --output=sst2-aug.tsv

What rules make has no labels: it is for students that learn what a teacher
says of it. `make_records --input` makes records of the table.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

from absl import logging

from tfdistill.augmentation import (
    REPLACE_PROB,
    ROUNDS,
    Rules,
    WordsByTag,
    rule_samples,
    split_words,
    tag_sources,
    tinybert_variants,
)
from tfdistill.config import FlagNeededError, run_command
from tfdistill.config.options import (
    Artefacts,
    Augmentation,
    General,
    Knowledge,
    Tables,
)
from tfdistill.files import read_json, sha256_of, write_json
from tfdistill.progress import Progress
from tfdistill.text.parallel import process_count
from tfdistill.text.tables import Row, read_table
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.text.word_vectors import read_word_vectors

# Sentences and, where it is known, their label.
Example = tuple[Sequence[str], str | None]
# Of the vectors, as published: the most frequent words.
_MOST_VECTORS = 100_000
_ROUNDS_OF_OWN_TASKS = 20


def augment(
    artefacts: Artefacts,
    general: General,
    tables: Tables,
    augmentation: Augmentation,
    knowledge: Knowledge,
) -> dict[str, Any]:
    """Make more sentences of those of a task."""
    # Processes that make samples import this module; they need no TensorFlow,
    # which takes seconds.
    from tfdistill.tasks.glue import path_of
    from tfdistill.tasks.own_task import find_sentence_task
    from tfdistill.tasks.transfer_tables import write_transfer_table

    task = find_sentence_task(general.task, artefacts.data_dir, tables)
    if augmentation.method == "tinybert" and not artefacts.model:
        raise FlagNeededError("model")
    path = path_of(task, artefacts.data_dir, "train")
    made_of = {
        "task": task.name,
        "table": sha256_of(path),
        "random_seed": general.random_seed,
        "model": artefacts.model if augmentation.method == "tinybert" else "",
        "vectors_file": artefacts.vectors_file,
        **dataclasses.asdict(augmentation),
    }
    rows = list(read_table(path, task.columns["train"]))
    note = pathlib.Path(f"{artefacts.output}.json")
    if pathlib.Path(artefacts.output).exists():
        found = read_json(note) if note.exists() else {}
        if found.get("made_of") != made_of:
            raise ValueError(
                f"{artefacts.output} is there already, made of other input "
                "or with other settings. Remove it or choose another name."
            )
        logging.info("%s is finished already.", artefacts.output)
        return found["summary"]
    made: Iterator[Example]
    if augmentation.method == "rules":
        made = _by_rules(rows, general, augmentation)
    else:
        made = _as_tinybert(
            rows, task.name, artefacts, general, augmentation, knowledge
        )
    has_labels = augmentation.method != "rules"
    count = write_transfer_table(
        artefacts.output, task, made, has_labels=has_labels
    )
    summary = {
        "task": task.name,
        "method": augmentation.method,
        "rows": len(rows),
        "output": artefacts.output,
        "examples": count,
    }
    write_json(note, {"made_of": made_of, "summary": summary})
    return summary


def _by_rules(
    rows: list[Row], general: General, augmentation: Augmentation
) -> Iterator[Example]:
    """Yield the sentences as they are, then what rules make of them."""
    rules = Rules(
        rounds=augmentation.augment_rounds,
        mask_prob=augmentation.mask_prob,
        replace_prob=_replace_prob(augmentation, Rules.replace_prob),
        window_prob=augmentation.window_prob,
    )
    processes = process_count(general.num_processes)
    words = [tuple(map(split_words, _sentences(row))) for row in rows]
    sources = tag_sources(
        words, language=augmentation.language, num_processes=processes
    )
    for row in rows:
        yield _sentences(row), None
    with Progress("augmenting", len(rows), unit=" rows") as progress:
        done = 0
        for sample in rule_samples(
            sources,
            WordsByTag.of(sources),
            rules,
            seed=general.random_seed,
            num_processes=processes,
        ):
            progress.advance(sample.source - done)
            done = sample.source
            yield sample.sentences, None


def _as_tinybert(
    rows: list[Row],
    task: str,
    artefacts: Artefacts,
    general: General,
    augmentation: Augmentation,
    knowledge: Knowledge,
) -> Iterator[Example]:
    """Yield each sentence, and behind it what a masked LM makes of it."""
    from tfdistill.augmentation.asking import asking
    from tfdistill.models.formats import load_model

    loaded = load_model(
        artefacts.model, heads=("masked_lm",), needs=("masked_lm",)
    )
    # No model with a masked-LM head has another tokenizer.
    tokenizer = cast(Tokenizer, loaded.tokenizer)
    vectors = None
    if artefacts.vectors_file:
        vectors = read_word_vectors(
            artefacts.vectors_file, max_words=_MOST_VECTORS
        )
    rounds = augmentation.augment_rounds or ROUNDS.get(
        task, _ROUNDS_OF_OWN_TASKS
    )
    with Progress("augmenting", len(rows), unit=" rows") as progress:
        found = tinybert_variants(
            [_sentences(row) for row in rows],
            ask=asking(loaded.model),
            tokenizer=tokenizer,
            vectors=vectors,
            rounds=rounds,
            seed=general.random_seed,
            batch_size=knowledge.predict_batch_size,
            max_seq_length=loaded.model.config.max_sequence_length,
            replace_prob=_replace_prob(augmentation, REPLACE_PROB),
        )
        for row, variants in zip(rows, found, strict=True):
            progress.advance(1)
            for sentences in variants:
                yield sentences, row.label


def _replace_prob(augmentation: Augmentation, published: float) -> float:
    chosen = augmentation.replace_prob
    return published if chosen < 0 else chosen


def _sentences(row: Row) -> tuple[str, ...]:
    return (row.first,) if row.second is None else (row.first, row.second)


if __name__ == "__main__":
    run_command(
        augment,
        Artefacts,
        General,
        Tables,
        Augmentation,
        Knowledge,
        needs=("task", "data_dir", "output"),
        example="--task=sst2 --data_dir=data/SST-2 --output=sst2-rules.tsv",
    )
