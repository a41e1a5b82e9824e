"""Students that read words, through all commands."""

import json
import re
import shutil

import mpi
import numpy as np
import pytest
from mirrored import two_mirrored
from small_chain import call
from small_sentences import (
    RECORDS,
    ROWS,
    TEACHER,
    TRAIN,
    VOCABULARY,
    label_of,
    numbers,
    run,
    sentence,
    write_tables,
)

import tfdistill.assembly
from tfdistill.tensors import load_tensors
from tfdistill.text.words import RESERVED

DIM, HIDDEN, FC = 4, 6, 8
WITH_VECTORS = ("fine", "dull", "the", "film")
VECTORS = np.random.default_rng(1).normal(size=(4, DIM)).astype(np.float32)
# Both tables, dropout, and an epoch that ends within the run.
BILSTM = (
    f"bilstm(hidden_dim={HIDDEN},fc_dim={FC},vectors=multichannel,"
    "vectors_file='{c}/glove.txt',dropout=0.3)"
)
ON_WORDS = (
    "--task=sst2 --train_batch_size=8 --schedule=constant --clip_norm=0 "
    "--num_warmup_steps=0 --num_train_steps=9 --length_window=2 "
)
DISTILL = (
    f"{ON_WORDS} --student={BILSTM} --optimizer=adadelta --learning_rate=0.5 "
    "--objective=logit_mse --objective=soft_targets(focal=true,weight=0.5,"
    "divergence=kl,temperature=3) --save_checkpoints_steps=3 --run_dir={new} "
)
RECORDED = "--knowledge_records={c}/logits "
LIVE = "--records={c}/train --teacher={c}/teacher "
CHAIN = {
    "make_vocab": "--task=sst2 --data_dir={c}/SST-2 --words_file={c}/words",
    "make_records": RECORDS + "--words_file={c}/words --records={c}/train "
    # One length of batches, so one graph.
    "--max_seq_length=16 "
    "--eval_records={c}/dev --test_records={c}/test --examples_per_shard=25",
    "finetune": f"{TRAIN} --model={TEACHER} --records={{c}}/train "
    "--num_train_steps=30 --run_dir={c}/teacher",
    "extract_teacher": "--task=sst2 --records={c}/train --teacher={c}/teacher "
    "--knowledge_records={c}/logits",
    "distill": DISTILL + RECORDED + "--eval_records={c}/dev",
    "evaluate": "--task=sst2 --run_dir={new} --teacher={c}/teacher "
    "--eval_records={c}/dev --predict_batch_size=8",
    "predict": "--task=sst2 --run_dir={new} --test_records={c}/test "
    "--predictions={c}/predictions --predict_batch_size=5",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("words")


@pytest.fixture(scope="module")
def chain(folder):
    """The summaries of the chain that ran in the folder."""
    write_tables(folder)
    lines = (
        " ".join([word, *map(str, vector.tolist())])
        for word, vector in zip(WITH_VECTORS, VECTORS, strict=True)
    )
    (folder / "glove.txt").write_text("\n".join(lines) + "\n")
    return {
        command: run(command, flags, c=folder, new=folder / "student")
        for command, flags in CHAIN.items()
    }


@pytest.fixture
def c(chain, folder):
    return folder


def weights(folder):
    return load_tensors(folder / "model.safetensors")[0]


def assert_same_weights(folder, other):
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        np.testing.assert_allclose(
            ours[name], expected, rtol=0, atol=1e-6, err_msg=name
        )


def test_words_are_learnt_from_all_tables(chain, c):
    words = (c / "words").read_text().splitlines()
    assert tuple(words[:3]) == RESERVED
    assert sorted(words[3:]) == sorted(VOCABULARY[5:])
    made = chain["make_vocab"]
    assert made["vocabulary"] == len(words) == made["distinct_words"] + 3
    lines = [sentence(n) for split in ROWS for n in numbers(split)]
    assert made["words"] == len(" ".join(lines).split())
    assert len(made["tables"]) == 3


def test_student_has_both_tables_and_changes_one(chain, c):
    words = (c / "words").read_text().splitlines()
    rows = [words.index(word) for word in WITH_VECTORS]
    found = weights(c / "student")
    frozen = found["words/encoder/embedding/static/table"]
    trained = found["words/encoder/embedding/non_static/table"]
    assert frozen.shape == trained.shape == (len(words), DIM)
    np.testing.assert_array_equal(frozen[rows], VECTORS)
    moved = np.abs(trained - frozen).max(axis=1)
    assert (moved[3:] > 1e-5).all()
    # No sentence is empty, masked or unknown; padding is never read.
    assert not moved[:3].any()
    rnn = 2 * 4 * HIDDEN * (2 * DIM + HIDDEN + 1)
    others = rnn + FC * (2 * HIDDEN + 1) + 2 * (FC + 1)
    evaluated = chain["evaluate"]
    assert evaluated["parameters_without_embeddings"] == others
    tables = 2 * len(words) * DIM
    assert evaluated["parameters"] == others + tables
    assert chain["distill"]["parameters"] == others + tables


def test_frozen_vectors_are_in_no_optimizer(chain, c):
    path = c / "student/checkpoints/step-000000009.safetensors"
    state, _ = load_tensors(path)
    names = [n for n in state if n.startswith("model/")]
    moments = [n for n, x in state.items() if "optimizer/" in n and x.ndim]
    # Adadelta keeps two means of all that it trains.
    assert len(moments) == 2 * (len(names) - 1)


def test_student_is_evaluated_as_it_was_trained(chain):
    found, trained = chain["evaluate"], chain["distill"]["eval"]
    for name in ("accuracy", "label_loss"):
        assert found[name] == pytest.approx(trained[name], rel=1e-5), name
    assert found["teacher_kl"] > 0
    assert 0 < found["teacher_agreement"] <= 1


def test_predictions_have_a_line_for_each_row(chain, c):
    text = (c / "predictions/SST-2.tsv").read_text()
    head, *lines = [line.split("\t") for line in text.splitlines()]
    assert head == ["index", "prediction"]
    assert [i for i, _ in lines] == [str(i) for i in range(ROWS["test"])]


def test_a_folder_holds_all_that_the_model_needs(chain, c):
    files = {path.name for path in (c / "student").iterdir()}
    assert files >= {"model.json", "model.safetensors", "words.txt"}
    assert files.isdisjoint({"vocab.txt", "export"})
    with (c / "words").open() as file:
        assert (c / "student/words.txt").read_text() == file.read()


def test_recorded_logits_are_the_live_teacher(c, tmp_path):
    run("distill", DISTILL + LIVE, c=c, new=tmp_path / "run")
    assert_same_weights(tmp_path / "run", c / "student")


@pytest.mark.parametrize(("devices", "parts"), [(1, 2), (2, 2)])
def test_splits_give_the_same_student(c, tmp_path, monkeypatch, devices, parts):
    if devices == 2:
        monkeypatch.setattr(
            tfdistill.assembly,
            "make_replicas",
            lambda name, num_devices: two_mirrored(),
        )
    flags = DISTILL + RECORDED + f"--accumulation_steps={parts}"
    done = run("distill", flags, c=c, new=tmp_path / "run")
    assert done["world_size"] == devices
    assert_same_weights(tmp_path / "run", c / "student")


def test_dropout_differs_by_seed(c, tmp_path):
    """The tests above can fail: other noise gives another student."""
    flags = DISTILL + RECORDED + "--random_seed=1 --num_train_steps=1"
    run("distill", flags, c=c, new=tmp_path / "run")
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "run", c / "student")


def test_a_run_that_was_cut_ends_as_one_that_was_not(c, tmp_path):
    cut = tmp_path / "run"
    shutil.copytree(c / "student", cut)
    for name in (
        "result.json",
        "model.json",
        "model.safetensors",
        "checkpoints/step-000000009.safetensors",
        "checkpoints/step-000000006.safetensors",
    ):
        (cut / name).unlink()
    run("distill", CHAIN["distill"], c=c, new=cut)
    ours, theirs = weights(cut), weights(c / "student")
    for name, expected in theirs.items():
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)


def test_two_ranks_train_the_same_student(c, tmp_path):
    flags = (DISTILL + RECORDED + "--replicas=horovod").format(
        c=c, new=tmp_path / "run"
    )
    done = mpi.run(mpi.mpirun(2, "-m", "tfdistill.distill", *flags.split()))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["world_size"] == 2
    assert_same_weights(tmp_path / "run", c / "student")


@pytest.mark.parametrize(
    "model",
    [
        "bilstm(rnn=gru,hidden_dim=8,fc_dim=8,vector_dim=8)",
        "conv_rnn(hidden_dim=8,num_feature_maps=8,fc_dim=8,vector_dim=8)",
        "kim_cnn(num_filters=8,vector_dim=8,dropout=0.1)",
    ],
)
def test_labels_are_learnt(c, tmp_path, model):
    flags = (
        f"{ON_WORDS} --model={model} --records={{c}}/train --learning_rate=0.02 "
        "--optimizer=adamw(weight_decay=0) --num_train_steps=40 "
        "--eval_records={c}/dev --run_dir={new}"
    )
    done = run("finetune", flags, c=c, new=tmp_path / "run")
    assert done["eval"]["accuracy"] > 0.9


# Pairs, and whether both have the same first word.
PAIRS = [
    (left := sentence(n), sentence(n if n % 2 else n + 1), str(n % 2))
    for n in range(40)
]
ON_PAIRS = (
    "--task=classification --train_batch_size=8 --num_train_steps=4 "
    "--num_warmup_steps=0 --learning_rate=1e-2 --optimizer=adamw "
)
SIAMESE = "siamese_bilstm(hidden_dim=4,fc_dim=8,vector_dim=6)"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A teacher of words and its knowledge of pairs."""
    c = tmp_path_factory.mktemp("pairs")
    lines = ["sentence\tother\tlabel", *map("\t".join, PAIRS)]
    (c / "train.tsv").write_text("\n".join(lines) + "\n")
    (c / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    tables = "--task=classification --data_dir={c} --pair_column=other "
    for command, flags in (
        ("make_vocab", tables + "--words_file={c}/words"),
        (
            "make_records",
            tables + "--words_file={c}/words --vocab_file={c}/vocab.txt "
            "--max_seq_length=32 --records={c}/records",
        ),
        (
            "finetune",
            f"{ON_PAIRS} --model={SIAMESE} --records={{c}}/records "
            "--run_dir={c}/teacher",
        ),
        (
            "extract_teacher",
            "--task=classification --records={c}/records "
            "--teacher={c}/teacher --knowledge_records={c}/knowledge",
        ),
    ):
        run(command, flags, c=c)
    return c


def test_pairs_are_learnt_from_a_teacher_of_words(pairs, tmp_path):
    flags = (
        f"{ON_PAIRS} --student=siamese_bilstm(hidden_dim=3,fc_dim=4,"
        "vector_dim=5) --objective=logit_mse --run_dir={new} "
    )
    done = {}
    for name, where in (
        ("recorded", "--knowledge_records={c}/knowledge"),
        ("live", "--records={c}/records --teacher={c}/teacher"),
    ):
        done[name] = run("distill", flags + where, c=pairs, new=tmp_path / name)
    assert_same_weights(tmp_path / "recorded", tmp_path / "live")
    assert 0 < done["live"]["train"]["logit_mse"] < 1
    found = run(
        "evaluate",
        "--task=classification --run_dir={new} --teacher={c}/teacher "
        "--eval_records={c}/records",
        c=pairs,
        new=tmp_path / "live",
    )
    assert found["examples"] == len(PAIRS)
    assert found["teacher_kl"] > 0


@pytest.fixture(scope="module")
def misfits(chain, folder):
    """Records without words, with other ones, and of masked LM."""
    other = [*RESERVED, "film"]
    (folder / "other_words").write_text("\n".join(other) + "\n")
    (folder / "text.txt").write_text("\n\n".join(sentence(n) for n in range(9)))
    for flags in (
        "--eval_records={c}/plain_dev --records={c}/plain",
        "--words_file={c}/other_words --eval_records={c}/other_dev",
    ):
        run("make_records", RECORDS + flags, c=folder)
    return folder


RIGHT = {
    "make_vocab": "--task=sst2 --data_dir={c}/SST-2 --words_file={new}",
    "make_records": RECORDS + "--words_file={c}/words --records={new}",
    "finetune": f"{ON_WORDS} --model={BILSTM} --records={{c}}/train "
    "--run_dir={new}",
    "extract_teacher": "--task=sst2 --records={c}/train "
    "--teacher={c}/student --knowledge_records={new}",
    "distill": DISTILL + RECORDED,
    "evaluate": "--task=sst2 --run_dir={c}/student --eval_records={c}/dev",
    "predict": "--task=sst2 --run_dir={c}/student --test_records={c}/test "
    "--predictions={new}",
}
NO_WORDS = "reads whole words, which .*--words_file"
WRONG_USES = [
    ("make_vocab", "--task=mlm", "Unknown task 'mlm' of sentences. Known: "),
    ("make_vocab", "--data_dir=", "--data_dir is needed"),
    ("make_vocab", "--data_dir={c}/none", "none is no folder"),
    ("make_vocab", "--words_file={c}", "is a folder, not a file"),
    ("make_vocab", "--words_file={c}/other_words", "another --words_file, or"),
    ("make_vocab", "--min_word_count=0", "--min_word_count=0 is not at least"),
    ("make_records", "--words_file={c}/vocab.txt", "no vocabulary of words"),
    ("make_records", "--words_file={c}/none", "none: No such file"),
    (
        "make_records",
        "--task=mlm --text={c}/text.txt",
        "--words_file is for tasks of sentences",
    ),
    ("finetune", "--records={c}/plain", f"bilstm {NO_WORDS}"),
    (
        "finetune",
        "--eval_records={c}/plain_dev",
        f"The student {NO_WORDS}",
    ),
    ("finetune", "--eval_records={c}/other_dev", "student has other words or"),
    (
        "finetune",
        f"--model={SIAMESE}",
        "is a siamese_bilstm, which reads pairs; .*/train holds single",
    ),
    ("finetune", "--model=bilstm(vectors=static)", "needs vectors_file='…'"),
    (
        "finetune",
        "--model=bilstm(vectors=static,vectors_file='{c}/words')",
        "words: line 1: expected a word and its vector",
    ),
    (
        "extract_teacher",
        "--knowledge=features(hidden_states=[0])",
        "features are those of a teacher.s layers, and this one has none",
    ),
    (
        "extract_teacher",
        "--records={c}/plain",
        f"The teacher {NO_WORDS}",
    ),
    *(
        (
            "distill",
            f"{LIVE} --objective={name}",
            f"--objective={name}: the student has neither hidden states nor",
        )
        for name in ("hidden_mse", "attention_kl", "crd", "word_distance")
    ),
    (
        "distill",
        "--student=teacher_layers(layers=[0]) --teacher={c}/student "
        "--objective=labels",
        "copies from a BERT, and the teacher is a bilstm",
    ),
    ("evaluate", "--eval_records={c}/plain_dev", f"The model {NO_WORDS}"),
    ("evaluate", "--eval_records={c}/other_dev", "model has other words or an"),
    (
        "evaluate",
        "--run_dir={c}/teacher --teacher={c}/student "
        "--eval_records={c}/plain_dev",
        f"The teacher {NO_WORDS}",
    ),
    ("predict", "--test_records={c}/plain", f"The model {NO_WORDS}"),
]


@pytest.mark.parametrize(("command", "flags", "says"), WRONG_USES)
def test_wrong_use(misfits, tmp_path, command, flags, says):
    before = sorted(misfits.rglob("*"))
    flags = f"{RIGHT[command]} {flags}".format(c=misfits, new=tmp_path / "new")
    done = call(command, flags.split())
    assert done.status > 0, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfdistill.{command}: error: ")
    assert re.search(says, line), line
    assert not list(tmp_path.iterdir())
    assert sorted(misfits.rglob("*")) == before


def test_sentences_tell_their_label():
    """What the models above have to learn is there to be learnt."""
    assert {label_of(n) for n in numbers("train")} == {0, 1}
