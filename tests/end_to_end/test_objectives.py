"""Objectives on features through the command, with and without records."""

import json

import pytest
from small_chain import build, call

from tfdistill.tensors import load_tensors

# Half the teacher's width, so the hidden states are projected.
NARROW = "bert(num_layers=1,hidden_dim=8,num_heads=2,max_sequence_length=16)"
FLAGS = (
    f"--student={NARROW} --teacher={{c}}/teacher --train_batch_size=8 "
    "--num_train_steps=6 --num_warmup_steps=0 --save_checkpoints_steps=2 "
    "--learning_rate=1e-2 --run_dir={run} "
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    c = tmp_path_factory.mktemp("chain")
    build(c)
    return c


def distil(chain, run, flags):
    flags = (FLAGS + flags).format(c=chain, run=run).split()
    done = call("distill", flags)
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


RECORDED = (
    "--knowledge_records={c}/knowledge --objective=soft_targets(tail=bucket) "
    "--objective=hidden_mse --objective=word_angle(window=3,weight=2) "
    "--objective=crd(negatives=5,width=8,weight=0.1)"
)


def test_recorded_distributions_and_live_features(chain, tmp_path):
    found = distil(chain, tmp_path / "run", RECORDED)["train"]
    assert found["loss"] == pytest.approx(
        found["soft_targets"]
        + found["hidden_mse"]
        + 2 * found["word_angle"]
        + 0.1 * found["crd"],
        rel=1e-5,
    )


def test_projections_survive_a_resume(chain, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    distil(chain, whole, RECORDED)
    distil(chain, cut, RECORDED)
    tensors, _ = load_tensors(cut / "checkpoints/step-000000004.safetensors")
    assert "objectives/hidden_mse/projection/kernel" in tensors
    assert tensors["objectives/crd/normaliser/student"] > 0
    for name in ("result.json", "checkpoints/step-000000006.safetensors"):
        (cut / name).unlink()
    distil(chain, cut, RECORDED)
    expected, _ = load_tensors(whole / "model.safetensors")
    for name, found in load_tensors(cut / "model.safetensors")[0].items():
        assert (found == expected[name]).all(), name
        # What was learnt beside the student is not part of it.
        assert "projection" not in name


def test_the_same_teacher_twice_is_that_teacher(chain, tmp_path):
    flags = "--records={c}/records --objective=soft_targets"
    one = distil(chain, tmp_path / "one", flags)["train"]
    twice = flags + " --teacher={c}/teacher,{c}/teacher"
    two = distil(chain, tmp_path / "two", twice)["train"]
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            "--objective=hidden_mse --records={c}/records --teacher=",
            "or --teacher to ask",
        ),
        (
            "--objective=pkd(layers=odd) --records={c}/records",
            "layer map 'odd'",
        ),
        (
            "--objective=layer_angle(layers=final) --records={c}/records",
            "gives 1 pairs",
        ),
        (
            "--objective=pkd --records={c}/records "
            "--teacher={c}/teacher,{c}/teacher",
            "of 2 teachers cannot be averaged",
        ),
        (
            "--objective=soft_targets(divergence=reverse_kl) "
            "--knowledge_records={c}/knowledge",
            "reverse_kl",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused(chain, tmp_path, flags, says):
    flags = (FLAGS + flags).format(c=chain, run=tmp_path / "run").split()
    done = call("distill", flags)
    assert done.status == 1
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
