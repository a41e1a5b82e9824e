"""Two hosts: network namespaces with addresses of their own, on a cable."""

import os
import pathlib
import shutil
import subprocess
import time

import mpi
import pytest
from small_chain import STUDENT, build

AGENT = pathlib.Path(__file__).parents[1] / "support/enter_namespace.sh"
NAMES = ("tfd-1", "tfd-2")
# 2 + 3 * 1 seconds until a silent host counts as lost; then all must end.
SECONDS_TO_END = 60
KEEPALIVE = {
    "PRTE_MCA_oob_tcp_keepalive_time": "2",
    "PRTE_MCA_oob_tcp_keepalive_intvl": "1",
    "PRTE_MCA_oob_tcp_keepalive_probes": "3",
}


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def refuse_reason():
    """Why there can be no hosts here; empty if there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if shutil.which("ip") is None:
        return "the package iproute2 is not installed"
    # Every worker of pytest-xdist collects this file, at the same time.
    name = f"tfd-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode().strip()}"
    return ""


REASON = refuse_reason()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)


@pytest.fixture
def hosts(tmp_path):
    """The hostfile of two hosts with a slot each."""
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
    ip("link", "add", "tfd-1", "type", "veth", "peer", "name", "tfd-2")
    for number, name in enumerate(NAMES, start=1):
        ip("netns", "add", name)
        ip("link", "set", name, "netns", name)
        ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", name)
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "set", name, "up")
    hostfile = tmp_path / "hosts"
    hostfile.write_text("10.77.0.1 slots=1\n10.77.0.2 slots=1\n")
    yield hostfile
    for name in NAMES:
        ip("netns", "del", name)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    c = tmp_path_factory.mktemp("chain")
    build(c)
    return c


def start(hosts, flags, tmp_path):
    """Start distill on both hosts, from the first one."""
    command = [
        str(AGENT),
        "10.77.0.1",
        str(mpi.ROOT / "launch/mpirun.sh"),
        "distill",
        # The agent takes words, as ssh does.
        *(f"'{flag}'" for flag in flags),
    ]
    files = {
        name: (tmp_path / name).open("w+") for name in ("stdout", "stderr")
    }
    environment = mpi.environment() | KEEPALIVE
    environment |= {
        "HOSTFILE": str(hosts),
        "PYTHON": str(mpi.MPIRUN.with_name("python")),
        "MPI_OPTIONS": f"--prtemca plm_ssh_agent {AGENT}",
    }
    return subprocess.Popen(command, env=environment, **files), files


def text(file):
    file.seek(0)
    return file.read()


def flags(chain, run, **changes):
    settings = {
        "student": STUDENT,
        "knowledge_records": chain / "knowledge",
        "objective": "soft_targets(tail=bucket)",
        "num_warmup_steps": 0,
        "train_batch_size": 8,
        "num_train_steps": 20,
        "save_checkpoints_steps": 10,
        "run_dir": run,
        "replicas": "horovod",
    }
    return [f"--{k}={v}" for k, v in (settings | changes).items()]


def test_two_hosts_train_together(hosts, chain, tmp_path):
    job, said = start(hosts, flags(chain, tmp_path / "run"), tmp_path)
    assert job.wait(mpi.SECONDS) == 0, text(said["stderr"])
    assert '"world_size": 2' in text(said["stdout"])


def test_a_cut_link_ends_the_job_and_the_run_goes_on(hosts, chain, tmp_path):
    run = tmp_path / "run"
    settings = {"num_train_steps": 1000, "save_checkpoints_steps": 5}
    job, said = start(hosts, flags(chain, run, **settings), tmp_path)
    deadline = time.monotonic() + mpi.SECONDS
    while not list(run.glob("checkpoints/step-*")):
        assert job.poll() is None, text(said["stderr"])
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ip("-n", "tfd-2", "link", "set", "tfd-2", "down")
    status = job.wait(SECONDS_TO_END)
    assert status != 0
    assert "lost communication" in text(said["stderr"])
    assert "tfd-2" in text(said["stderr"])
    assert not list(run.rglob("*.partial"))
    ip("-n", "tfd-2", "link", "set", "tfd-2", "up")
    job, said = start(hosts, flags(chain, run, **settings), tmp_path)
    assert job.wait(mpi.SECONDS) == 0, text(said["stderr"])
    assert "Going on from step" in text(said["stderr"])
    assert '"steps": 1000' in text(said["stdout"])
