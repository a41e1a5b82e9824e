"""A single replica."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import keras
import tensorflow as tf

from tfdistill.launcher import Process
from tfdistill.replicas.replicas import Map, Step, Tree


class OneDevice:
    """A single replica: see `Replicas` for what the methods do."""

    name = "one"
    num_replicas = 1
    num_local = 1
    process = Process(0, 1, 0)

    def scope(self) -> AbstractContextManager:
        """As `Replicas`."""
        return nullcontext()

    def process_slice(self, batch_size: int) -> tuple[int, int]:
        """As `Replicas`."""
        return 0, batch_size

    def compile(self, step: Step) -> Step:
        """As `Replicas`."""
        return tf.function(step, autograph=False)

    def compile_map(self, function: Step) -> Map:
        """As `Replicas`."""
        compiled = tf.function(function, autograph=False)
        return lambda batches: [compiled(batch) for batch in batches]

    def sum(self, tensors: Tree) -> Tree:
        """As `Replicas`."""
        return tensors

    def gather(self, text: str) -> list[str]:
        """As `Replicas`."""
        return [text]

    def broadcast(self, variables: Sequence[keras.Variable]) -> None:
        """As `Replicas`."""
