"""Makes records: of masked LM from text, of other tasks from their tables.

    python -m tfdistill.make_records --text=DIR --vocab_file=FILE --records=DIR
    python -m tfdistill.make_records --task=sst2 --data_dir=SST-2 \
        --vocab_file=FILE --records=DIR --eval_records=DIR --test_records=DIR

    python -m tfdistill.make_records --task=squad_v1 --input=train-v1.1.json \
        --vocab_file=FILE --records=DIR --eval_input=FILE --eval_records=DIR

    python -m tfdistill.make_records --task=translation --source_file=train.de \
        --target_file=train.en --vocab_file=pieces.txt --records=DIR

Where --words_file is given, records of tables hold whole words beside pieces.
Where the table of --input has columns of logits, they become the knowledge of
--knowledge_records, which are made instead of --records. --records_for makes
records for a model of a task's sentences.
Of text, --eval_fraction of the documents go to --eval_records, gone through
once. Of tables, train goes to --records, dev to --eval_records and test to
--test_records, as far as these are given; --input takes the place of train.
Of translation and summarisation, files of lines can take the place of tables,
for dev and test with --eval_source_file, --test_source_file and so on.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfdistill.config import FlagNeededError, run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Examples,
    General,
    Masking,
    ParallelText,
    Tables,
    Windows,
)
from tfdistill.tasks import CMLM, GENERATION, MLM, SQUAD, TASKS
from tfdistill.tasks.generation_records import make_pair_records
from tfdistill.tasks.glue import SentenceTask
from tfdistill.tasks.language_records import causal_layout, unmasked_layout
from tfdistill.tasks.logit_columns import LogitColumns, find_logit_columns
from tfdistill.tasks.mlm_records import make_masked_lm_records
from tfdistill.tasks.own_task import find_sentence_task
from tfdistill.tasks.sentence_records import sentence_layout
from tfdistill.tasks.squad_records import make_squad_records
from tfdistill.tasks.table_records import (
    Layout,
    Split,
    find_split,
    open_split,
    write_split,
)
from tfdistill.tasks.transfer_tables import table_of, transfer_columns
from tfdistill.text.causal import read_causal_tokenizer
from tfdistill.text.join_marks import JoinMarks
from tfdistill.text.sentence_pieces import SentencePieces
from tfdistill.text.shared_learning import check_learnt
from tfdistill.text.tokenizer import read_pieces, read_tokenizer
from tfdistill.text.words import read_words

_SPLITS = {
    "train": "records",
    "dev": "eval_records",
    "test": "test_records",
}


def make_records(
    artefacts: Artefacts,
    general: General,
    corpus: Corpus,
    examples: Examples,
    tables: Tables,
    masking: Masking,
    windows: Windows | None = None,
    parallel: ParallelText | None = None,
) -> dict[str, Any]:
    """Make records from text, tables, questions or parallel text."""
    if general.task not in TASKS:
        raise ValueError(
            f"Unknown task {general.task!r}. Known: {', '.join(TASKS)}."
        )
    if general.task == CMLM:
        raise ValueError(
            f"--task={CMLM} has no records of its own: it learns from those "
            f"of {' and '.join(GENERATION)}."
        )
    if general.task in GENERATION:
        return _from_pairs(
            artefacts,
            general,
            corpus,
            examples,
            tables,
            parallel or ParallelText(),
        )
    is_text = general.task == MLM.name
    needed = {MLM.name: ("text", "records")} | dict.fromkeys(
        SQUAD, ("input", "records")
    )
    _needed(artefacts, *needed.get(general.task, ("data_dir",)))
    if masking.eval_fraction or artefacts.eval_input:
        _needed(artefacts, "eval_records")
    _check_distinct(artefacts, general.task)
    casing = {"do_lower_case": corpus.do_lower_case}
    if tables.are_for_causal_lm:
        if general.task in (MLM.name, *SQUAD) or artefacts.words_file:
            raise ValueError(
                f"--records_for={tables.records_for} is for the tables of a "
                "task of sentences, and without --words_file."
            )
        return _from_tables(
            artefacts,
            general,
            tables,
            lambda task, split, logits: causal_layout(
                task,
                split,
                read_causal_tokenizer(
                    artefacts.vocab_file,
                    is_conditional=tables.records_for == "conditional_lm",
                ),
                examples,
                examples_per_shard=tables.examples_per_shard,
            ),
        )
    tokenizer = read_tokenizer(artefacts.vocab_file, casing)
    words = None
    if artefacts.words_file:
        words = read_words(artefacts.words_file, casing)
        if is_text:
            raise ValueError(
                "--words_file is for tasks of sentences, not for "
                f"--task={general.task}."
            )
    if is_text:
        return make_masked_lm_records(
            artefacts, general, examples, masking, tokenizer
        )
    if general.task in SQUAD:
        return make_squad_records(
            artefacts, general, examples, windows or Windows(), tokenizer
        )

    def layout(
        task: SentenceTask, split: Split, logits: LogitColumns | None
    ) -> Layout:
        if tables.records_for == "mlm":
            return unmasked_layout(
                task.name,
                split,
                tokenizer,
                examples,
                masking,
                examples_per_shard=tables.examples_per_shard,
            )
        return sentence_layout(
            task,
            split,
            tokenizer,
            words,
            examples,
            examples_per_shard=tables.examples_per_shard,
            logits=logits,
        )

    return _from_tables(artefacts, general, tables, layout)


def _from_pairs(
    artefacts: Artefacts,
    general: General,
    corpus: Corpus,
    examples: Examples,
    tables: Tables,
    parallel: ParallelText,
) -> dict[str, Any]:
    for is_asked, flag in (
        (tables.records_for != "task", "records_for"),
        (bool(artefacts.words_file), "words_file"),
        (examples.record_layout == "plain", "record_layout=plain"),
    ):
        if is_asked:
            raise ValueError(f"--{flag} is not for --task={general.task}.")
    _check_distinct(artefacts, general.task)
    pieces = read_pieces(
        artefacts.vocab_file,
        {
            "do_lower_case": corpus.do_lower_case,
            "is_moses_tokenized": parallel.is_moses_tokenized,
        },
    )
    if not isinstance(pieces, JoinMarks | SentencePieces):
        raise ValueError(
            f"{artefacts.vocab_file} holds no pieces that source and target "
            f"share: make_vocab learns them with --task={general.task}."
        )
    check_learnt(artefacts.vocab_file, pieces)
    return make_pair_records(
        artefacts, general, examples, parallel, tables, pieces
    )


def _needed(artefacts: Artefacts, *names: str) -> None:
    for name in names:
        if not getattr(artefacts, name):
            raise FlagNeededError(name)


def _from_tables(
    artefacts: Artefacts,
    general: General,
    tables: Tables,
    layout_of: Callable[[SentenceTask, Split, LogitColumns | None], Layout],
) -> dict[str, Any]:
    data_dir = artefacts.data_dir
    task = find_sentence_task(general.task, data_dir, tables)
    logits = None
    if artefacts.input and tables.records_for == "task":
        logits = find_logit_columns(
            artefacts.input, transfer_columns(task), len(task.labels) or 1
        )
    # All that a teacher has labelled is knowledge.
    flags = _SPLITS | ({"train": "knowledge_records"} if logits else {})
    if logits and not artefacts.knowledge_records:
        raise FlagNeededError("knowledge_records")
    wanted = {
        split: getattr(artefacts, flag)
        for split, flag in flags.items()
        if getattr(artefacts, flag)
    }
    if not wanted:
        raise ValueError(
            "--records, --eval_records or --test_records is needed."
        )
    # All tables have been read through before anything is written.
    splits = []
    for name, folder in wanted.items():
        # A transfer table says [MASK] where rules have masked a word.
        is_transfer = name == "train" and bool(artefacts.input)
        path, columns = table_of(task, data_dir, name, artefacts.input)
        split = find_split(
            task,
            name,
            path,
            columns,
            folder,
            keeps_masks=is_transfer,
            logits=logits if is_transfer else None,
        )
        layout = layout_of(task, split, logits if is_transfer else None)
        splits.append((split, layout))
    summary: dict[str, Any] = {"task": task.name, "labels": list(task.labels)}
    per_shard = tables.examples_per_shard
    # All folders have been accepted before any is made.
    writers = [
        open_split(split, layout, examples_per_shard=per_shard)
        for split, layout in splits
    ]
    for (split, layout), writer in zip(splits, writers, strict=True):
        made = write_split(split, layout, writer, examples_per_shard=per_shard)
        flag = flags[split.name]
        prefix = _SPLITS[split.name].removesuffix("records")
        summary[flag] = split.folder
        summary |= {f"{prefix}{name}": value for name, value in made.items()}
    return summary


def _check_distinct(artefacts: Artefacts, task: str) -> None:
    given = [f for f in _SPLITS.values() if getattr(artefacts, f)]
    if task in SQUAD:
        # Those to predict may be any, as they are not made here.
        given = [f for f in given if f != "test_records"]
    for one, other in itertools.combinations(given, 2):
        folder = getattr(artefacts, one)
        if Path(folder).resolve() == Path(getattr(artefacts, other)).resolve():
            raise ValueError(
                f"--{one} and --{other} are both {folder}; each needs a "
                "folder of its own."
            )


if __name__ == "__main__":
    run_command(
        make_records,
        Artefacts,
        General,
        Corpus,
        Examples,
        Tables,
        Masking,
        Windows,
        ParallelText,
        needs=("vocab_file",),
        examples=(
            "--text=text --vocab_file=vocab.txt --records=records/wiki",
            "--task=sst2 --data_dir=data/SST-2 --vocab_file=vocab.txt "
            "--records=records/sst2 --eval_records=records/sst2-dev",
        ),
    )
