"""Makes the replicas that flags ask for."""

import hashlib
import importlib.util
import os
import socket

import tensorflow as tf

from tfdistill.launcher import Process, this_process, worker_addresses
from tfdistill.replicas.one_device import OneDevice
from tfdistill.replicas.replicas import Replicas
from tfdistill.replicas.strategies import Strategy

# Ports of processes on one host, below those that systems give away.
_FIRST_PORT, _NUM_PORTS = 20_000, 10_000


def make_replicas(name: str, num_devices: int) -> Replicas:
    """Make the replicas that `--replicas` and `--num_devices` ask for.

    To be called before TensorFlow has used any device.

    Args:
        name: `one`, `mirrored`, `multi_worker`, `horovod`, or `auto`: with
            several processes Horovod where it is installed, else
            multi_worker; in one process mirrored where there are several
            GPUs or several devices are asked for, else one.
        num_devices: Devices of this process; 0 for all. Without GPUs,
            mirrored makes logical devices from the CPU.

    Raises:
        ValueError: There are fewer GPUs, the launcher has started several
            processes for what runs in one, or Horovod does not work.
    """
    process = this_process()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and num_devices > len(gpus):
        raise ValueError(f"--num_devices={num_devices}: {len(gpus)} GPUs here.")
    if name == "auto":
        name = _best(process, num_devices or len(gpus) or 1)
    if name in ("one", "mirrored"):
        if not process.is_alone:
            raise ValueError(
                f"{process.launcher} has started {process.count} processes, "
                f"but --replicas={name} works in one."
            )
        return OneDevice() if name == "one" else _mirrored(num_devices)
    if process.local_count > 1:
        gpus = _take_share(process, gpus)
    most = 1 if name == "horovod" else max(len(gpus), 1)
    if num_devices > most:
        raise ValueError(
            f"--num_devices={num_devices}, but with --replicas={name} a "
            f"process has {most} here."
        )
    return _horovod(process) if name == "horovod" else _multi_worker(process)


def _best(process: Process, devices: int) -> str:
    if process.is_alone:
        return "one" if devices == 1 else "mirrored"
    is_installed = importlib.util.find_spec("horovod") is not None
    return "horovod" if is_installed else "multi_worker"


def _take_share(
    process: Process, gpus: list[tf.config.PhysicalDevice]
) -> list[tf.config.PhysicalDevice]:
    """Take this process's GPU or cores, before TensorFlow takes all."""
    if gpus:
        mine = gpus[process.local_rank % len(gpus)]
        tf.config.set_visible_devices(mine, "GPU")
        return [mine]
    cores, mine = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    if mine == cores:  # The launcher has not shared them out.
        tf.config.threading.set_intra_op_parallelism_threads(
            max(1, cores // process.local_count)
        )
    return []


def _mirrored(num_devices: int) -> Replicas:
    gpus = tf.config.list_physical_devices("GPU")
    wanted = num_devices or len(gpus) or 1
    if not gpus:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)],
        )
    kind = "GPU" if gpus else "CPU"
    strategy = tf.distribute.MirroredStrategy(
        [f"{kind}:{i}" for i in range(wanted)]
    )
    return Strategy("mirrored", strategy, Process())


def _horovod(process: Process) -> Replicas:
    try:
        # Not everybody has it: it is built, for one TensorFlow and one MPI.
        from tfdistill.replicas.horovod import Horovod
    except ImportError as error:
        raise ValueError(
            f"Horovod does not import ({error}). `make horovod` builds it."
        ) from None
    return Horovod(process)


def _multi_worker(process: Process) -> Replicas:
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": _addresses(process)}),
        task_type="worker",
        task_id=process.rank,
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    return Strategy("multi_worker", strategy, process)


def _addresses(process: Process) -> list[str]:
    """Returns where each process listens, by rank."""
    addresses = worker_addresses()
    if addresses:
        if len(addresses) != process.count:
            raise ValueError(
                f"TF_CONFIG has {len(addresses)} workers, "
                f"{process.launcher} has started {process.count}."
            )
        return addresses
    if process.launcher == "Slurm":
        slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(
            auto_set_gpu=False
        )
        return slurm.cluster_spec().task_addresses("worker")
    if process.local_count != process.count:
        raise ValueError(
            "--replicas=multi_worker on several hosts needs their addresses "
            "in TF_CONFIG; --replicas=horovod does not."
        )
    # The launcher's own number: the same for all ranks of this job alone.
    job = os.environ.get("PMIX_NAMESPACE", str(os.getppid()))
    digest = int(hashlib.sha256(job.encode()).hexdigest(), 16)
    first = _FIRST_PORT + digest % (_NUM_PORTS - process.count)
    _check_is_free(first + process.rank)
    return [f"localhost:{first + rank}" for rank in range(process.count)]


def _check_is_free(port: int) -> None:
    with socket.socket() as probe:
        try:
            probe.bind(("localhost", port))
        except OSError:
            raise ValueError(
                f"Port {port} is taken: start again, or set TF_CONFIG."
            ) from None
