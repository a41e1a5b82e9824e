"""A chain of commands on generated sentences, run in this process."""

import dataclasses
import json
import pathlib
from typing import Any

from small_chain import call

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats.run_directory import save_model
from tfdistill.text.word_pieces import WordPiece

GOOD, BAD = ("fine", "warm", "bright"), ("dull", "cold", "grim")
FILLER = ("the", "film", "plot", "was", "so", "and", "cast", "very", "a")
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY += [*GOOD, *BAD, *FILLER]
ROWS = {"train": 60, "dev": 21, "test": 13}

_BERT = "bert(num_layers={},hidden_dim=16,num_heads=2,max_sequence_length=24)"
TEACHER, STUDENT = _BERT.format(2), _BERT.format(1)
# Most sentences are padded to 16 tokens, batches with a long one to 24.
RECORDS = (
    "--task=sst2 --data_dir={c}/SST-2 --vocab_file={c}/vocab.txt "
    "--max_seq_length=24 "
)
TRAIN = (
    "--task=sst2 --train_batch_size=8 --optimizer=adamw --schedule=constant "
    "--learning_rate=1e-2 --num_warmup_steps=0 --num_train_steps=5 "
)
EPOCHS = 6.5
LEARNT = "--objective=soft_targets --objective=labels(weight=0.5) "
INSIDES = (
    "--knowledge=features(hidden_states=[0,1,2],attention_scores=[0,1],bits=32)"
)
# Of each step: the command and its flags; {c} is the chain's folder.
CHAIN = {
    "make_records": (
        "make_records",
        RECORDS + "--records={c}/train --eval_records={c}/dev "
        "--test_records={c}/test --examples_per_shard=25",
    ),
    "finetune": (
        "finetune",
        f"{TRAIN} --model={TEACHER} --records={{c}}/train "
        f"--eval_records={{c}}/dev --num_train_epochs={EPOCHS} "
        "--eval_every_steps=5 --early_stop_metric=auto "
        "--early_stop_patience=0 --run_dir={c}/teacher",
    ),
    "logits": (
        "extract_teacher",
        "--task=sst2 --records={c}/train --teacher={c}/teacher "
        "--knowledge=logits --knowledge_records={c}/logits",
    ),
    "features": (
        "extract_teacher",
        "--task=sst2 --records={c}/train --teacher={c}/teacher "
        f"{INSIDES} --knowledge_records={{c}}/features",
    ),
    "distill": (
        "distill",
        f"{TRAIN} --student={STUDENT} {LEARNT} "
        "--knowledge_records={c}/logits --run_dir={c}/student",
    ),
    "evaluate": (
        "evaluate",
        "--task=sst2 --run_dir={c}/student --teacher={c}/teacher "
        "--eval_records={c}/dev --predict_batch_size=8",
    ),
    "predict": (
        "predict",
        "--task=sst2 --run_dir={c}/teacher --test_records={c}/test "
        "--predictions={c}/predictions",
    ),
}


def label_of(number: int) -> int:
    return number * 7 // 3 % 2


def sentence(number: int) -> str:
    """A sentence of 3 to 20 words, one of which tells its label."""
    words = 20 if number % 9 == 0 else 3 + number % 6
    found = [FILLER[(3 * number + k) % len(FILLER)] for k in range(words - 1)]
    tells = (BAD, GOOD)[label_of(number)][number % 3]
    found.insert(number % words, tells)
    return " ".join(found)


def numbers(split: str) -> range:
    """Numbers of a split's sentences."""
    first = 100 * list(ROWS).index(split)
    return range(first, first + ROWS[split])


def write_tables(c: pathlib.Path) -> None:
    """Write SST-2, whose test split has no labels, and a vocabulary."""
    (c / "SST-2").mkdir()
    for split in ROWS:
        is_test = split == "test"
        lines = ["index\tsentence" if is_test else "sentence\tlabel"]
        lines += [
            f"{i}\t{sentence(n)}"
            if is_test
            else f"{sentence(n)}\t{label_of(n)}"
            for i, n in enumerate(numbers(split))
        ]
        (c / f"SST-2/{split}.tsv").write_text("\n".join(lines) + "\n")
    (c / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")


def run(command: str, flags: str, **folders: pathlib.Path) -> dict[str, Any]:
    """Run a command that succeeds; returns its summary."""
    done = call(command, flags.format(**folders).split())
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


def build(c: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Run the chain in a folder; returns the summaries by step."""
    write_tables(c)
    return {step: run(*command, c=c) for step, command in CHAIN.items()}


def write_misfits(c: pathlib.Path) -> None:
    """Write tables, records and a model that do not fit the chain."""
    for folder, split, text in (
        ("other_label", "train", "sentence\tlabel\na plot\t0\nthe cast\t2\n"),
        ("other_column", "train", "text\tlabel\na plot\t0\n"),
        ("empty_dev", "train", "sentence\tlabel\na plot\t0\n"),
        ("empty_dev", "dev", "sentence\tlabel\n"),
        ("own", "train", "sentence\tlabel\na plot\tyes\nthe cast\tno\n"),
    ):
        (c / folder).mkdir(exist_ok=True)
        (c / folder / f"{split}.tsv").write_text(text)
    flags = "--task=classification --data_dir={c}/own --records={c}/yes_or_no"
    run("make_records", f"{RECORDS} {flags}", c=c)
    config = BertConfig(
        vocabulary_size=len(VOCABULARY),
        num_layers=1,
        hidden_dim=16,
        num_heads=2,
        max_sequence_length=24,
    )
    tokenizer = WordPiece(VOCABULARY, do_lower_case=True)
    for folder, labels in (
        ("of_three_classes", ("a", "b", "c")),
        ("of_other_names", ("no", "yes")),
    ):
        of_so_many = dataclasses.replace(config, num_classes=len(labels))
        model = Bert(of_so_many, heads=("classifier",))
        save_model(
            model, tokenizer, parts=model.parts, path=c / folder, labels=labels
        )
