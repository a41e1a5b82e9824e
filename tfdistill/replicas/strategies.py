"""One device, or one replica on each device of this process."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import tensorflow as tf

from tfdistill.replicas.launch import process_rank

Tree = Any
Step = Callable[[dict[str, tf.Tensor]], Tree]


class Replicas(Protocol):
    """Copies of a model that share every global batch.

    Attributes:
        name: As in `--replicas`.
        num_replicas: Over all processes.
        is_chief: Whether this process writes files and shows progress.
    """

    name: str
    num_replicas: int
    is_chief: bool

    def scope(self) -> AbstractContextManager:
        """Variables made in this context exist on every replica."""

    def process_slice(self, batch_size: int) -> tuple[int, int]:
        """Returns start and size of this process's part of a batch.

        Raises:
            ValueError: The batch does not divide among the replicas.
        """

    def compile(self, step: Step) -> Step:
        """Turn a step on a replica's part of a batch into a graph.

        The result takes this process's part and returns what the first
        local replica returned; steps return what is the same on all.
        """

    def sum(self, tensors: Tree) -> Tree:
        """Sum over all replicas, inside a step; all get the same."""


class OneDevice:
    """A single replica."""

    name = "one"
    num_replicas = 1
    is_chief = True

    def scope(self) -> AbstractContextManager:
        """As `Replicas`."""
        return nullcontext()

    def process_slice(self, batch_size: int) -> tuple[int, int]:
        """As `Replicas`."""
        return 0, batch_size

    def compile(self, step: Step) -> Step:
        """As `Replicas`."""
        return tf.function(step, autograph=False)

    def sum(self, tensors: Tree) -> Tree:
        """As `Replicas`."""
        return tensors


class Mirrored:
    """A replica on each of this process's devices."""

    name = "mirrored"
    is_chief = True

    def __init__(self, devices: list[str]) -> None:
        """Make a replica on each of the named devices."""
        self._strategy = tf.distribute.MirroredStrategy(devices)
        self.num_replicas = self._strategy.num_replicas_in_sync

    def scope(self) -> AbstractContextManager:
        """As `Replicas`."""
        return self._strategy.scope()

    def process_slice(self, batch_size: int) -> tuple[int, int]:
        """As `Replicas`."""
        if batch_size % self.num_replicas:
            raise ValueError(
                f"A batch of {batch_size} examples does not divide among "
                f"{self.num_replicas} replicas."
            )
        return 0, batch_size

    def compile(self, step: Step) -> Step:
        """As `Replicas`."""

        @tf.function(autograph=False)
        def on_all(placed: Tree) -> Tree:
            return self._strategy.run(step, (placed,))

        def run(batch: dict[str, tf.Tensor]) -> Tree:
            result = on_all(self._place(batch))
            return tf.nest.map_structure(
                lambda x: self._strategy.experimental_local_results(x)[0],
                result,
            )

        return run

    def sum(self, tensors: Tree) -> Tree:
        """As `Replicas`."""
        context = tf.distribute.get_replica_context()
        flat = tf.nest.flatten(tensors)
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, flat)
        return tf.nest.pack_sequence_as(tensors, summed)

    def _place(self, batch: dict[str, tf.Tensor]) -> Tree:
        def part(context: Any, x: tf.Tensor) -> tf.Tensor:
            size = x.shape[0] // self.num_replicas
            start = context.replica_id_in_sync_group * size
            return x[start : start + size]

        return {
            name: self._strategy.experimental_distribute_values_from_function(
                lambda context, x=x: part(context, x)
            )
            for name, x in batch.items()
        }


def make_replicas(name: str, num_devices: int) -> Replicas:
    """Make the replicas that `--replicas` and `--num_devices` ask for.

    To be called before TensorFlow has used any device.

    Args:
        name: `one`, `mirrored`, or `auto`: mirrored where there are several
            GPUs or several devices are asked for, else one.
        num_devices: Devices to use; 0 for all. Without GPUs, logical
            devices are made from the CPU.

    Raises:
        ValueError: There are fewer GPUs, or several processes were started.
    """
    _, processes = process_rank()
    if processes > 1:
        raise ValueError(
            f"{processes} processes were started, but --replicas={name} "
            "trains in one process."
        )
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and num_devices > len(gpus):
        raise ValueError(f"--num_devices={num_devices}: {len(gpus)} GPUs here.")
    wanted = num_devices or len(gpus) or 1
    if name == "one" or (name == "auto" and wanted == 1):
        return OneDevice()
    if gpus:
        return Mirrored([f"GPU:{i}" for i in range(wanted)])
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)],
    )
    return Mirrored([f"CPU:{i}" for i in range(wanted)])
