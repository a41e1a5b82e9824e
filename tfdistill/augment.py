"""Makes more sentences of those of a task.

    python -m tfdistill.augment --task=sst2 --data_dir=SST-2 --method=rules \
        --output=sst2-rules.tsv
    python -m tfdistill.augment --task=sst2 --data_dir=SST-2 --method=lm \
        --model=runs/language_model --num_samples=100000 --output=sst2-lm.tsv
    python -m tfdistill.augment --task=sst2 --data_dir=SST-2 --method=mlm \
        --model=DIR --output=sst2-mlm.tsv
    python -m tfdistill.augment --task=sst2 --data_dir=SST-2 \
        --method=tinybert --model=DIR --vectors_file=FILE --output=sst2-aug.tsv

What rules and models of language make has no labels: it is for students that
learn what a teacher says of it. The task's own sentences stand in front.
`make_records --input` makes records of the table.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from absl import logging

from tfdistill.augmentation import (
    MASK_PROB,
    PAIR_ROUNDS,
    REPLACE_PROB,
    ROUNDS,
    SINGLE_ROUNDS,
    Left,
    Rules,
    WordsByTag,
    distinct,
    rule_samples,
    split_words,
    tag_sources,
    tinybert_variants,
)
from tfdistill.augmentation.parts import Make, in_parts, remove_parts
from tfdistill.config import FlagNeededError, run_command
from tfdistill.config.options import (
    Artefacts,
    Augmentation,
    Examples,
    General,
    Knowledge,
    Tables,
)
from tfdistill.files import read_json, sha256_of, write_json
from tfdistill.progress import Progress
from tfdistill.text.causal import CausalTokenizer
from tfdistill.text.parallel import process_count
from tfdistill.text.tables import Row, read_table, sentences_of
from tfdistill.text.word_pieces import WordPiece
from tfdistill.text.word_vectors import read_word_vectors

# Sentences and, where it is known, their label.
Example = tuple[Sequence[str], str | None]
# Of the vectors, as published: the most frequent words.
_MOST_VECTORS = 100_000
_ROUNDS_OF_OWN_TASKS = 20
_HEADS = {"tinybert": "masked_lm", "mlm": "masked_lm", "lm": "causal_lm"}
_OF_SAMPLING = ("num_samples", "temperature", "top_k", "top_p")


def augment(
    artefacts: Artefacts,
    general: General,
    examples: Examples,
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
    method = augmentation.method
    if method != "rules" and not artefacts.model:
        raise FlagNeededError("model")
    path = path_of(task, artefacts.data_dir, "train")
    loaded = None
    if method != "rules":
        loaded = _load(artefacts.model, _HEADS[method])
        if method == "mlm" and not isinstance(loaded.tokenizer, WordPiece):
            raise ValueError(
                f"--method=mlm needs a model of WordPiece; {artefacts.model} "
                "has another vocabulary."
            )
    vectors = artefacts.vectors_file
    made_of = {
        "task": task.name,
        "table": sha256_of(path),
        "random_seed": general.random_seed,
        "model": loaded.fingerprint if loaded else "",
        "tokenizer": loaded.tokenizer.fingerprint if loaded else "",
        "vectors_file": sha256_of(vectors) if vectors else "",
        **dataclasses.asdict(augmentation),
    }
    is_sampled = method in ("lm", "mlm")
    if is_sampled:
        made_of["max_seq_length"] = examples.max_seq_length
        made_of["batch_size"] = knowledge.predict_batch_size
    else:
        made_of = {k: v for k, v in made_of.items() if k not in _OF_SAMPLING}
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
        remove_parts(artefacts.output)
        return found["summary"]
    left = Left()
    made: Iterator[Example]
    if method == "rules":
        made = _by_rules(rows, general, augmentation)
    elif method == "tinybert":
        made = _as_tinybert(
            rows,
            loaded,
            task.name,
            artefacts,
            general,
            augmentation,
            knowledge,
        )
    else:
        sampled = _language_samples if method == "lm" else _filled_in
        make, total = sampled(
            rows, loaded, general, examples, augmentation, knowledge
        )
        samples = in_parts(artefacts.output, made_of, make, total=total)
        made = _behind_originals(rows, samples, left)
    summary: dict[str, Any] = {
        "task": task.name,
        "method": method,
        "rows": len(rows),
        "output": artefacts.output,
    }

    def noted() -> Iterator[Example]:
        for summary["examples"], example in enumerate(made, start=1):
            yield example
        if is_sampled:
            summary.update(dataclasses.asdict(left))
        # All is written, but does not have its name yet: what has it after a
        # kill has a note, too.
        write_json(note, {"made_of": made_of, "summary": summary})

    write_transfer_table(
        artefacts.output, task, noted(), has_labels=method == "tinybert"
    )
    remove_parts(artefacts.output)
    return summary


def _by_rules(
    rows: list[Row], general: General, augmentation: Augmentation
) -> Iterator[Example]:
    """Yield the sentences as they are, then what rules make of them."""
    rules = Rules(
        rounds=augmentation.augment_rounds,
        mask_prob=_chosen(augmentation.mask_prob, Rules.mask_prob),
        replace_prob=_chosen(augmentation.replace_prob, Rules.replace_prob),
        window_prob=augmentation.window_prob,
    )
    processes = process_count(general.num_processes)
    words = [tuple(map(split_words, sentences_of(row))) for row in rows]
    sources = tag_sources(
        words, language=augmentation.language, num_processes=processes
    )
    for row in rows:
        yield sentences_of(row), None
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
    loaded: Any,
    task: str,
    artefacts: Artefacts,
    general: General,
    augmentation: Augmentation,
    knowledge: Knowledge,
) -> Iterator[Example]:
    """Yield each sentence, and behind it what a masked LM makes of it."""
    from tfdistill.augmentation.asking import asking

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
            [sentences_of(row) for row in rows],
            ask=asking(loaded.model),
            tokenizer=loaded.tokenizer,
            vectors=vectors,
            rounds=rounds,
            seed=general.random_seed,
            batch_size=knowledge.predict_batch_size,
            max_seq_length=loaded.model.config.max_sequence_length,
            replace_prob=_chosen(augmentation.replace_prob, REPLACE_PROB),
        )
        for row, variants in zip(rows, found, strict=True):
            progress.advance(1)
            for sentences in variants:
                yield sentences, row.label


def _language_samples(
    rows: list[Row],
    loaded: Any,
    general: General,
    examples: Examples,
    augmentation: Augmentation,
    knowledge: Knowledge,
) -> tuple[Make, int]:
    """Returns what a language model makes, and how much."""
    from tfdistill.augmentation.language_model import language_samples
    from tfdistill.augmentation.sampling import Sampling

    assert isinstance(loaded.tokenizer, CausalTokenizer)
    most = loaded.model.config.most_tokens
    sampling = Sampling(
        temperature=augmentation.temperature,
        top_k=augmentation.top_k,
        top_p=augmentation.top_p,
        max_tokens=min(examples.max_seq_length, most or 1 << 16),
        never_ids=loaded.tokenizer.never_ids,
    )
    make = language_samples(
        loaded.model,
        loaded.tokenizer,
        [sentences_of(row) for row in rows],
        sampling,
        seed=general.random_seed,
        batch_size=knowledge.predict_batch_size,
    )
    return make, augmentation.num_samples


def _filled_in(
    rows: list[Row],
    loaded: Any,
    general: General,
    examples: Examples,
    augmentation: Augmentation,
    knowledge: Knowledge,
) -> tuple[Make, int]:
    """Returns what a masked LM makes, and how much."""
    from tfdistill.augmentation.masked_words import masked_word_samples

    originals = [sentences_of(row) for row in rows]
    published = SINGLE_ROUNDS if len(originals[0]) == 1 else PAIR_ROUNDS
    rounds = augmentation.augment_rounds or published
    make = masked_word_samples(
        loaded.model,
        loaded.tokenizer,
        originals,
        rounds=rounds,
        mask_prob=_chosen(augmentation.mask_prob, MASK_PROB),
        seed=general.random_seed,
        batch_size=knowledge.predict_batch_size,
        max_seq_length=min(
            examples.max_seq_length, loaded.model.config.max_sequence_length
        ),
    )
    return make, rounds * len(rows)


def _behind_originals(
    rows: list[Row], samples: Iterator[str | None], left: Left
) -> Iterator[Example]:
    """Yield the sentences as they are, then the samples that are new."""
    originals = [sentences_of(row) for row in rows]
    for sentences in originals:
        yield sentences, None
    for sentences in distinct(samples, originals, left):
        yield sentences, None


def _load(folder: str, head: str) -> Any:
    from tfdistill.models.formats import load_model

    needs = ("masked_lm",) if head == "masked_lm" else ("encoder",)
    return load_model(folder, heads=(head,), needs=needs)


def _chosen(chosen: float, published: float) -> float:
    return published if chosen < 0 else chosen


if __name__ == "__main__":
    run_command(
        augment,
        Artefacts,
        General,
        Examples,
        Tables,
        Augmentation,
        Knowledge,
        needs=("task", "data_dir", "output"),
        examples=(
            "--task=sst2 --data_dir=data/SST-2 --output=sst2-rules.tsv",
            "--method=tinybert --task=mrpc --data_dir=data/MRPC --model=bert "
            "--vectors_file=glove.txt --output=mrpc-more.tsv",
        ),
    )
