"""How runs that go on at the same time share a machine's cores and GPUs."""

import os
import re
import subprocess
from collections.abc import Mapping

from tfdistill.text.parallel import process_count

_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
)
_GPUS = "CUDA_VISIBLE_DEVICES"


def environments(
    num_processes: int,
    num_runs: int,
    environment: Mapping[str, str] = os.environ,
) -> list[dict[str, str]]:
    """Returns an environment for each of the runs that go on at a time.

    Cores are shared out evenly, and so are GPUs; where these are fewer, runs
    take turns on them. What a sweep has done already changes nothing of it,
    nor then of the numbers that hang on the threads.

    Args:
        num_processes: Runs at a time; 0: one per GPU if there are any, else
            one per core.
        num_runs: Runs in all, which more processes would not help.
        environment: What the environments begin with.
    """
    gpus = _gpus(environment)
    wanted = num_processes or len(gpus) or process_count(0)
    count = max(1, min(wanted, num_runs))
    threads = max(1, (os.cpu_count() or 1) // count)
    shared = dict(environment) | dict.fromkeys(_THREADS, str(threads))
    return [shared | _share(gpus, slot, count) for slot in range(count)]


def _share(gpus: list[str], slot: int, count: int) -> dict[str, str]:
    if not gpus:
        return {}
    mine = gpus[slot::count] or [gpus[slot % len(gpus)]]
    return {_GPUS: ",".join(mine)}


def _gpus(environment: Mapping[str, str]) -> list[str]:
    """Returns the GPUs that TensorFlow would see, without asking it."""
    if _GPUS in environment:
        named = [name.strip() for name in environment[_GPUS].split(",")]
        # -1 and nothing both hide all GPUs.
        return [name for name in named if name not in ("", "-1")]
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode:
        return []
    return re.findall(r"^GPU (\d+):", done.stdout, re.M)
