"""Translation through all commands: equalities, and one line for bad input."""

import io
import json
import sys

import numpy as np
import pytest
from mirrored import two_mirrored
from small_chain import call
from small_sentences import run

import tfdistill.assembly
from tfdistill.launcher import Process
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.specs import build_student
from tfdistill.tensors import load_tensors
from tfdistill.text.sentence_pieces import (
    SentencePieces,
    learn_sentence_pieces,
)

NOUNS = {"Hund": "dog", "Katze": "cat", "Kind": "child", "Vogel": "bird"}
VERBS = {"läuft": "runs", "schläft": "sleeps", "singt": "sings"}
PAIRS = [
    (
        f"Ein {noun} und ein {other} {verb}.",
        f"a {NOUNS[noun]} and a {NOUNS[other]} {VERBS[verb]}.",
    )
    if number % 2
    else (f"Ein {noun} {verb}!", f"a {NOUNS[noun]} {VERBS[verb]}!")
    for number, (noun, other, verb) in enumerate(
        (a, b, v) for a in NOUNS for b in NOUNS for v in VERBS
    )
]
TASK = "--task=translation "
RECORDS = (
    TASK + "--source_file={c}/train.de --target_file={c}/train.en "
    "--vocab_file={c}/pieces.txt --max_source_length=8 "
    "--max_target_length=12 --pairs_per_shard=20 "
)
TRAIN = (
    "--optimizer=adamw --schedule=constant --learning_rate=3e-3 "
    "--num_warmup_steps=0 --num_train_steps=6 --save_checkpoints_steps=2 "
    "--train_batch_tokens=300 --token_window=30 "
)
DISTILL = (
    TASK + TRAIN + "--student=seq2seq(num_layers=1,hidden_dim=16,num_heads=2,"
    "dropout=0.2) --objective=text_generation(k=0) --run_dir={new} "
)
RECORDED = "--knowledge_records={c}/knowledge "
LIVE = "--knowledge_records= --records={c}/train --teacher={c}/teacher "
EVALUATE = (
    TASK + "--eval_records={c}/dev --beam_size=2 --max_decode_length=8 "
    "--predict_batch_size=8 "
)
CHAIN = {
    "make_vocab": RECORDS + "--vocab_size=100",
    "make_records": RECORDS + "--records={c}/train --eval_records={c}/dev "
    "--eval_every=6",
    "finetune": TRAIN + "--task=cmlm --records={c}/train --run_dir={c}/teacher "
    "--model=bert(num_layers=1,hidden_dim=16,num_heads=2,"
    "max_sequence_length=32)",
    "extract_teacher": TASK + "--records={c}/train --teacher={c}/teacher "
    "--knowledge=top_k(k=all) --knowledge_records={c}/knowledge",
    "distill": DISTILL + RECORDED + "--eval_records={c}/dev",
    "evaluate": EVALUATE + "--run_dir={c}/student --teacher={c}/teacher",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translation")
    for side, name in enumerate(("train.de", "train.en")):
        lines = "".join(f"{pair[side]}\n" for pair in PAIRS)
        (folder / name).write_text(lines, "utf-8")
    return folder


@pytest.fixture(scope="module")
def chain(folder):
    return {
        command: run(command, flags, c=folder, new=folder / "student")
        for command, flags in CHAIN.items()
    }


@pytest.fixture
def c(chain, folder):
    return folder


def weights(folder):
    return load_tensors(folder / "model.safetensors")[0]


def assert_same_weights(folder, other, atol):
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        np.testing.assert_allclose(
            ours[name], expected, rtol=0, atol=atol, err_msg=name
        )


def test_evaluations_score_texts(chain):
    found = chain["evaluate"]
    assert found["texts"] == chain["make_records"]["eval_pairs"]
    assert 0 <= found["bleu"] <= 100
    assert "case:lc" in found["signature"]
    assert found["accuracy"] == pytest.approx(
        chain["distill"]["eval"]["accuracy"], abs=1e-6
    )


def test_held_out_masks_do_not_depend_on_a_seed(c):
    flags = "--task=cmlm --eval_records={c}/dev --run_dir={c}/teacher "
    first, second = (
        run("evaluate", flags + f"--random_seed={seed}", c=c) for seed in (1, 2)
    )
    assert first["label_loss"] == second["label_loss"]


def test_a_live_teacher_is_a_recorded_one(c, tmp_path):
    run("distill", DISTILL + LIVE, c=c, new=tmp_path / "live")
    run("distill", DISTILL + RECORDED, c=c, new=tmp_path / "recorded")
    assert_same_weights(tmp_path / "live", tmp_path / "recorded", 2e-5)


def test_hidden_states_hold_the_whole_distribution(c, tmp_path):
    knowledge = f"--knowledge=hidden(bits=16) --knowledge_records={tmp_path}/k "
    flags = TASK + "--records={c}/train --teacher={c}/teacher " + knowledge
    run("extract_teacher", flags, c=c)
    new = tmp_path / "hidden"
    run("distill", DISTILL + f"--knowledge_records={tmp_path}/k", c=c, new=new)
    assert_same_weights(new, c / "student", 2e-5)


def test_groups_of_a_teacher_belong_to_its_knowledge(c, tmp_path):
    flags = CHAIN["extract_teacher"] + " --cmlm_groups=3 --knowledge_records="
    run("extract_teacher", flags + f"{tmp_path}/three", c=c)
    new = tmp_path / "recorded"
    recorded = f"--knowledge_records={tmp_path}/three"
    run("distill", DISTILL + recorded, c=c, new=new)
    live = tmp_path / "live"
    run("distill", DISTILL + LIVE + "--cmlm_groups=3", c=c, new=live)
    assert_same_weights(live, new, 2e-5)
    of_seven = run("evaluate", CHAIN["evaluate"], c=c)
    of_three = run("evaluate", CHAIN["evaluate"] + " --cmlm_groups=3", c=c)
    assert of_seven["teacher_kl"] != of_three["teacher_kl"]
    assert of_seven["accuracy"] == of_three["accuracy"]
    stored = [
        next((folder / name).glob("*.tfrecord")).read_bytes()
        for folder, name in ((c, "knowledge"), (tmp_path, "three"))
    ]
    assert stored[0] != stored[1]
    again = (flags + f"{c}/knowledge").format(c=c)
    done = call("extract_teacher", again.split())
    assert done.status == 1 and "Traceback" not in done.stderr
    assert "the teacher differs" in done.stderr


def test_knowledge_is_compared(c, tmp_path):
    found = run(
        "knowledge_report",
        TASK + "--records={c}/train --teacher={c}/teacher --output_dir={new} "
        "--knowledge=top_k(k=4) --knowledge=hidden(bits=16) "
        "--knowledge=hybrid(k=2,samples=4) "
        "--report_examples=8 --predict_batch_size=4",
        c=c,
        new=tmp_path,
    )
    assert found["codecs"]["hidden(bits=16)"]["kl"] < 1e-6
    assert found["student"].startswith("seq2seq(")
    kept, bucket = (
        found["codecs"][f"top_k(k=4), {tail}"]["gradient_angle_degrees"]
        for tail in ("left_out", "bucket")
    )
    assert bucket < kept
    drawn = found["codecs"]["hybrid(k=2,samples=4)"]
    assert abs(drawn["bias"]) < 5 * drawn["bias_standard_error"] + 0.05


def test_two_replicas_learn_what_one_does(c, tmp_path, monkeypatch):
    replicas = two_mirrored()
    monkeypatch.setattr(
        tfdistill.assembly, "make_replicas", lambda *_: replicas
    )
    run("distill", DISTILL + RECORDED, c=c, new=tmp_path / "two")
    assert_same_weights(tmp_path / "two", c / "student", 2e-5)


def test_a_run_goes_on_as_if_it_had_not_stopped(c, tmp_path):
    new = tmp_path / "new"
    run("distill", DISTILL + RECORDED, c=c, new=new)
    whole = weights(new)
    for name in ("result.json", "model.json"):
        (new / name).unlink()
    for step in (4, 6):
        (new / "checkpoints" / f"step-{step:09d}.safetensors").unlink()
    run("distill", DISTILL + RECORDED, c=c, new=new)
    for name, expected in weights(new).items():
        np.testing.assert_array_equal(expected, whole[name], err_msg=name)


def predict(flags, text, monkeypatch):
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(text), "utf-8")
    )
    return call("predict", flags.split())


def test_lines_come_in_and_go_out(c, monkeypatch):
    flags = EVALUATE.format(c=c) + f"--run_dir={c}/student"
    lines = ["Ein Hund läuft!", "", "Eine Kuh \u2028 läuft ."] * 3
    done = predict(flags, "\n".join(lines).encode(), monkeypatch)
    assert done.status == 0, done.stderr
    written = done.stdout.split("\n")
    assert len(written) == 10 and written[-1] == ""
    assert written[1] == written[4] == ""
    assert written[:3] == written[3:6]
    summary = json.loads(done.stderr.splitlines()[-1])
    assert summary["lines"] == 9
    bad = predict(flags, b"Ein\n\xff\n", monkeypatch)
    assert bad.status == 1
    assert "Line 2 of stdin is not UTF-8." in bad.stderr
    assert "Traceback" not in bad.stderr


def test_lines_are_read_as_pairs_are(tmp_path, monkeypatch):
    """SentencePiece sees each space; what ends a line elsewhere is none."""
    lines = [f"der Hund {i} bellt" for i in range(60)]
    pieces = SentencePieces(
        learn_sentence_pieces(lines, 40), do_lower_case=False
    )
    spec = "seq2seq(num_layers=1,hidden_dim=16,num_heads=2)"
    made = build_student(
        spec, tokenizer=pieces, teacher=None, seed=1, kind="seq2seq"
    )
    save_model(
        made.model, pieces, parts={"encoder", "generator"}, path=tmp_path
    )
    flags = EVALUATE.format(c=tmp_path) + f"--run_dir={tmp_path}"
    odd = "\ufeffder\u00a0Hund  7 bellt \r\n\r\n".encode()
    plain, same = (
        predict(flags, text, monkeypatch)
        for text in (b"der Hund 7 bellt\n\n", odd)
    )
    assert plain.status == same.status == 0, same.stderr
    assert plain.stdout == same.stdout
    first, second, _ = plain.stdout.split("\n")
    assert first and not second
    done = predict(flags + " --precision=int8", b"der Hund\n", monkeypatch)
    assert done.status == 1 and "is for encoders like BERT" in done.stderr
    two = Process(count=2, launcher="mpirun")
    monkeypatch.setattr("tfdistill.launcher.this_process", lambda: two)
    done = predict(flags, b"der Hund\n", monkeypatch)
    assert done.status == 1 and "standard input is read by one" in done.stderr


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        (
            "distill",
            DISTILL.replace("text_generation(k=0)", "hidden_mse") + LIVE,
            "neither hidden states nor attention",
        ),
        (
            "distill",
            DISTILL + RECORDED + "--train_batch_tokens=10",
            "is less than the 20 tokens",
        ),
        (
            "distill",
            DISTILL + RECORDED + "--num_train_epochs=2",
            "--num_train_epochs does not go with --train_batch_tokens",
        ),
        (
            "distill",
            DISTILL + RECORDED + "--student=bert(num_layers=1)",
            r"made from seq2seq",
        ),
        (
            "finetune",
            CHAIN["finetune"] + " --model=seq2seq --run_dir={new}",
            "made from bert",
        ),
        (
            "finetune",
            CHAIN["finetune"].replace("length=32", "length=16")
            + " --run_dir={new}",
            "has max_seq_length=22, but the student has 16",
        ),
        (
            "finetune",
            CHAIN["finetune"] + " --task=mlm --run_dir={new}",
            "made for --task=translation",
        ),
        (
            "extract_teacher",
            CHAIN["extract_teacher"]
            + " --knowledge=features(hidden_states=[0])"
            " --knowledge_records={new}",
            "features are those of a teacher's layers",
        ),
        (
            "extract_teacher",
            CHAIN["extract_teacher"]
            + " --teacher={c}/other --knowledge_records={new}",
            "The teacher has another vocabulary",
        ),
        (
            "evaluate",
            EVALUATE + "--run_dir={c}/teacher",
            "writes no texts",
        ),
        (
            "evaluate",
            EVALUATE + "--run_dir={c}/student --eval_records={c}/train",
            "holds no pairs.jsonl",
        ),
        (
            "make_records",
            RECORDS + "--task=cmlm --records={new}",
            "learns from those of translation and summarisation",
        ),
        (
            "make_records",
            RECORDS + "--vocab_file={c}/vocab.txt --records={new}",
            "holds no pieces that source and target share",
        ),
        (
            "make_records",
            RECORDS + "--record_layout=plain --records={new}",
            "--record_layout=plain is not for --task=translation",
        ),
        (
            "make_records",
            RECORDS + "--records_for=causal_lm --records={new}",
            "--records_for is not for --task=translation",
        ),
    ],
)
def test_wrong_uses_say_so_in_a_line(command, flags, message, c, tmp_path):
    _make_other_teacher(c)
    new = tmp_path / "new"
    done = call(command, flags.format(c=c, new=new).split())
    assert done.status in (1, 2)
    last = done.stderr.strip().splitlines()[-1]
    assert message in last, done.stderr
    assert "Traceback" not in done.stderr
    assert not new.exists()


def _make_other_teacher(c):
    """The teacher, with pieces in another order."""
    other = c / "other"
    if other.exists():
        return
    from tfdistill.models.formats import load_model
    from tfdistill.text.join_marks import JoinMarks
    from tfdistill.text.word_pieces import WordPiece, read_vocabulary

    made = load_model(str(c / "teacher"), heads=("generator",))
    vocabulary = list(made.tokenizer.vocabulary)
    vocabulary[5], vocabulary[6] = vocabulary[6], vocabulary[5]
    words = WordPiece(read_vocabulary(c / "vocab.txt"), do_lower_case=True)
    pieces = JoinMarks(vocabulary, words, is_moses_tokenized=False)
    save_model(made.model, pieces, parts=made.parts, path=other)
