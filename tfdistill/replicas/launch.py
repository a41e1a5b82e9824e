"""Which of how many processes this one is, as its launcher says."""

import os
from collections.abc import Mapping

# Rank and number of processes, by launcher: Open MPI, other MPIs, Slurm.
_VARIABLES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


def process_rank(
    environment: Mapping[str, str] = os.environ,
) -> tuple[int, int]:
    """Returns this process's rank and the number of processes.

    Raises:
        ValueError: The launcher's variables make no sense.
    """
    for rank_name, size_name in _VARIABLES:
        if rank_name in environment and size_name in environment:
            rank, size = environment[rank_name], environment[size_name]
            if not (rank.isdigit() and size.isdigit()) or int(rank) >= int(
                size
            ):
                raise ValueError(f"{rank_name}={rank} with {size_name}={size}.")
            return int(rank), int(size)
    return 0, 1
