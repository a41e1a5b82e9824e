"""Ranks, as launchers say them."""

import pytest

from tfdistill.replicas import Mirrored, OneDevice, process_rank


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1)),
        (
            {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "3"},
            (1, 3),
        ),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, (0, 2)),
        ({"SLURM_PROCID": "7", "SLURM_NTASKS": "8"}, (7, 8)),
    ],
)
def test_process_rank(environment, expected):
    assert process_rank(environment) == expected


@pytest.mark.parametrize("rank", ["3", "-1", "x", ""])
def test_ranks_that_make_no_sense(rank):
    with pytest.raises(ValueError, match="OMPI_COMM_WORLD_RANK"):
        process_rank(
            {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": "3"}
        )


def test_batches_divide_among_replicas():
    mirrored = Mirrored(["CPU:0", "CPU:1"])
    assert mirrored.num_replicas == 2
    assert mirrored.process_slice(6) == (0, 6)
    with pytest.raises(ValueError, match="batch of 7 examples"):
        mirrored.process_slice(7)
    assert OneDevice().process_slice(7) == (0, 7)
