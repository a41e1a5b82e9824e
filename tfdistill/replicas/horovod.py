"""A replica in each process, with Horovod's collectives over MPI."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import horovod.tensorflow as hvd
import keras
import tensorflow as tf

from tfdistill.launcher import Process
from tfdistill.replicas.replicas import Map, Step, Tree, by_type, check_divides


class Horovod:
    """One replica in each of Horovod's ranks.

    The methods are those of `Replicas`.
    """

    name = "horovod"
    num_local = 1

    def __init__(self, process: Process) -> None:
        """Join the other ranks.

        Raises:
            ValueError: The launcher's MPI is not the one that Horovod was
                built with, so the ranks do not see each other.
        """
        # Horovod's own thread waits for the other ranks in a loop, which
        # takes a third of a core from the model unless it gives way.
        os.environ.setdefault("OMPI_MCA_mpi_yield_when_idle", "1")
        hvd.init()
        if (hvd.rank(), hvd.size()) != (process.rank, process.count):
            raise ValueError(
                f"Rank {process.rank} of {process.count} is "
                f"{hvd.rank()} of {hvd.size()} to Horovod: it was built with "
                "another MPI than the one of this mpirun."
            )
        self.process = process
        self.num_replicas = process.count

    def scope(self) -> AbstractContextManager:
        """As `Replicas`."""
        return nullcontext()

    def process_slice(self, batch_size: int) -> tuple[int, int]:
        """As `Replicas`."""
        check_divides(batch_size, self.num_replicas)
        size = batch_size // self.num_replicas
        return self.process.rank * size, size

    def compile(self, step: Step) -> Step:
        """As `Replicas`."""
        return tf.function(step, autograph=False)

    def compile_map(self, function: Step) -> Map:
        """As `Replicas`."""
        compiled = tf.function(function, autograph=False)
        return lambda batches: [compiled(batch) for batch in batches]

    def sum(self, tensors: Tree) -> Tree:
        """As `Replicas`."""
        return by_type(_sum, tensors)

    def gather(self, text: str) -> list[str]:
        """As `Replicas`."""
        return hvd.allgather_object(text)

    def broadcast(self, variables: Sequence[keras.Variable]) -> None:
        """As `Replicas`."""
        hvd.broadcast_variables([v.value for v in variables], root_rank=0)


def _sum(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    if tensors[0].dtype == tf.bfloat16:
        return _sum_bfloat16(tensors)
    return hvd.grouped_allreduce(tensors, op=hvd.Sum)


def _sum_bfloat16(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Sum what Horovod cannot add, only move.

    Every rank gets one stretch of the numbers from all ranks, adds it in
    float32, and gives the sums to all: as many bytes as a ring moves.
    """
    flat = tf.concat([tf.reshape(x, [-1]) for x in tensors], 0)
    ranks, length = hvd.size(), flat.shape[0]
    padded = tf.pad(flat, [[0, -length % ranks]])
    stretches = tf.bitcast(
        hvd.alltoall(tf.bitcast(padded, tf.uint16)), tf.bfloat16
    )
    mine = tf.reduce_sum(
        tf.cast(tf.reshape(stretches, [ranks, -1]), tf.float32), 0
    )
    summed = tf.bitcast(
        hvd.allgather(tf.bitcast(tf.cast(mine, tf.bfloat16), tf.uint16)),
        tf.bfloat16,
    )
    parts = tf.split(summed[:length], [x.shape.num_elements() for x in tensors])
    return [
        tf.reshape(part, x.shape)
        for part, x in zip(parts, tensors, strict=True)
    ]
