"""A chain of commands on a few documents, run in this process."""

import contextlib
import dataclasses
import io
import pathlib
import runpy
import shutil
import sys
import warnings

import pytest
import tensorflow as tf
from absl import logging

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.text.word_pieces import WordPiece

WORDS = [
    "the",
    "cat",
    "dog",
    "bird",
    "sat",
    "ran",
    "flew",
    "on",
    "under",
    "over",
    "mat",
    "tree",
    "red",
    "blue",
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s"]
STUDENT = "bert(num_layers=1,hidden_dim=16,num_heads=2,max_sequence_length=16)"
STEPS = "--num_train_steps=2 --num_warmup_steps=0 --train_batch_size=8"
RECORDS = (
    "--text={c}/text.txt --vocab_file={c}/vocab.txt --max_seq_length=16 "
    "--max_predictions_per_seq=3 --dupe_factor=1 --num_processes=1"
)
FOREIGN_EXAMPLE = {
    "input_ids": [2, 5, 6, 7, 8, 9, 3, 0],
    "input_mask": [1, 1, 1, 1, 1, 1, 1, 0],
    "segment_ids": [0, 0, 0, 0, 0, 0, 0, 0],
    "masked_lm_positions": [1, 2],
    "masked_lm_ids": [5, 6],
    "masked_lm_weights": [1.0, 1.0],
    "next_sentence_labels": [0],
}


@dataclasses.dataclass(frozen=True)
class Done:
    """What a command left: its exit status and what it printed."""

    status: int
    stdout: str
    stderr: str


def call(command: str, flags: list[str]) -> Done:
    """Run a command as `python -m tfdistill.<command>` would."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patched,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patched.setattr(sys, "argv", [command, *flags])
        patched.setattr(logging, "use_absl_handler", lambda: None)
        patched.setattr(logging, "set_verbosity", lambda _: None)
        # It may have been imported by another test.
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        runpy.run_module(
            f"tfdistill.{command}", run_name="__main__", alter_sys=True
        )
    return Done(ended.value.code, out.getvalue(), err.getvalue())


def text(documents: int = 60) -> str:
    """Documents of four lines with a blank line between them."""
    return "\n\n".join(
        "\n".join(
            " ".join(
                WORDS[(7 * d + 5 * line + w * (d % 5 + 1)) % len(WORDS)]
                for w in range(6 + d % 3)
            )
            for line in range(4)
        )
        for d in range(documents)
    )


def build(c: pathlib.Path) -> None:
    """Make a chain in a folder, and what does not fit in it."""
    (c / "text.txt").write_text(text())
    (c / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    other = [*VOCABULARY[:-1], "##ed"]
    (c / "other.txt").write_text("\n".join(other) + "\n")
    for command, flags in (
        (
            "make_records",
            RECORDS + " --records={c}/records --eval_records={c}/eval "
            "--eval_fraction=0.2",
        ),
        (
            "finetune",
            f"--model={STUDENT} {STEPS} --records={{c}}/records "
            "--run_dir={c}/teacher",
        ),
        (
            "extract_teacher",
            "--records={c}/records --teacher={c}/teacher "
            "--knowledge=top_k(k=3) --knowledge_records={c}/knowledge",
        ),
        *(
            ("make_records", f"{RECORDS} --records={{c}}/{name} {flags}")
            for name, flags in (
                ("long", "--max_seq_length=32"),
                ("dynamic", "--dynamic_masking"),
                ("unpaired", "--use_next_sentence_label=false"),
                ("others", "--vocab_file={c}/other.txt"),
                ("cased", "--do_lower_case=false"),
            )
        ),
    ):
        done = call(command, flags.format(c=c).split())
        assert done.status == 0, done.stderr
    _write_models(c, other)
    _write_foreign(c)
    shutil.copytree(c / "teacher", c / "unfinished")
    for name in ("result.json", "model.json"):
        (c / "unfinished" / name).unlink()


def _write_models(c: pathlib.Path, other: list[str]) -> None:
    made = load_model(str(c / "teacher"))
    wide = Bert(
        BertConfig(
            vocabulary_size=len(VOCABULARY),
            num_layers=1,
            hidden_dim=32,
            num_heads=2,
        )
    )
    for name, model, vocabulary, is_uncased, parts in (
        ("other_model", made.model, other, True, made.parts),
        ("cased_model", made.model, VOCABULARY, False, made.parts),
        ("encoder", made.model, VOCABULARY, True, ("encoder",)),
        ("wide", wide, VOCABULARY, True, made.parts),
    ):
        save_model(
            model,
            WordPiece(vocabulary, do_lower_case=is_uncased),
            parts=parts,
            path=c / name,
        )


def _write_foreign(c: pathlib.Path) -> None:
    """Write records as BERT's scripts do, with one bad example at the end."""
    short = FOREIGN_EXAMPLE["input_ids"][:-1]
    for name, change in {
        "foreign": {},
        "foreign_ids": {"input_ids": [2, 5, 600, 7, 8, 9, 3, 0]},
        "foreign_labels": {"masked_lm_ids": [5, -1]},
        "foreign_segments": {"segment_ids": [0, 0, 0, 0, 5, 5, 5, 0]},
        "foreign_positions": {"masked_lm_positions": [1, 99]},
        "foreign_lengths": {"input_ids": short},
    }.items():
        write_foreign(c / name, [{}] * 10 + [change] * 6)
    write_foreign(c / "foreign_unmasked", [{"masked_lm_positions": None}] * 16)
    write_foreign(c / "foreign_empty", [])


def write_foreign(folder: pathlib.Path, changes: list[dict]) -> None:
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as out:
        for change in changes:
            example = tf.train.Example()
            for name, values in (FOREIGN_EXAMPLE | change).items():
                feature = example.features.feature[name]
                if values is None:
                    del example.features.feature[name]
                elif isinstance(values[0], float):
                    feature.float_list.value.extend(values)
                else:
                    feature.int64_list.value.extend(values)
            out.write(example.SerializeToString())
