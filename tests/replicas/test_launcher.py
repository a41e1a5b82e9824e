"""Ranks, as launchers say them."""

import json
import subprocess
import sys

import pytest
from mirrored import two_mirrored

from tfdistill.launcher import Process, this_process, worker_addresses
from tfdistill.replicas import OneDevice

OPEN_MPI = "OMPI_COMM_WORLD_"
WORKERS = ["a:1", "b:1"]


def tf_config(**config):
    return {"TF_CONFIG": json.dumps(config)}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Process()),
        (
            {
                OPEN_MPI + "RANK": "1",
                OPEN_MPI + "SIZE": "3",
                OPEN_MPI + "LOCAL_RANK": "0",
                OPEN_MPI + "LOCAL_SIZE": "2",
            },
            Process(1, 3, 0, 2, "Open MPI"),
        ),
        (
            {"PMI_RANK": "0", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "2"},
            Process(0, 2, 0, 2, "MPICH"),
        ),
        (
            {
                "SLURM_PROCID": "7",
                "SLURM_STEP_NUM_TASKS": "8",
                "SLURM_LOCALID": "3",
                "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
            },
            Process(7, 8, 3, 4, "Slurm"),
        ),
        # A batch script of a job of eight tasks is not one of them.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, Process()),
        (
            tf_config(
                cluster={"worker": WORKERS}, task={"type": "worker", "index": 1}
            ),
            Process(1, 2, 0, 1, "TF_CONFIG"),
        ),
        (
            tf_config(
                cluster={"chief": ["c:1"], "worker": WORKERS},
                task={"type": "worker", "index": 1},
            ),
            Process(2, 3, 0, 1, "TF_CONFIG"),
        ),
    ],
)
def test_which_process(environment, expected):
    assert this_process(environment) == expected


@pytest.mark.parametrize("rank", ["3", "-1", "x", "", "1x"])
def test_ranks_that_make_no_sense(rank):
    with pytest.raises(ValueError, match=r"RANK|Rank 3 of 3"):
        this_process({OPEN_MPI + "RANK": rank, OPEN_MPI + "SIZE": "3"})


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": 3}'])
def test_tf_config_that_makes_no_sense(text):
    with pytest.raises(ValueError, match="TF_CONFIG"):
        this_process({"TF_CONFIG": text})


def test_addresses_stand_in_the_order_of_ranks():
    config = tf_config(cluster={"chief": ["c:1"], "worker": WORKERS})
    assert worker_addresses(config) == ["c:1", *WORKERS]
    assert worker_addresses({}) == []


def test_batches_divide_among_replicas():
    mirrored = two_mirrored()
    assert mirrored.num_replicas == 2
    assert mirrored.process_slice(6) == (0, 6)
    with pytest.raises(ValueError, match="batch of 7 examples"):
        mirrored.process_slice(7)
    assert OneDevice().process_slice(7) == (0, 7)


def test_the_peak_is_that_of_the_process_alone():
    """The system's own count begins with the peak of who started it."""
    child = "from tfdistill.launcher import peak_memory; print(peak_memory())"
    parent = (
        "import subprocess, sys; big = bytearray(2 << 30); "
        "subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent, child],
        check=True,
        stdout=subprocess.PIPE,
    )
    assert 1e7 < int(done.stdout) < 1.5e9
