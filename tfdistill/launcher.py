"""Which of how many processes this one is, as its launcher says."""

import dataclasses
import json
import os
import pathlib
import re
import resource
import sys
from collections.abc import Mapping

# By launcher: the variables of the rank, the number of processes, the rank on
# this host and the processes of this host. A batch script of Slurm has a rank
# too, but is no step: it has no SLURM_STEP_NUM_TASKS.
_LAUNCHERS = {
    "Open MPI": (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    "MPICH": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    "Slurm": (
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_LOCALID",
        "SLURM_STEP_TASKS_PER_NODE",
    ),
}


@dataclasses.dataclass(frozen=True)
class Process:
    """One of the processes that were started together.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
        local_rank: Its number on this host.
        local_count: How many there are on this host.
        launcher: Name of what started them; empty for nothing.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    launcher: str = ""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1


def this_process(environment: Mapping[str, str] = os.environ) -> Process:
    """Returns which process this is.

    Raises:
        ValueError: The launcher's variables make no sense.
    """
    for launcher, names in _LAUNCHERS.items():
        if all(name in environment for name in names[:2]):
            return _checked(
                launcher,
                _number(environment, names[0]),
                _number(environment, names[1]),
                _number(environment, names[2], "0"),
                _number(environment, names[3], "1"),
            )
    task, workers = _tf_config(environment)
    if len(workers) > 1:
        return _checked("TF_CONFIG", task, len(workers), 0, 1)
    return Process()


def worker_addresses(
    environment: Mapping[str, str] = os.environ,
) -> list[str]:
    """Returns `host:port` of every process by rank, if TF_CONFIG has them.

    Raises:
        ValueError: It makes no sense.
    """
    return _tf_config(environment)[1]


def _checked(
    launcher: str, rank: int, count: int, local_rank: int, local_count: int
) -> Process:
    if rank >= count:
        raise ValueError(f"Rank {rank} of {count}, says {launcher}.")
    return Process(rank, count, local_rank, local_count, launcher)


def _number(
    environment: Mapping[str, str], name: str, default: str = ""
) -> int:
    text = environment.get(name, default)
    # Slurm writes 4(x2) for four processes on each of two hosts.
    found = re.match(r"\d+(?![^(,])", text)
    if not found:
        raise ValueError(f"{name}={text} is no number.")
    return int(found.group())


def _tf_config(environment: Mapping[str, str]) -> tuple[int, list[str]]:
    text = environment.get("TF_CONFIG", "{}")
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        chiefs = list(cluster.get("chief", []))
        workers = [str(x) for x in [*chiefs, *cluster.get("worker", [])]]
        is_worker = bool(chiefs) and task.get("type") == "worker"
        return int(task.get("index", 0)) + len(chiefs) * is_worker, workers
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"TF_CONFIG={text[:60]} makes no sense.") from None


def peak_memory() -> int:
    """Returns the most memory that this process has had, in bytes.

    It is the resident set, without what is on GPUs.
    """
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # What the system counts for getrusage begins with the parent's peak.
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.M)
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The BSDs' and Apple's unit is the byte, Linux's the kibibyte.
    return peak if sys.platform == "darwin" else peak * 1024
