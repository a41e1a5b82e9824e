"""Tasks of sentences through all commands, and what these refuse."""

import json
import re
import shutil

import mpi
import numpy as np
import pytest
import small_sentences
from mirrored import two_mirrored
from small_chain import call
from small_sentences import (
    EPOCHS,
    LEARNT,
    RECORDS,
    ROWS,
    STUDENT,
    TRAIN,
    label_of,
    numbers,
    run,
)

import tfdistill.assembly
from tfdistill.assembly import load_for
from tfdistill.records import open_record_set, read_feature
from tfdistill.replicas import OneDevice
from tfdistill.scoring import examine
from tfdistill.tasks import find_task
from tfdistill.tensors import load_tensors, save_tensors

DISTILL = f"{TRAIN} --student={STUDENT} --run_dir={{new}} "
LIVE = "--records={c}/train --teacher={c}/teacher "
ON_FEATURES = (
    "--objective=hidden_mse(layers='emb+skip') --objective=attention_kl "
    "--objective=word_distance "
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sentences")


@pytest.fixture(scope="module")
def chain(folder):
    """The summaries of the chain that ran in the folder."""
    return small_sentences.build(folder)


@pytest.fixture
def c(chain, folder):
    return folder


def weights(folder):
    return load_tensors(folder / "model.safetensors")[0]


def assert_same_weights(folder, other):
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        difference = np.linalg.norm(ours[name] - expected)
        assert difference <= 1e-6 * np.linalg.norm(expected), name


def recorded(folder, kind):
    lines = map(json.loads, (folder / "metrics.jsonl").open())
    return [line for line in lines if line["kind"] == kind]


def test_every_row_is_an_example(chain):
    made = chain["make_records"]
    assert (made["task"], made["labels"]) == ("sst2", ["0", "1"])
    for split, prefix in (("train", ""), ("dev", "eval_"), ("test", "test_")):
        assert made[f"{prefix}examples"] == ROWS[split]
    assert (made["shards"], made["eval_shards"]) == (3, 1)
    for step in ("logits", "features"):
        assert chain[step]["extracted_examples"] == ROWS["train"]


def test_epochs_are_steps_rounded_down(chain):
    assert EPOCHS * ROWS["train"] / 8 == 48.75
    assert chain["finetune"]["steps"] == 48


def test_without_patience_the_best_checkpoint_is_kept_at_the_end(chain, c):
    found = recorded(c / "teacher", "eval")
    assert [line["step"] for line in found] == [*range(5, 50, 5), 48]
    scores = [line["accuracy"] for line in found]
    best = scores.index(max(scores))
    # It went on though the score rose no more.
    assert best < len(scores) - 1 and scores[best] > 0.9
    for name, value in chain["finetune"]["eval"].items():
        assert value == found[best][name]
    assert chain["finetune"]["best_metric"] == "accuracy"
    kept, _ = load_tensors(c / "teacher/checkpoints/best.safetensors")
    last, _ = load_tensors(c / "teacher/checkpoints/step-000000048.safetensors")
    saved = weights(c / "teacher")["classifier/kernel"]
    assert (saved == kept["model/classifier/kernel"]).all()
    assert (saved != last["model/classifier/kernel"]).any()


def test_recorded_logits_are_the_live_teacher(c, tmp_path):
    run("distill", DISTILL + LIVE + LEARNT, c=c, new=tmp_path / "run")
    assert_same_weights(c / "student", tmp_path / "run")


def test_logits_in_fewer_bits(c, tmp_path):
    flags = "--task=sst2 --records={c}/train --teacher={c}/teacher "
    flags += "--knowledge_records={new} --precision=int8"
    run("extract_teacher", flags, c=c, new=tmp_path)
    records = open_record_set(str(tmp_path))
    assert records.identity["precision"] == "int8"
    found = read_feature(records, "teacher_logits")
    exact = read_feature(open_record_set(str(c / "logits")), "teacher_logits")
    assert (found != exact).all(axis=1).mean() > 0.9
    np.testing.assert_allclose(found, exact, atol=0.1 * np.abs(exact).max())


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_evaluation_in_fewer_bits(chain, c, precision):
    flags = "--task=sst2 --run_dir={c}/teacher --eval_records={c}/dev "
    found = run("evaluate", f"{flags} --precision={precision}", c=c)
    exact = chain["finetune"]["eval"]["accuracy"]
    assert abs(found["accuracy"] - exact) <= 0.05


def test_recorded_features_are_the_live_teacher(c, tmp_path):
    found = {}
    for name, where in (
        ("live", LIVE),
        ("recorded", "--knowledge_records={c}/features "),
    ):
        flags = DISTILL + where + ON_FEATURES
        done = run("distill", flags, c=c, new=tmp_path / name)
        found[name] = done["train"]
    assert_same_weights(tmp_path / "recorded", tmp_path / "live")
    for name in ("hidden_mse", "attention_kl", "word_distance"):
        assert found["recorded"][name] > 1e-3
        assert found["recorded"][name] == pytest.approx(found["live"][name])


def test_objectives_that_take_turns_have_a_graph_each(c, tmp_path, monkeypatch):
    made = []
    make = OneDevice.compile

    def counted(self, step):
        made.append(step)
        return make(self, step)

    monkeypatch.setattr(OneDevice, "compile", counted)
    # What is recorded, and then what only the live teacher knows.
    flags = (
        "--knowledge_records={c}/features --teacher={c}/teacher "
        "--objective=hidden_mse(end_step=2) "
        "--objective=soft_targets(start_step=2,weight=2) "
        "--num_train_steps=4 --log_every_steps=1"
    )
    run("distill", DISTILL + flags, c=c, new=tmp_path / "run")
    assert len(made) == 2
    found = recorded(tmp_path / "run", "train")
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    for line in found[:2]:
        assert "soft_targets" not in line
        assert line["loss"] == line["hidden_mse"] > 0
    for line in found[2:]:
        assert "hidden_mse" not in line
        assert line["loss"] == pytest.approx(2 * line["soft_targets"])
        assert line["soft_targets"] > 0


def test_student_is_evaluated_and_compared(chain, c):
    found = chain["evaluate"]
    assert found["examples"] == ROWS["dev"]
    assert found["parameters"] < chain["finetune"]["parameters"]
    assert found["parameters"] == chain["distill"]["parameters"]
    for name in ("accuracy", "teacher_agreement"):
        assert found[name] * ROWS["dev"] == pytest.approx(
            round(found[name] * ROWS["dev"])
        )
    assert found["teacher_kl"] > 0


@pytest.fixture(scope="module")
def rows(chain, folder):
    """What is found out on two replicas and on one, of an odd batch."""

    def find_out(replicas):
        records = open_record_set(str(folder / "dev"))
        task = find_task("sst2", records)
        with replicas.scope():
            loaded = load_for(task, str(folder / "teacher"))
        return examine(
            loaded.model,
            loaded.parts,
            None,
            records,
            loaded.tokenizer,
            task,
            replicas,
            batch_size=9,
        )()

    return find_out(two_mirrored()), find_out(OneDevice())


def test_replicas_find_the_rows_of_one_device(rows, chain):
    two, one = rows
    assert two.rows["logits"].shape == (ROWS["dev"], 2)
    np.testing.assert_allclose(
        two.rows["logits"], one.rows["logits"], atol=1e-5
    )
    for found in rows:
        expected = [label_of(n) for n in numbers("dev")]
        assert found.rows["labels"].tolist() == expected
        assert found.sums["label_weights"] == ROWS["dev"]
    hits = two.rows["logits"].argmax(-1) == two.rows["labels"]
    # As the training saw it, on one device and in other batches.
    assert hits.mean() == chain["finetune"]["eval"]["accuracy"]


def module(command, flags):
    return ["-m", f"tfdistill.{command}", *flags.split()]


def test_two_ranks_are_one_process(chain, c, tmp_path):
    """A teacher learns and answers under mpirun as it does alone."""
    command, flags = small_sentences.CHAIN["finetune"]
    flags += f" --run_dir={tmp_path}/teacher"
    done = mpi.run(mpi.mpirun(2, *module(command, flags.format(c=c))))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["replicas"], found["world_size"]) == ("horovod", 2)
    for name, value in chain["finetune"]["eval"].items():
        assert found["eval"][name] == pytest.approx(value, rel=1e-4), name
    command, flags = small_sentences.CHAIN["predict"]
    flags += f" --predictions={tmp_path}/predictions"
    done = mpi.run(mpi.mpirun(2, *module(command, flags.format(c=c))))
    assert done.returncode == 0, done.stderr
    for name in ("SST-2.tsv", "submission.zip"):
        ours, alone = (
            (folder / "predictions" / name).read_bytes()
            for folder in (tmp_path, c)
        )
        assert ours == alone, name


def test_evaluate_on_replicas(chain, c, monkeypatch):
    monkeypatch.setattr(
        tfdistill.assembly,
        "make_replicas",
        lambda name, num_devices: two_mirrored(),
    )
    command, flags = small_sentences.CHAIN["evaluate"]
    found = run(command, flags + " --predict_batch_size=9", c=c)
    assert (found["replicas"], found["world_size"]) == ("mirrored", 2)
    for name in ("accuracy", "label_loss", "teacher_agreement", "teacher_kl"):
        assert found[name] == pytest.approx(chain["evaluate"][name], rel=1e-5)


@pytest.mark.parametrize("batch_size", [5, 64])
def test_predict_writes_a_line_for_each_row(c, tmp_path, batch_size):
    flags = (
        "--task=sst2 --run_dir={c}/teacher --test_records={c}/test "
        f"--predictions={{new}} --predict_batch_size={batch_size}"
    )
    done = run("predict", flags, c=c, new=tmp_path)
    text = (tmp_path / "SST-2.tsv").read_text()
    assert text == (c / "predictions/SST-2.tsv").read_text()
    head, *lines = [line.split("\t") for line in text.splitlines()]
    assert head == ["index", "prediction"]
    assert [i for i, _ in lines] == [str(i) for i in range(ROWS["test"])]
    assert done["examples"] == ROWS["test"]
    hits = [
        label == str(label_of(n))
        for (_, label), n in zip(lines, numbers("test"), strict=True)
    ]
    assert sum(hits) >= ROWS["test"] - 1


def pair(number):
    """Two sentences and how much of one is in the other."""
    left = small_sentences.sentence(number)
    right = [*left.split()[: number % 5], "so", "a"]
    return {
        "left": left,
        "right": " ".join(right),
        "score": number % 5 - 1.5,
    }


# Every ninth sentence is a long one.
PAIRS = [pair(n) for n in range(36) if n % 9]
OF_SCORES = (
    "--task=regression --train_batch_size=8 --num_train_steps=4 "
    "--num_warmup_steps=0 --learning_rate=1e-3 "
)


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """A teacher of scores, its knowledge and a student of it."""
    c = tmp_path_factory.mktemp("scores")
    for split, pairs in (("train", PAIRS[:22]), ("dev", PAIRS[22:])):
        lines = [json.dumps(pair) for pair in pairs]
        (c / f"{split}.jsonl").write_text("\n".join(lines))
    (c / "vocab.txt").write_text("\n".join(small_sentences.VOCABULARY))
    for command, flags in (
        (
            "make_records",
            "--task=regression --data_dir={c} --text_column=left "
            "--pair_column=right --label_column=score --max_seq_length=16 "
            "--vocab_file={c}/vocab.txt --records={c}/records "
            "--eval_records={c}/eval",
        ),
        (
            "finetune",
            f"{OF_SCORES} --model={STUDENT} --records={{c}}/records "
            "--run_dir={c}/teacher",
        ),
        (
            "extract_teacher",
            "--task=regression --records={c}/records --teacher={c}/teacher "
            "--knowledge_records={c}/knowledge",
        ),
    ):
        run(command, flags, c=c)
    return c


ON_SCORES = (
    f"{OF_SCORES} --student={STUDENT} --knowledge_records={{c}}/knowledge "
    "--run_dir={new} --eval_records={c}/eval "
)


def test_regression(scores, tmp_path):
    flags = "--objective=logit_mse --objective=labels(weight=0.5)"
    done = run("distill", ON_SCORES + flags, c=scores, new=tmp_path / "run")
    found = done["train"]
    assert found["loss"] == pytest.approx(
        found["logit_mse"] + 0.5 * found["labels"]
    )
    # Scores of variance 2 are not learnt in four steps, the teacher's are.
    assert 0 < found["logit_mse"] < found["labels"]
    assert (done["best_metric"], done["higher_is_better"]) == ("pearson", True)
    flags = "--task=regression --run_dir={new}/run "
    evaluated = run(
        "evaluate", flags + "--eval_records={c}/eval", c=scores, new=tmp_path
    )
    run(
        "predict",
        flags + "--test_records={c}/eval --predictions={new}",
        c=scores,
        new=tmp_path,
    )
    head, *lines = (tmp_path / "predictions.tsv").read_text().splitlines()
    assert head == "index\tprediction"
    predicted = [line.split("\t")[1] for line in lines]
    assert all(re.fullmatch(r"-?\d+\.\d{3}", x) for x in predicted)
    labels = np.array([pair["score"] for pair in PAIRS[22:]])
    errors = (np.array(predicted, float) - labels) ** 2
    assert evaluated["label_loss"] == pytest.approx(errors.mean(), abs=5e-3)
    for name, value in done["eval"].items():
        assert evaluated[name] == pytest.approx(value, rel=1e-4), name


def test_scores_have_no_distribution(scores, tmp_path):
    flags = (ON_SCORES + "--objective=soft_targets").format(
        c=scores, new=tmp_path / "new"
    )
    check(call("distill", flags.split()), "distill", "scores have no distribu")
    assert not list(tmp_path.iterdir())


def check(done, command, says):
    assert done.status > 0, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfdistill.{command}: error: ")
    assert re.search(says, line), line


def test_classes_in_another_order_are_put_into_that_of_the_records(
    chain, c, tmp_path
):
    """As after training with `--labels` the other way round."""
    flipped = tmp_path / "flipped"
    shutil.copytree(c / "student", flipped)
    tensors, notes = load_tensors(flipped / "model.safetensors")
    for name in ("classifier/kernel", "classifier/bias"):
        tensors[name] = np.ascontiguousarray(tensors[name][..., ::-1])
    save_tensors(flipped / "model.safetensors", tensors, notes)
    settings = json.loads((flipped / "model.json").read_text())
    assert settings["labels"] == ["0", "1"]
    settings["labels"] = ["positive", "Negative"]
    (flipped / "model.json").write_text(json.dumps(settings))
    command, flags = small_sentences.CHAIN["evaluate"]
    found = run(command, flags + " --run_dir={new}", c=c, new=flipped)
    for name in ("accuracy", "label_loss", "teacher_agreement", "teacher_kl"):
        assert found[name] == chain["evaluate"][name], name


@pytest.fixture(scope="module")
def misfits(chain, folder):
    small_sentences.write_misfits(folder)
    return folder


# Flags of a right use; wrong ones are put behind them.
RIGHT = {
    "make_records": RECORDS + "--records={new}",
    "finetune": f"{TRAIN} --model={STUDENT} --records={{c}}/train "
    "--run_dir={new}",
    "extract_teacher": "--task=sst2 --records={c}/train "
    "--teacher={c}/teacher --knowledge_records={new}",
    "distill": DISTILL + "--knowledge_records={c}/logits",
    "evaluate": "--task=sst2 --run_dir={c}/teacher --eval_records={c}/dev",
    "predict": "--task=sst2 --run_dir={c}/teacher --test_records={c}/test "
    "--predictions={new}",
}
OTHER_TASK = "was made for --task=sst2, not for cola"
OTHER_CLASSES = "tells 3 classes apart, the task has 2"
OTHER_NAMES = "of_other_names/.* has the classes no, yes, the task has 0, 1; "
# Command, its wrong flags, what the line says.
WRONG_USES = [
    (
        "make_records",
        "--data_dir={c}",
        r"holds no train\.tsv, the train file of the task sst2. Is .*/SST-2 me",
    ),
    (
        "make_records",
        "--data_dir={c}/train --eval_records={new}2",
        r"/train holds no train\.tsv, the train file of the task sst2\.",
    ),
    ("make_records", "--data_dir=", "--data_dir is needed"),
    (
        "make_records",
        "--eval_records={c}/teacher",
        "teacher is not empty and holds no records",
    ),
    ("make_records", "--records=", "--records, --eval_records or --test_r"),
    (
        "make_records",
        "--data_dir={c}/other_label",
        r"train\.tsv: line 3: unknown label '2'. Known: 0, 1",
    ),
    (
        "make_records",
        "--data_dir={c}/other_column",
        r"train\.tsv: there is no column 'sentence'. Known: 'text', 'label'",
    ),
    (
        "make_records",
        "--data_dir={c}/empty_dev --eval_records={new}2",
        r"dev\.tsv holds no rows",
    ),
    ("finetune", "--task=cola", OTHER_TASK),
    ("finetune", "--records={c}/test", r"reads labels, which .*/test does not"),
    (
        "finetune",
        "--eval_records={c}/yes_or_no",
        r"has labels=\['no', 'yes'\], .*/train has \['0', '1'\]",
    ),
    ("finetune", "--eval_records={c}/test", "/test holds no labels to compare"),
    ("finetune", "--model={c}/of_other_names", OTHER_NAMES),
    ("extract_teacher", "--task=cola", OTHER_TASK),
    ("extract_teacher", "--teacher={c}/of_three_classes", OTHER_CLASSES),
    ("extract_teacher", "--teacher={c}/of_other_names", OTHER_NAMES),
    (
        "extract_teacher",
        "--knowledge=features(hidden_states=[3])",
        "the teacher's are 0 to 2",
    ),
    ("extract_teacher", "--knowledge=top_k(k=2)", "logits is for classes"),
    ("extract_teacher", "--precision=int4", "--precision=int4 is not one of"),
    ("distill", f"{LEARNT} --task=cola", OTHER_TASK),
    (
        "distill",
        f"{LEARNT} --knowledge_records= --records={{c}}/train "
        "--teacher={c}/of_three_classes",
        OTHER_CLASSES,
    ),
    (
        "distill",
        f"{LEARNT} --knowledge_records= --records={{c}}/train "
        "--teacher={c}/of_other_names",
        OTHER_NAMES,
    ),
    ("distill", f"{LEARNT} --student={{c}}/of_other_names", OTHER_NAMES),
    (
        "distill",
        "--objective=hidden_mse",
        "logits does not hold the teacher's hidden_states/2, .* no --teacher",
    ),
    (
        "distill",
        "--objective=hidden_mse --teacher={c}/student",
        "logits holds what another teacher said than --teacher, which would be",
    ),
    (
        "distill",
        f"{LEARNT} --knowledge_records={{c}}/features",
        "features does not hold the teacher's distribution, .* no --teacher",
    ),
    (
        "distill",
        "--objective=hidden_mse --knowledge_records= --records={c}/train",
        "need --knowledge_records that hold them, or --teacher to ask",
    ),
    (
        "distill",
        "--objective=next_sentence --records={c}/train",
        "the task has no such labels",
    ),
    ("evaluate", "--task=cola", OTHER_TASK),
    ("evaluate", "--run_dir={c}/of_three_classes", OTHER_CLASSES),
    ("evaluate", "--run_dir={c}/of_other_names", OTHER_NAMES),
    ("evaluate", "--teacher={c}/of_other_names", OTHER_NAMES),
    ("evaluate", "--eval_records={c}/test", "hold no labels, .*predict is fo"),
    ("predict", "--task=cola", OTHER_TASK),
    ("predict", "--run_dir={c}/of_three_classes", OTHER_CLASSES),
    ("predict", "--run_dir={c}/of_other_names", OTHER_NAMES),
]


@pytest.mark.parametrize(("command", "flags", "says"), WRONG_USES)
def test_wrong_use(misfits, tmp_path, command, flags, says):
    before = sorted(misfits.rglob("*"))
    flags = f"{RIGHT[command]} {flags}".format(c=misfits, new=tmp_path / "new")
    check(call(command, flags.split()), command, says)
    assert not list(tmp_path.iterdir())
    assert sorted(misfits.rglob("*")) == before
