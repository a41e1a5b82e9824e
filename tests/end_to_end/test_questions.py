"""Questions through all commands, alone and in ranks, and what is refused."""

import json
import re

import mpi
import numpy as np
import pytest
import small_questions
from small_chain import call

from tfdistill.tensors import load_tensors

BERT = "bert(num_layers={},hidden_dim=16,num_heads=2,max_sequence_length=32)"
RECORDS = (
    "--task=squad_v1 --vocab_file={c}/vocab.txt --max_seq_length=32 "
    "--max_query_length=9 --doc_stride=10 --questions_per_shard=12 "
    "--num_processes=1 "
)
TRAIN = (
    "--task=squad_v1 --train_batch_size=8 --optimizer=adamw --clip_norm=0.5 "
    "--schedule=constant --learning_rate=3e-3 --num_warmup_steps=0 "
)
EXTRACT = (
    "--task=squad_v1 --records={c}/train --teacher={c}/teacher "
    "--knowledge=logits --knowledge=features(hidden_states=[0,1,2],bits=32) "
    "--predict_batch_size=7 --knowledge_records={new}"
)
DISTILL = (
    f"{TRAIN} --student={BERT.format(1)} --num_train_steps=8 --run_dir={{new}} "
    "--objective=soft_targets(temperature=2) --objective=labels(weight=0.5) "
    "--objective=hidden_mse(layers='emb+skip') "
    "--objective=word_distance --objective=word_angle(window=5,weight=10) "
)
RECORDED = "--knowledge_records={c}/knowledge "
LIVE = "--records={c}/train --teacher={c}/teacher "
PREDICT = "--task=squad_v1 --run_dir={c}/teacher --test_records={c}/test "


def run(command, flags, **folders):
    done = call(command, flags.format(**folders).split())
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


def run_ranks(command, flags, **folders):
    arguments = ["-m", f"tfdistill.{command}", *flags.format(**folders).split()]
    done = mpi.run(mpi.mpirun(2, *arguments))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["replicas"], summary["world_size"]) == ("horovod", 2)
    return summary


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    c = tmp_path_factory.mktemp("questions")
    (c / "vocab.txt").write_text("\n".join(small_questions.vocabulary()))
    small_questions.write(c / "train.json", range(11))
    small_questions.write(c / "dev.json", range(11, 19))
    hidden = small_questions.squad(range(11, 19))
    for paragraph in hidden["data"][0]["paragraphs"]:
        for question in paragraph["qas"]:
            del question["answers"]
    (c / "hidden.json").write_text(json.dumps(hidden))
    run(
        "make_records",
        RECORDS + "--input={c}/train.json --records={c}/train "
        "--eval_input={c}/dev.json --eval_records={c}/dev",
        c=c,
    )
    run(
        "make_records",
        RECORDS + "--input={c}/hidden.json --records={c}/test",
        c=c,
    )
    run(
        "finetune",
        f"{TRAIN} --model={BERT.format(2)} --records={{c}}/train "
        "--num_train_steps=40 --run_dir={c}/teacher",
        c=c,
    )
    run("extract_teacher", EXTRACT, c=c, new=c / "knowledge")
    return c


@pytest.fixture(scope="module")
def student(c, tmp_path_factory):
    """A student of recorded knowledge, and what the command printed."""
    new = tmp_path_factory.mktemp("student") / "run"
    return new, run("distill", DISTILL + RECORDED, c=c, new=new)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_same_weights(folder, other):
    ours, theirs = (
        load_tensors(x / "model.safetensors")[0] for x in (folder, other)
    )
    assert ours.keys() == theirs.keys()
    # What is added to all tokens alike changes nothing: its gradients are
    # rounding errors.
    del theirs["span/bias"]
    for name, expected in theirs.items():
        difference = np.linalg.norm(ours[name] - expected)
        assert difference <= 2e-6 * np.linalg.norm(expected), name


def test_recorded_knowledge_is_the_live_teacher(c, student, tmp_path):
    run("distill", DISTILL + LIVE, c=c, new=tmp_path / "run")
    assert_same_weights(tmp_path / "run", student[0])
    for name in ("soft_targets", "hidden_mse", "word_distance", "word_angle"):
        assert student[1]["train"][name] > 1e-4


def test_ranks_extract_the_bytes_of_one_process(c, tmp_path):
    run_ranks("extract_teacher", EXTRACT, c=c, new=tmp_path / "two")
    assert contents(tmp_path / "two") == contents(c / "knowledge")


def test_ranks_distil_the_student_of_one_process(c, student, tmp_path):
    flags = DISTILL + RECORDED + "--gradient_checkpointing "
    done = run_ranks("distill", flags, c=c, new=tmp_path / "two")
    assert_same_weights(tmp_path / "two", student[0])
    for summary in (done, student[1]):
        # Of this process, in bytes.
        assert 1e8 < summary["peak_memory_bytes"] < 1e11


def test_ranks_predict_what_one_process_does(c, tmp_path):
    """Windows of a question are on several ranks and in several batches."""
    flags = PREDICT + "--predictions={new} --predict_batch_size="
    run("predict", flags + "64", c=c, new=tmp_path / "one")
    done = run_ranks("predict", flags + "6", c=c, new=tmp_path / "two")
    one, two = (
        {
            path.name: json.loads(path.read_text())
            for path in (tmp_path / name).iterdir()
        }
        for name in ("one", "two")
    )
    assert done["questions"] == len(one["predictions.json"]) == 8 * 4
    assert done["examples"] > 2 * done["questions"]
    assert two.keys() == one.keys()
    assert two["predictions.json"] == one["predictions.json"]
    assert len(set(one["predictions.json"].values())) > 3
    for name, expected in one["nbest_predictions.json"].items():
        for ours, theirs in zip(
            two["nbest_predictions.json"][name], expected, strict=True
        ):
            assert ours.pop("text") == theirs.pop("text")
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_questions_without_answers(c, tmp_path):
    """They can be predicted, and be learnt from as far as a teacher goes."""
    run(
        "distill",
        f"{TRAIN} --student={BERT.format(1)} --num_train_steps=2 "
        "--objective=soft_targets --objective=logit_mse --records={c}/test "
        "--teacher={c}/teacher --run_dir={new}",
        c=c,
        new=tmp_path / "run",
    )


def test_any_objective_on_the_inside(c, tmp_path):
    names = [
        "attention_kl",
        "minilm_v2(relation_heads=2)",
        "tinybert",
        "pkd",
        "alp_kd",
        "hidden_cosine",
        "crd(negatives=5,width=4)",
        "layer_distance",
        "layer_angle",
        "logit_mse",
    ]
    done = run(
        "distill",
        f"{TRAIN} --student={BERT.format(2)} --num_train_steps=2 "
        f"--run_dir={{new}} {LIVE}"
        + " ".join(f"--objective={name}" for name in names),
        c=c,
        new=tmp_path / "run",
    )
    for name in names:
        name = name.partition("(")[0]
        # Those that are made of several are named after these too.
        found = {n: x for n, x in done["train"].items() if n.startswith(name)}
        assert found and all(x > 0 for x in found.values()), name


WRONG = [
    (
        "make_records",
        RECORDS + "--input={c}/broken.json --records={new}",
        r"broken\.json is not JSON: .* in line 1, byte 200 of the file",
    ),
    (
        "make_records",
        RECORDS + "--input={c}/gone.json --records={new}",
        r"gone\.json",
    ),
    (
        "finetune",
        f"{TRAIN} --model={BERT.format(1)} --records={{c}}/test "
        "--num_train_steps=2 --run_dir={new}",
        r"labels reads answer_\w+, which .*test does not hold",
    ),
    (
        "finetune",
        f"{TRAIN} --model={BERT.format(1)} --records={{c}}/train "
        "--eval_records={c}/test --num_train_steps=2 --run_dir={new}",
        "test holds no labels to compare with",
    ),
    (
        "evaluate",
        "--task=squad_v1 --run_dir={c}/teacher --eval_records={c}/test",
        "The records hold no answers",
    ),
    (
        "evaluate",
        "--task=squad_v1 --run_dir={c}/teacher --eval_records={c}/knowledge",
        r"knowledge holds no questions\.json",
    ),
    (
        "predict",
        "--task=squad_v2 --run_dir={c}/teacher --test_records={c}/test "
        "--predictions={new}",
        "test was made for --task=squad_v1, not for squad_v2",
    ),
    (
        "distill",
        DISTILL + RECORDED + "--objective=next_sentence",
        "next_sentence: the task has no such labels",
    ),
]


@pytest.mark.parametrize(("command", "flags", "says"), WRONG)
def test_what_is_wrong_is_one_line(c, tmp_path, command, flags, says):
    broken = (c / "train.json").read_bytes()[:200] + b"\x01"
    (c / "broken.json").write_bytes(broken)
    done = call(command, flags.format(c=c, new=tmp_path / "new").split())
    assert done.status == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfdistill.{command}: error: ")
    assert re.search(says, line), line
    assert not list(tmp_path.iterdir())
