"""What every kind of replicas offers."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import keras
import tensorflow as tf

from tfdistill.launcher import Process

Tree = Any
Step = Callable[[dict[str, tf.Tensor]], Tree]
Map = Callable[[Sequence[dict[str, tf.Tensor]]], list[Tree]]


class Replicas(Protocol):
    """Copies of a model that share every global batch.

    Attributes:
        name: As in `--replicas`.
        num_replicas: Over all processes.
        num_local: Of this process.
        process: Which of the processes this is.
    """

    name: str
    num_replicas: int
    num_local: int
    process: Process

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

    def compile_map(self, function: Step) -> Map:
        """Turn a function of a batch into a graph, without collectives.

        The result takes batches of this process, `num_local` at most and of
        any shapes, gives each to a device, and returns the function's value
        of each.
        """

    def sum(self, tensors: Tree) -> Tree:
        """Sum over all replicas, inside a step; all get the same."""

    def gather(self, text: str) -> list[str]:
        """Returns every process's text, by rank; all processes must call."""

    def broadcast(self, variables: Sequence[keras.Variable]) -> None:
        """Give all processes the values of the first one's variables."""


def check_divides(batch_size: int, parts: int) -> None:
    """Refuse batches whose parts would differ in size.

    Raises:
        ValueError: There is a remainder.
    """
    if batch_size % parts:
        raise ValueError(
            f"A batch of {batch_size} examples does not divide among "
            f"{parts} replicas."
        )


def round_up(replicas: Replicas, batch_size: int) -> int:
    """Returns the least size, at least this, that divides among replicas."""
    return -(-batch_size // replicas.num_replicas) * replicas.num_replicas


def from_chief(replicas: Replicas, compute: Callable[[], Any]) -> Any:
    """Compute on the first process; all get its result, a JSON value.

    For what depends on files that other hosts need not see.
    """
    mine = json.dumps(compute() if replicas.process.is_chief else None)
    return json.loads(replicas.gather(mine)[0])


def share(replicas: Replicas, items: Sequence[Any]) -> list[Any]:
    """Returns this process's share of items that all processes list alike."""
    return list(items[replicas.process.rank :: replicas.process.count])


def gather_rows(replicas: Replicas, places: tf.Tensor, rows: Tree) -> Tree:
    """Gather the rows of all replicas, inside a step; all get the same.

    Args:
        replicas: Where the step runs.
        places: int64 `[b]`, where this replica's rows stand in the global
            batch; every replica has as many.
        rows: A tree of tensors `[b, …]`.

    Returns:
        The tree with `[B, …]`.
    """
    size = places.shape[0] * replicas.num_replicas

    def placed(x: tf.Tensor) -> tf.Tensor:
        return tf.scatter_nd(places[:, None], x, [size, *x.shape[1:]])

    return replicas.sum(tf.nest.map_structure(placed, rows))


def by_type(
    add: Callable[[list[tf.Tensor]], Sequence[tf.Tensor]], tensors: Tree
) -> Tree:
    """Sum a tree of tensors with a function that takes one type at a time."""
    flat = tf.nest.flatten(tensors)
    summed = list(flat)
    for dtype in dict.fromkeys(x.dtype for x in flat):
        places = [i for i, x in enumerate(flat) if x.dtype == dtype]
        for i, x in zip(places, add([flat[i] for i in places]), strict=True):
            summed[i] = x
    return tf.nest.pack_sequence_as(tensors, summed)
