"""The commands under a real mpirun, and the failures that happen there."""

import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import mpi
import numpy as np
import psutil
import pytest
from small_chain import RECORDS, STUDENT, build, call

import tfdistill
from tfdistill.tensors import load_tensors

# A rank that died must end the job within this time.
SECONDS_TO_END = 60
TRAIN = (
    f"--student={STUDENT} --num_warmup_steps=0 --train_batch_size=12 "
    "--learning_rate=1e-3 --objective=soft_targets(tail=bucket) "
    "--objective=labels --accumulation_steps=2 --clip_norm=0.1 "
    "--objective=hidden_mse(weight=0.1) --teacher={c}/teacher "
    "--objective=crd(negatives=3,width=4,weight=0.01) "
    "--knowledge_records={c}/knowledge --eval_records={c}/eval "
    "--num_train_steps=24 --save_checkpoints_steps=4 --eval_every_steps=12 "
    "--log_every_steps=4 --run_dir={run}"
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    c = tmp_path_factory.mktemp("chain")
    build(c)
    flags = RECORDS + " --records={c}/shards --record_unit_bytes=1500"
    done = call("make_records", flags.format(c=c).split())
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["shards"] > 3
    return c


@pytest.fixture(scope="module")
def alone(chain, tmp_path_factory):
    """The run of one process that others are compared with."""
    run = tmp_path_factory.mktemp("alone") / "run"
    done = call("distill", TRAIN.format(c=chain, run=run).split())
    assert done.status == 0, done.stderr
    return run, json.loads(done.stdout)


def module(command, flags):
    return ["-m", f"tfdistill.{command}", *flags.split()]


def weights(run):
    return load_tensors(run / "model.safetensors")[0]


def assert_same_weights(run, other):
    ours, theirs = weights(run), weights(other)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        difference = np.linalg.norm(ours[name] - expected)
        assert difference <= 1e-6 * np.linalg.norm(expected), name


def contents(folder):
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


EXTRACT = (
    "--records={c}/{records} --teacher={c}/teacher --knowledge=top_k(k=3) "
    "--predict_batch_size={batch} --knowledge_records="
)


@pytest.mark.parametrize(
    ("records", "ranks"), [("shards", 2), ("shards", 3), ("records", 2)]
)
def test_ranks_extract_the_bytes_of_one_process(
    chain, tmp_path, records, ranks
):
    flags = EXTRACT.format(c=chain, records=records, batch=8)
    alone = call("extract_teacher", (flags + f"{tmp_path}/alone").split())
    assert alone.status == 0, alone.stderr
    done = mpi.run(
        mpi.mpirun(ranks, *module("extract_teacher", flags + f"{tmp_path}/n"))
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "n") == contents(tmp_path / "alone")
    (line,) = done.stdout.splitlines()
    summary, expected = json.loads(line), json.loads(alone.stdout)
    assert (summary["replicas"], summary["world_size"]) == ("horovod", ranks)
    assert (expected["replicas"], expected["world_size"]) == ("one", 1)
    for name in ("examples", "extracted_examples", "extracted_shards"):
        assert summary[name] == expected[name], name


@pytest.mark.parametrize("replicas", ["auto", "multi_worker"])
def test_ranks_distil_the_student_of_one_process(
    chain, alone, tmp_path, replicas
):
    run = tmp_path / "run"
    flags = TRAIN.format(c=chain, run=run) + f" --replicas={replicas}"
    done = mpi.run(mpi.mpirun(2, *module("distill", flags)))
    assert done.returncode == 0, done.stderr
    assert_same_weights(run, alone[0])
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary["replicas"] == replicas.replace("auto", "horovod")
    assert summary["world_size"] == 2
    for name, value in alone[1]["eval"].items():
        assert summary["eval"][name] == pytest.approx(value, rel=1e-5), name
    # One rank wrote, and said how it went.
    assert {p.name for p in run.rglob("*") if ".v2" not in p.name} == {
        p.name for p in alone[0].rglob("*") if ".v2" not in p.name
    }
    assert len(list(run.glob("summaries/train/*"))) == 1
    assert "rank 0: step 24:" in done.stderr
    assert "rank 1: step" not in done.stderr


def start(command, tmp_path):
    """Start a job in the background, its stderr in a file."""
    errors = (tmp_path / "stderr").open("w+")
    job = subprocess.Popen(
        command, env=mpi.environment(), cwd=mpi.ROOT, stderr=errors
    )
    return job, errors


def wait_for(is_reached, job):
    deadline = time.monotonic() + mpi.SECONDS
    while time.monotonic() < deadline and job.poll() is None:
        if is_reached():
            return
        time.sleep(0.02)
    raise AssertionError("the job never came so far")


def wait_for_step(run, step, job):
    checkpoint = run / f"checkpoints/step-{step:09d}.safetensors"
    wait_for(checkpoint.exists, job)


def rank_of(job, rank):
    """The process of a rank."""
    for child in psutil.Process(job.pid).children(recursive=True):
        if child.environ().get("OMPI_COMM_WORLD_RANK") == str(rank):
            return child
    raise AssertionError(f"there is no rank {rank}")


def ended(job, errors):
    """Wait for the end of a job; returns its status and stderr."""
    status = job.wait(SECONDS_TO_END)
    errors.seek(0)
    return status, errors.read()


def test_a_killed_rank_ends_the_job_which_one_process_can_finish(
    chain, alone, tmp_path
):
    run = tmp_path / "run"
    # So many steps that it does not end by itself.
    flags = TRAIN.format(c=chain, run=run) + " --keep_checkpoint_max=99"
    job, errors = start(mpi.mpirun(2, *module("distill", flags)), tmp_path)
    wait_for_step(run, 4, job)
    time.sleep(random.random() / 5)
    rank_of(job, 1).send_signal(signal.SIGKILL)
    status, text = ended(job, errors)
    assert status != 0
    assert "rank 1" in text
    assert not (run / "result.json").exists()
    assert not list(run.rglob("*.partial"))
    done = call("distill", flags.split())
    assert done.status == 0, done.stderr
    assert_same_weights(run, alone[0])


def test_a_killed_extraction_ends_and_one_process_finishes_its_bytes(
    chain, tmp_path
):
    # In batches so small that it does not end by itself.
    flags = EXTRACT.format(c=chain, records="shards", batch=1)
    alone = call("extract_teacher", (flags + f"{tmp_path}/alone").split())
    assert alone.status == 0, alone.stderr
    output = tmp_path / "n"
    extract = module("extract_teacher", flags + str(output))
    job, errors = start(mpi.mpirun(2, *extract), tmp_path)
    wait_for(lambda: list(output.glob("*.tfrecord")), job)
    rank_of(job, 1).send_signal(signal.SIGKILL)
    status, text = ended(job, errors)
    assert status != 0
    assert "rank 1" in text
    whole, left = contents(tmp_path / "alone"), contents(output)
    assert "manifest.json" not in left
    finished = [name for name in left if name.endswith(".tfrecord")]
    assert all(left[name] == whole[name] for name in finished)
    done = call("extract_teacher", (flags + str(output)).split())
    assert done.status == 0, done.stderr
    shards = json.loads(alone.stdout)["extracted_shards"]
    assert json.loads(done.stdout)["extracted_shards"] == shards - len(finished)
    assert contents(output) == whole


def test_a_terminated_job_saves_and_three_ranks_can_finish_it(
    chain, alone, tmp_path
):
    run = tmp_path / "run"
    flags = TRAIN.format(c=chain, run=run)
    job, errors = start(mpi.mpirun(2, *module("distill", flags)), tmp_path)
    wait_for_step(run, 4, job)
    # As mpirun does where it may: one rank asks, all stop.
    rank_of(job, 1).send_signal(signal.SIGTERM)
    status, text = ended(job, errors)
    assert status == 130, text
    assert "stopped at step" in text
    done = mpi.run(mpi.mpirun(3, *module("distill", flags)))
    assert done.returncode == 0, done.stderr
    assert "Going on from step" in done.stderr
    assert_same_weights(run, alone[0])


def of_two_ranks(first, second):
    """A job whose ranks differ: each is options and a command of mpirun."""
    head = mpi.mpirun(2)
    options = head[: head.index("-np")]
    return [
        *options,
        *("--host", "localhost:2", "--bind-to", "none"),
        *("-np", "1", *first),
        ":",
        *("-np", "1", *second),
    ]


def assert_refused(done, *says):
    assert done.returncode not in (0, None)
    for text in says:
        assert text in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_rank_with_another_flag_is_refused(chain, tmp_path):
    flags = TRAIN.format(c=chain, run=tmp_path / "run")
    same = [sys.executable, *module("distill", flags)]
    done = mpi.run(of_two_ranks(same, [*same, "--learning_rate=1e-4"]))
    assert_refused(
        done, "Rank 1 has another --learning_rate (0.0001) than rank 0 (0.001)"
    )
    assert not (tmp_path / "run").exists()


def test_a_rank_with_other_records_is_refused(chain, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for folder in ("knowledge", "eval", "teacher"):
            shutil.copytree(chain / folder, tmp_path / name / folder)
    shutil.rmtree(tmp_path / "b/knowledge")
    flags = "--knowledge=top_k(k=3) --predict_batch_size=8 "
    flags += f"--records={chain}/shards --teacher={chain}/teacher "
    flags += f"--knowledge_records={tmp_path}/b/knowledge"
    assert call("extract_teacher", flags.split()).status == 0
    flags = TRAIN.format(c=".", run=tmp_path / "run")
    same = [sys.executable, *module("distill", flags)]
    done = mpi.run(
        of_two_ranks(
            ["--wdir", str(tmp_path / "a"), *same],
            ["--wdir", str(tmp_path / "b"), *same],
        )
    )
    assert_refused(done, "Rank 1 has another records")
    assert not (tmp_path / "run").exists()


def test_a_rank_with_other_code_is_refused(chain, tmp_path):
    package = pathlib.Path(tfdistill.__file__).parent
    shutil.copytree(package, tmp_path / "other/tfdistill")
    with (tmp_path / "other/tfdistill/losses/labels.py").open("a") as file:
        file.write("# Another line.\n")
    flags = TRAIN.format(c=chain, run=tmp_path / "run")
    same = [sys.executable, *module("distill", flags)]
    other = ["-x", f"PYTHONPATH={tmp_path}/other", *same]
    done = mpi.run(of_two_ranks(same, other), cwd=tmp_path)
    assert_refused(done, "Rank 1 has another code")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "flags", "says"),
    [
        ("make_vocab", "--text={c}/text.txt --vocab_file={c}/v", "makes its o"),
        ("distill", TRAIN + " --replicas=mirrored", "mirrored works in one"),
        (
            "distill",
            TRAIN + " --train_batch_size=13",
            "rank 0: A batch of 13 examples does not divide among 2 replicas",
        ),
    ],
)
def test_what_ranks_cannot_do_is_said_once(
    chain, tmp_path, command, flags, says
):
    flags = flags.format(c=chain, run=tmp_path / "run")
    done = mpi.run(mpi.mpirun(2, *module(command, flags)))
    assert_refused(done, says)
    assert done.stderr.count(says) == 1
    assert not (tmp_path / "run").exists()
