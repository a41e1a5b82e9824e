"""Makes records: of masked LM from text, of other tasks from their tables.

    python -m tfdistill.make_records --text=DIR --vocab_file=FILE --records=DIR
    python -m tfdistill.make_records --task=sst2 --data_dir=SST-2 \
        --vocab_file=FILE --records=DIR --eval_records=DIR --test_records=DIR

Of text, --eval_fraction of the documents go to --eval_records, gone through
once. Of tables, train goes to --records, dev to --eval_records and test to
--test_records, as far as these are given; --input takes the place of train.
"""

import itertools
from pathlib import Path
from typing import Any

from tfdistill.config import FlagNeededError, run_command
from tfdistill.config.options import (
    Artefacts,
    Corpus,
    Examples,
    General,
    Masking,
    Tables,
)
from tfdistill.tasks import MLM, TASKS
from tfdistill.tasks.glue import path_of
from tfdistill.tasks.mlm_records import make_masked_lm_records
from tfdistill.tasks.own_task import find_sentence_task
from tfdistill.tasks.sentence_records import (
    find_split,
    open_split,
    write_split,
)
from tfdistill.tasks.transfer_tables import transfer_columns
from tfdistill.text.tokenizer import Tokenizer, read_tokenizer

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
) -> dict[str, Any]:
    """Make records from text, or from the tables of a task."""
    if general.task not in TASKS:
        raise ValueError(
            f"Unknown task {general.task!r}. Known: {', '.join(TASKS)}."
        )
    is_text = general.task == MLM.name
    _needed(artefacts, *(("text", "records") if is_text else ("data_dir",)))
    if masking.eval_fraction:
        _needed(artefacts, "eval_records")
    _check_distinct(artefacts)
    tokenizer = read_tokenizer(
        artefacts.vocab_file, {"do_lower_case": corpus.do_lower_case}
    )
    if is_text:
        return make_masked_lm_records(
            artefacts, general, examples, masking, tokenizer
        )
    return _from_tables(artefacts, general, examples, tables, tokenizer)


def _needed(artefacts: Artefacts, *names: str) -> None:
    for name in names:
        if not getattr(artefacts, name):
            raise FlagNeededError(name)


def _from_tables(
    artefacts: Artefacts,
    general: General,
    examples: Examples,
    tables: Tables,
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    data_dir = artefacts.data_dir
    task = find_sentence_task(general.task, data_dir, tables)
    wanted = {
        split: getattr(artefacts, flag)
        for split, flag in _SPLITS.items()
        if getattr(artefacts, flag)
    }
    if not wanted:
        raise ValueError(
            "--records, --eval_records or --test_records is needed."
        )
    # All tables have been read through before anything is written.
    splits = []
    for name, folder in wanted.items():
        if name == "train" and artefacts.input:
            columns = transfer_columns(task)
            splits.append(
                find_split(
                    task,
                    name,
                    artefacts.input,
                    columns,
                    folder,
                    keeps_masks=True,
                )
            )
            continue
        path = path_of(task, data_dir, name)
        splits.append(find_split(task, name, path, task.columns[name], folder))
    summary: dict[str, Any] = {"task": task.name, "labels": list(task.labels)}
    per_shard = tables.examples_per_shard
    # All folders have been accepted before any is made.
    writers = [
        open_split(
            task, split, tokenizer, examples, examples_per_shard=per_shard
        )
        for split in splits
    ]
    for split, writer in zip(splits, writers, strict=True):
        made = write_split(
            task,
            split,
            writer,
            tokenizer,
            examples,
            examples_per_shard=per_shard,
        )
        prefix = _SPLITS[split.name].removesuffix("records")
        summary[_SPLITS[split.name]] = split.folder
        summary |= {f"{prefix}{name}": value for name, value in made.items()}
    return summary


def _check_distinct(artefacts: Artefacts) -> None:
    given = [f for f in _SPLITS.values() if getattr(artefacts, f)]
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
        needs=("vocab_file",),
        example="--text=text --vocab_file=vocab.txt --records=records/wiki",
    )
