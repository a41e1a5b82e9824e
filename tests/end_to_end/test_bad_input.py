"""Wrong uses: one clear line, a status that says so, and nothing half done."""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest
from mirrored import two_mirrored
from small_chain import RECORDS, STEPS, STUDENT, VOCABULARY, Done, build, call

import tfdistill.assembly

ROOT = pathlib.Path(__file__).parents[2]
# Flags of a right use; wrong ones are put behind them. {c} is the chain's
# folder, {new} the one that the command would make.
RIGHT = {
    "make_records": RECORDS + " --records={new}",
    "finetune": f"--model={STUDENT} {STEPS} --records={{c}}/records "
    "--run_dir={new}",
    "extract_teacher": "--records={c}/records --teacher={c}/teacher "
    "--knowledge=top_k(k=3) --knowledge_records={new}",
    "distill": f"--student={STUDENT} {STEPS} "
    "--knowledge_records={c}/knowledge --run_dir={new}",
    "evaluate": "--run_dir={c}/teacher --eval_records={c}/eval",
}
# A reader takes a folder for whole where one of these is.
MARKS_OF_THE_WHOLE = {"manifest.json", "model.json", "result.json"}
SOFT = "--objective=soft_targets"
LIVE = f"{SOFT} --knowledge_records= --records={{c}}/records"
OTHER_VOCABULARY = "another vocabulary or casing"
TOO_LONG = r"long has max_seq_length=32, but the \w+ has 16 positions"
FOREIGN = "--vocab_file={c}/vocab.txt --records={c}/foreign"


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("chain")
    build(folder)
    return folder


@pytest.fixture
def c(chain, tmp_path) -> pathlib.Path:
    """A copy of the chain, to do harm to."""
    shutil.copytree(chain, tmp_path / "c")
    return tmp_path / "c"


def flags_of(command: str, flags: str, c: pathlib.Path) -> list[str]:
    new = c.with_name("new")
    given = {flag.partition("=")[0] for flag in flags.split()}
    # A flag that may be repeated would be given twice.
    right = [
        flag
        for flag in RIGHT[command].split()
        if flag.partition("=")[0] not in given
    ]
    return [flag.format(c=c, new=new) for flag in [*right, *flags.split()]]


def use(command: str, flags: str, c: pathlib.Path) -> Done:
    return call(command, flags_of(command, flags, c))


def check(done: Done, command: str, says: str, status: int = 1) -> None:
    assert done.status == status, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"tfdistill.{command}: error: ")
    assert re.search(says, lines[0]), lines[0]
    assert "Traceback" not in lines[0] and "in user code" not in lines[0]


def made(c: pathlib.Path) -> set[str]:
    """Returns the names of all files that a command made beside the chain."""
    files = c.with_name("new").rglob("*")
    return {path.name for path in files if path.is_file()}


# Command, its wrong flags, what the line says: refused before main begins.
WRONG_FLAGS = [
    ("make_records", "--text=", "--text is needed. Example: python -m"),
    ("make_records", "--eval_fraction=0.2", "--eval_records is needed. Exam"),
    ("make_records", "--vocab_file=", "--vocab_file is needed"),
    ("make_records", "--frobnicate=1", "Unknown command line flag 'frobn"),
    ("make_records", "stray", "Unexpected argument 'stray'"),
    ("make_records", "--max_predictions_per_seq=0", "=0 is not at least 1"),
    ("make_records", "--dupe_factor=0", "--dupe_factor=0 is not at least 1"),
    ("make_records", "--max_seq_length=4", "=4 is not at least 8"),
    ("make_records", "--max_seq_length=many", "max_seq_length=many"),
    ("make_records", "--masked_lm_prob=1.5", "=1.5 is not at most 1.0"),
    ("make_records", "--masked_lm_prob=nan", "=nan is not a finite number"),
    ("make_records", "--record_layout=json", "json is not one of packed, pl"),
    ("make_records", f"--random_seed=1{'0' * 40}", "is not at most 92233720"),
    ("make_records", "--do_lower_case=maybe", "do_lower_case=maybe"),
    ("make_records", "--flagfile={c}/nothing", "flagfile.*c/nothing"),
    ("finetune", "--model=", "--model is needed"),
    ("finetune", "--records=", "--records is needed"),
    ("finetune", "--run_dir=", "--run_dir is needed"),
    ("finetune", "--schedule=cosine", "is not one of bert_linear, warmup"),
    (
        "finetune",
        "--replicas=many",
        "many is not one of auto, one, mirrored, m",
    ),
    ("finetune", "--num_devices=1000", "=1000 is not at most 256"),
    ("finetune", "--learning_rate=fast", "learning_rate=fast"),
    ("finetune", "--learning_rate=1e39", "is not a finite number"),
    ("finetune", "--learning_rate=-1", "=-1.0 is not at least 0.0"),
    ("finetune", "--num_train_steps=0", "=0 is not at least 1"),
    ("finetune", "--train_batch_size=0", "=0 is not at least 1"),
    ("extract_teacher", "--teacher=", "--teacher is needed"),
    ("extract_teacher", "--predict_batch_size=0", "=0 is not at least 1"),
    ("distill", "--student=", "--student is needed"),
    ("distill", "--clip_norm=-1", "--clip_norm=-1.0 is not at least 0.0"),
    ("distill", "--keep_checkpoint_max=-1", "=-1 is not at least 0"),
    ("evaluate", "--eval_records=", "--eval_records is needed"),
    ("evaluate", "--predict_batch_size=9999999", "is not at most 1048576"),
]


@pytest.mark.parametrize(("command", "flags", "says"), WRONG_FLAGS)
def test_wrong_flag(tmp_path, command, flags, says):
    check(use(command, flags, tmp_path / "c"), command, says, status=2)
    assert not list(tmp_path.iterdir())


# Command, its wrong flags, what the line says: refused before anything.
WRONG_USES = [
    ("make_records", "--task=classify", "Unknown task 'classify'. Known: mlm"),
    ("make_records", "--text={c}/nothing", "c/nothing: no such file or fold"),
    ("make_records", "--vocab_file={c}/nothing", "c/nothing: No such file"),
    ("make_records", "--vocab_file={c}/foreign", "c/foreign/vocab.txt: No"),
    ("make_records", "--vocab_file={c}/text.txt", "text.txt holds the piece"),
    (
        "make_records",
        "--eval_fraction=0.2 --eval_records={new}/../new",
        "--records and --eval_records are both .*/new;",
    ),
    (
        "make_records",
        "--eval_fraction=0.2 --eval_records={c}/teacher",
        "c/teacher is not empty and holds no records",
    ),
    (
        "make_records",
        "--eval_fraction=1e-6 --eval_records={new}2",
        "of 60 documents leaves none to evaluate on",
    ),
    (
        "make_records",
        "--records={c}/records",
        "c/records holds records made from other input or settings",
    ),
    ("make_records", "--records={c}/text.txt", "text.txt is a file, expected"),
    ("finetune", "--records={c}/nothing", "c/nothing: no records there"),
    ("finetune", "--records={c}/text.txt", "text.txt is no TFRecord file"),
    ("finetune", "--model={c}/nothing", "no model folder .*c/nothing"),
    ("finetune", "--model=lstm", "Unknown name 'lstm'.*Known: bert, bilstm"),
    ("finetune", "--model=bert(num_layers=1", r"Expected name\(key=value, …\)"),
    ("finetune", "--model=bert(num_layers=0)", "num_layers=0 is not positive"),
    ("finetune", "--model=bert(num_layers=1.5)", "is not a whole number"),
    ("finetune", "--model=bert(dropout=1e999)", "dropout=inf .* not a finite"),
    (
        "finetune",
        "--model=bert(num_layers=1,num_layers=2)",
        "gives num_layers twice",
    ),
    ("finetune", "--model=teacher_layers(layers=[0])", "needs a teacher to c"),
    ("finetune", "--model={c}/teacher --records={c}/long", TOO_LONG),
    ("finetune", "--model={c}/other_model", OTHER_VOCABULARY),
    ("finetune", "--model={c}/cased_model", OTHER_VOCABULARY),
    ("finetune", "--vocab_file={c}/other.txt", OTHER_VOCABULARY),
    (
        "finetune",
        "--optimizer=sgd",
        "Unknown name 'sgd'.*Known: adadelta, adamw",
    ),
    ("finetune", "--optimizer=adamw(lr=1)", "Unknown argument 'lr'"),
    ("finetune", "--optimizer=adamw(weight_decay=much)", "not a finite numb"),
    ("finetune", "--optimizer=adamw(beta_1=2)", r"beta_1=2 .* not in \[0, 1\)"),
    ("finetune", "--optimizer=adamw(epsilon=0)", "epsilon=0 .* not positive"),
    ("finetune", "--num_warmup_steps=3", "=3 is more than num_train_steps=2"),
    ("finetune", "--accumulation_steps=3", "8 examples do not divide into"),
    (
        "finetune",
        "--early_stop_metric=happiness --eval_records={c}/eval",
        "Unknown metric 'happiness'. Known: masked_accuracy",
    ),
    ("finetune", "--early_stop_metric=masked_loss", "needs --eval_records"),
    (
        "finetune",
        "--early_stop_metric=next_sentence_accuracy --eval_records={c}/unpaired",
        "is not in what evaluations give here: masked_accuracy",
    ),
    ("finetune", "--eval_records={c}/nothing", "c/nothing: no records there"),
    ("finetune", "--eval_records={c}/others", OTHER_VOCABULARY),
    ("finetune", "--eval_records={c}/cased", OTHER_VOCABULARY),
    ("finetune", "--eval_records={c}/long", TOO_LONG),
    ("finetune", "--run_dir={c}/records", "c/records is not empty and holds n"),
    ("finetune", "--run_dir={c}/text.txt", "text.txt is a file, expected a f"),
    (
        "finetune",
        "--run_dir={c}/teacher --num_train_steps=3",
        "c/teacher holds a run with num_train_steps=2, not 3",
    ),
    ("finetune", "--records={c}/foreign", "--vocab_file is needed"),
    ("finetune", FOREIGN + "_unmasked", "no feature 'masked_lm_positions'"),
    ("finetune", FOREIGN + "_empty", "a.tfrecord holds no records"),
    ("extract_teacher", "--records={c}/nothing", "c/nothing: no records there"),
    ("extract_teacher", "--teacher={c}/eval", "no model folder of a known fo"),
    ("extract_teacher", "--teacher={c}/unfinished", "run that has not finish"),
    ("extract_teacher", "--teacher={c}/encoder", "has no masked_lm weights"),
    ("extract_teacher", "--teacher={c}/cased_model", OTHER_VOCABULARY),
    ("extract_teacher", "--records={c}/others", OTHER_VOCABULARY),
    ("extract_teacher", "--vocab_file={c}/other.txt", OTHER_VOCABULARY),
    ("extract_teacher", "--records={c}/long", TOO_LONG),
    ("extract_teacher", "--records={c}/dynamic", "masked anew in every epoch"),
    ("extract_teacher", "--records={c}/knowledge", "holds knowledge already"),
    ("extract_teacher", "--knowledge=top_k(k=99)", "more than the 20 pieces"),
    ("extract_teacher", "--knowledge=top_k(k=0)", "neither positive nor 'all'"),
    ("extract_teacher", "--knowledge=top_k(k=few)", "neither positive nor 'a"),
    ("extract_teacher", "--knowledge=top_k", "'top_k' lacks k=…"),
    ("extract_teacher", "--knowledge=top_k(3)", r"Expected name\(key=value"),
    ("extract_teacher", "--knowledge=states", "Unknown name 'states'.*Known:"),
    ("extract_teacher", "--knowledge=", "received ''. Known names: .*top_k"),
    (
        "extract_teacher",
        "--knowledge_records={c}/knowledge --knowledge=top_k(k=2)",
        "c/knowledge holds records made from other input or settings",
    ),
    ("distill", "", "--objective is needed.*Known: soft_targets, labels"),
    ("distill", "--objective=hints", "Unknown name 'hints'.*Known: .*labels"),
    ("distill", SOFT + "(wait=1)", "Unknown argument 'wait'.*Known: weight"),
    ("distill", SOFT + "(temperature=2)", "temperature=2 needs tail=renormal"),
    ("distill", SOFT + "(k=2,temperature=2)", "needs tail=renormalised"),
    ("distill", SOFT + "(temperature=2,tail=bucket)", "tail=bucket needs the"),
    ("distill", SOFT + "(temperature=0)", "temperature=0 is not positive"),
    ("distill", SOFT + "(temperature=hot)", "temperature=hot .* not a finite"),
    ("distill", SOFT + "(tail=cut)", "Unknown tail 'cut'. Known: left_out"),
    ("distill", SOFT + "(k=5)", "soft_targets: k=5: only 3 pieces of each"),
    ("distill", SOFT + "(weight=nan)", "weight=nan .* not a finite number"),
    ("distill", SOFT + "(weight=-1)", "weight=-1 is no weight: at least 0"),
    ("distill", SOFT + "(weight=heavy)", "weight=heavy .* not a finite numb"),
    ("distill", SOFT + f"(weight=1{'0' * 400})", "not a finite number"),
    ("distill", SOFT + "(weight=true)", "weight=True .* not a finite number"),
    ("distill", SOFT + "(weight=1,weight=2)", "gives weight twice"),
    ("distill", SOFT + "(reduction=sum)", "Unknown reduction 'sum'. Known:"),
    ("distill", SOFT + "(scale_by_temperature=2)", "not true or false"),
    ("distill", SOFT + " --knowledge_records={c}/records", "no teacher knowle"),
    ("distill", SOFT + " --knowledge_records=", "soft_targets needs --knowl"),
    ("distill", LIVE, "needs --knowledge_records, or --teacher to ask"),
    ("distill", LIVE + " --teacher={c}/other_model", OTHER_VOCABULARY),
    (
        "distill",
        LIVE + " --teacher={c}/teacher --objective=soft_targets(k=99)",
        "only 20 pieces",
    ),
    (
        "distill",
        LIVE + " --teacher={c}/teacher --records={c}/long --student={c}/wide",
        TOO_LONG,
    ),
    ("distill", "--objective=labels", "no objective reads --knowledge_r"),
    (
        "distill",
        "--objective=next_sentence --records={c}/unpaired",
        "reads next_sentence_labels, which .*unpaired does not hold",
    ),
    ("distill", SOFT + " --student=bort", "Unknown name 'bort'.*Known: bert"),
    ("distill", SOFT + " --student=bert(width=9)", "Unknown argument 'width'"),
    (
        "distill",
        SOFT + " --student=bert(hidden_dim=16,num_heads=3)",
        "hidden_dim=16 is no multiple of num_heads=3",
    ),
    (
        "distill",
        SOFT + " --student=bert(num_layers=1,max_sequence_length=8)",
        r"max_seq_length=16, but the student has 8 positions",
    ),
    (
        "distill",
        SOFT + " --student=teacher_layers(layers=[0])",
        "needs --teacher to copy from",
    ),
    (
        "distill",
        SOFT + " --teacher={c}/teacher --student=teacher_layers(layers=[1])",
        "names layer 1; the teacher's are 0 to 0",
    ),
    ("distill", SOFT + " --student={c}/other_model", OTHER_VOCABULARY),
    ("distill", SOFT + " --student={c}/cased_model", OTHER_VOCABULARY),
    ("distill", SOFT + " --vocab_file={c}/other.txt", OTHER_VOCABULARY),
    ("distill", SOFT + " --run_dir={c}/teacher", "c/teacher holds a run with"),
    (
        "distill",
        SOFT + " --early_stop_metric=teacher_kl --eval_records={c}/eval",
        "teacher_kl is not in what evaluations give here",
    ),
    ("evaluate", "--task=nsp", "Unknown task 'nsp'. Known: mlm"),
    ("evaluate", "--run_dir={c}/nothing", "no model folder .*c/nothing"),
    ("evaluate", "--run_dir={c}/encoder", "has no masked_lm weights"),
    ("evaluate", "--eval_records={c}/nothing", "c/nothing: no records there"),
    ("evaluate", "--eval_records={c}/others", OTHER_VOCABULARY),
    ("evaluate", "--eval_records={c}/long", TOO_LONG),
    ("evaluate", "--teacher={c}/other_model", OTHER_VOCABULARY),
]


@pytest.mark.parametrize(("command", "flags", "says"), WRONG_USES)
def test_wrong_use(chain, tmp_path, command, flags, says):
    # Nothing is harmed, so the chain itself is used, through a link.
    (tmp_path / "c").symlink_to(chain)
    check(use(command, flags, tmp_path / "c"), command, says)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def documented_uses() -> list[tuple[str, str]]:
    text = (ROOT / "docs/wrong_uses.md").read_text()
    return re.findall(r"^\| `(.+)` \| `(.+)` \|$", text, re.M)


def test_many_wrong_uses_are_documented():
    assert len(documented_uses()) >= 25


@pytest.mark.parametrize(("call_of", "line"), documented_uses())
def test_documented_wrong_use(chain, tmp_path, monkeypatch, call_of, line):
    (tmp_path / "work").symlink_to(chain)
    monkeypatch.chdir(tmp_path)
    command, *flags = call_of.split()
    if command in RIGHT:
        flags = flags_of(command, " ".join(flags), pathlib.Path("work"))
    done = call(command, flags)
    assert done.status in (1, 2) and not done.stdout
    begin = f"tfdistill.{command}: error: {line.removesuffix('…')}"
    assert done.stderr.startswith(begin)
    if not line.endswith(" …"):
        assert done.stderr == f"tfdistill.{command}: error: {line}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


Harm = Callable[[pathlib.Path], object]


def cut(name: str) -> Harm:
    return lambda c: os.truncate(c / name, (c / name).stat().st_size * 2 // 3)


def flip(name: str, share: float = 0.5) -> Harm:
    def harm(c: pathlib.Path) -> None:
        data = bytearray((c / name).read_bytes())
        data[int(len(data) * share)] ^= 4
        (c / name).write_bytes(data)

    return harm


def remove(name: str) -> Harm:
    return lambda c: (c / name).unlink()


def write(name: str, content: bytes) -> Harm:
    return lambda c: (c / name).write_bytes(content)


def swap(name: str, other: str) -> Harm:
    return lambda c: shutil.copy(c / other, c / name)


SHARD = "records/train-00000-of-00001.tfrecord"
KNOWLEDGE = "knowledge/train-00000-of-00001.tfrecord"
EVAL = "eval/eval-00000-of-00001.tfrecord"
CHECKPOINT = "unfinished/checkpoints/step-000000002.safetensors"
WEIGHTS = "teacher/model.safetensors"
RESUME = "--run_dir={c}/unfinished"


@dataclasses.dataclass(frozen=True)
class Damage:
    """A file that was harmed, and the command that meets it.

    Attributes:
        what: For people.
        harm: Done to a copy of the chain.
        command: The command.
        flags: Put behind the right ones.
        says: What the line says.
        leaves: Files of a folder that was begun, as it turned out later.
    """

    what: str
    harm: Harm
    command: str
    flags: str
    says: str
    leaves: frozenset[str] = frozenset()


RUN = frozenset({"config.json", "run.flags"})
SET = frozenset({"unfinished.json", "vocab.txt"})
WITHOUT_MASK = "\n".join(p for p in VOCABULARY if p != "[MASK]").encode()
DAMAGES = [
    Damage(*row)
    for row in (
        (
            "text not UTF-8",
            write("text.txt", b"one\n\ntwo \xff\n"),
            "make_records",
            "",
            "text.txt is not UTF-8: byte 9 ",
        ),
        (
            "text empty",
            write("text.txt", b""),
            "make_records",
            "",
            "text.txt: empty",
        ),
        (
            "text blank",
            write("text.txt", b"\n \n"),
            "make_records",
            "",
            "no documents to train on",
        ),
        (
            "one document",
            write("text.txt", b"one\ndocument\n"),
            "make_records",
            "",
            "a single document for train: .*use_next_sentence_label=false",
        ),
        (
            "vocabulary without [MASK]",
            write("vocab.txt", WITHOUT_MASK),
            "make_records",
            "",
            r"vocab.txt lacks the piece \[MASK\]",
        ),
        (
            "vocabulary not UTF-8",
            write("vocab.txt", b"\xff\n"),
            "make_records",
            "",
            "vocab.txt is not UTF-8: byte 0",
        ),
        (
            "shard cut",
            cut(SHARD),
            "finetune",
            "",
            "train-00000-of-00001.tfrecord has .* bytes, expected",
        ),
        (
            "shard flipped",
            flip(SHARD),
            "finetune",
            "",
            "train-00000-of-00001.tfrecord is cut or damaged",
            RUN,
        ),
        (
            "shard missing",
            remove(SHARD),
            "finetune",
            "",
            "train-00000-of-00001.tfrecord is missing",
        ),
        (
            "manifest flipped",
            flip("records/manifest.json", 0.97),
            "finetune",
            "",
            "records/manifest.json is (damaged|not JSON)",
        ),
        (
            "vocabulary of records flipped",
            flip("records/vocab.txt", 0.6),
            "finetune",
            "",
            "records/vocab.txt was changed",
        ),
        (
            "checkpoint cut",
            cut(CHECKPOINT),
            "finetune",
            RESUME,
            "step-000000002.safetensors is damaged.*Remove it to go on",
        ),
        (
            "checkpoint flipped",
            flip(CHECKPOINT),
            "finetune",
            RESUME,
            "does not match its check sum. Remove it to go on",
        ),
        (
            "checkpoint of another kind",
            swap(CHECKPOINT, WEIGHTS),
            "finetune",
            RESUME,
            "step-000000002.safetensors lacks model/encoder/",
        ),
        (
            "run's config cut",
            cut("unfinished/config.json"),
            "finetune",
            RESUME,
            "config.json is not JSON",
        ),
        (
            "weights cut",
            cut(WEIGHTS),
            "extract_teacher",
            "",
            "teacher/model.safetensors is damaged",
        ),
        (
            "weights flipped",
            flip(WEIGHTS),
            "extract_teacher",
            "",
            "does not match its check sum",
        ),
        (
            "weights of another size",
            swap(WEIGHTS, "wide/model.safetensors"),
            "extract_teacher",
            "",
            r"word_embeddings has shape \(20, 32\), expected \(20, 16\)",
        ),
        (
            "weights missing",
            remove(WEIGHTS),
            "extract_teacher",
            "",
            "teacher/model.safetensors",
        ),
        (
            "teacher's vocabulary swapped",
            swap("teacher/vocab.txt", "other.txt"),
            "extract_teacher",
            "",
            "teacher/vocab.txt is not the file that",
        ),
        (
            "shard of extraction flipped",
            flip(SHARD),
            "extract_teacher",
            "",
            "train-00000-of-00001.tfrecord is cut or damaged",
            SET,
        ),
        (
            "knowledge cut",
            cut(KNOWLEDGE),
            "distill",
            SOFT,
            "knowledge/train-.* bytes, expected",
        ),
        (
            "knowledge missing",
            remove(KNOWLEDGE),
            "distill",
            SOFT,
            "knowledge/train-.* is missing",
        ),
        (
            "held-out records flipped",
            flip(EVAL),
            "evaluate",
            "",
            "eval-00000-of-00001.tfrecord is cut or damaged",
        ),
        (
            "evaluated model flipped",
            flip(WEIGHTS),
            "evaluate",
            "",
            "does not match its check sum",
        ),
        *(
            (
                f"foreign {name}",
                lambda c: None,
                "finetune",
                f"{FOREIGN}_{name}",
                says,
                RUN,
            )
            for name, says in (
                ("ids", "input_ids holds 600 where 0 to 19 are expected"),
                ("labels", "masked_lm_ids holds -1 where 0 to 19 are"),
                ("segments", "segment_ids holds 5 where 0 to 1 are"),
                ("positions", "masked_lm_positions holds 99 where 0 to 7"),
                ("lengths", "a.tfrecord: Key: input_ids.* size: 7 but"),
            )
        ),
        (
            "foreign ids of extraction",
            lambda c: None,
            "extract_teacher",
            "--records={c}/foreign_ids",
            "a.tfrecord: input_ids holds 600",
            SET,
        ),
        (
            "foreign ids of evaluation",
            lambda c: None,
            "evaluate",
            "--eval_records={c}/foreign_ids",
            "a.tfrecord: input_ids holds 600",
        ),
    )
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.what)
def test_damage(c, damage):
    damage.harm(c)
    check(use(damage.command, damage.flags, c), damage.command, damage.says)
    assert made(c) == damage.leaves
    assert not made(c) & MARKS_OF_THE_WHOLE


@pytest.mark.parametrize("command", ["finetune", "extract_teacher"])
def test_what_was_begun_is_taken_up_once_the_fault_is_mended(c, command):
    whole = (c / SHARD).read_bytes()
    flip(SHARD)(c)
    check(use(command, "", c), command, "is cut or damaged")
    (c / SHARD).write_bytes(whole)
    done = use(command, "", c)
    assert done.status == 0, done.stderr
    assert made(c) & MARKS_OF_THE_WHOLE


def test_diverged_training_saves_nothing_of_it(c):
    flags = (
        "--learning_rate=1e30 --num_train_steps=6 --save_checkpoints_steps=1 "
        "--eval_records={c}/eval --eval_every_steps=1 "
        "--early_stop_metric=masked_loss"
    )
    check(use("finetune", flags, c), "finetune", "The loss of step 2 is nan")
    kept = {n for n in made(c) if n.endswith("safetensors")}
    # Step 1 had a loss, but what it led to was worth nothing.
    assert kept == {"step-000000001.safetensors"}
    assert not made(c) & MARKS_OF_THE_WHOLE
    check(use("finetune", flags, c), "finetune", "The loss of step 2 is nan")


def test_weights_that_are_not_finite_are_not_saved(c):
    flags = (
        "--learning_rate=1e30 --optimizer=bert_adam(weight_decay=1e30) "
        "--num_train_steps=1"
    )
    says = "not finite, so .*step-000000001.safetensors is not written"
    check(use("finetune", flags, c), "finetune", says)
    assert not any(n.endswith("safetensors") for n in made(c))
    assert not made(c) & MARKS_OF_THE_WHOLE


@pytest.mark.parametrize(
    ("command", "flags", "says"),
    [
        ("finetune", "--train_batch_size=7", "7 examples does not divide"),
        ("finetune", "--accumulation_steps=8", "A replica's 4 examples do not"),
    ],
)
def test_batches_on_replicas(
    chain, tmp_path, monkeypatch, command, flags, says
):
    monkeypatch.setattr(
        tfdistill.assembly,
        "make_replicas",
        lambda name, num_devices: two_mirrored(),
    )
    (tmp_path / "c").symlink_to(chain)
    check(use(command, flags, tmp_path / "c"), command, says)
    assert not made(tmp_path / "c")


# What only a process of its own shows: devices, limits, all of stderr.
IN_A_PROCESS = [
    ("evaluate", "--frobnicate=1", "Unknown command line flag", 2, ""),
    (
        "finetune",
        FOREIGN + " --replicas=mirrored --num_devices=2 --train_batch_size=7",
        "7 examples does not divide among 2 replicas",
        1,
        "",
    ),
    (
        "extract_teacher",
        "--knowledge=top_k(k=all)",
        "train-00000-of-00001.tfrecord cannot be written: File too large",
        1,
        # Stands for a full disk.
        "ulimit -f 8; ",
    ),
]


@pytest.mark.parametrize(
    ("command", "flags", "says", "status", "limit"), IN_A_PROCESS
)
def test_process(chain, tmp_path, command, flags, says, status, limit):
    (tmp_path / "c").symlink_to(chain)
    arguments = flags_of(command, flags, tmp_path / "c")
    done = subprocess.run(
        [
            *("bash", "-c", f'{limit}exec "$@"', "-"),
            *(sys.executable, "-m", f"tfdistill.{command}", *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # Lines of the log begin with a letter and the time.
    own = re.compile(r"(?![IWEF] ?\d{2}|INFO:tensorflow:)")
    lines = [x for x in done.stderr.splitlines() if own.match(x)]
    found = Done(done.returncode, done.stdout, "\n".join(lines))
    check(found, command, says, status)
    assert made(tmp_path / "c") <= SET
