"""Replicas on TensorFlow's own strategies."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from tfdistill.launcher import Process
from tfdistill.replicas.replicas import Map, Step, Tree, by_type, check_divides


class Strategy:
    """Replicas on a `tf.distribute` strategy, in one process or several.

    The methods are those of `Replicas`.
    """

    def __init__(
        self, name: str, strategy: tf.distribute.Strategy, process: Process
    ) -> None:
        """Wrap a strategy of which every process has equally many replicas.

        Args:
            name: As in `--replicas`.
            strategy: Mirrored or multi-worker mirrored.
            process: Which of the strategy's processes this is.
        """
        self.name = name
        self.process = process
        self._strategy = strategy
        self.num_replicas = strategy.num_replicas_in_sync
        self.num_local = self.num_replicas // process.count

    def scope(self) -> AbstractContextManager:
        """As `Replicas`."""
        return self._strategy.scope()

    def process_slice(self, batch_size: int) -> tuple[int, int]:
        """As `Replicas`."""
        check_divides(batch_size, self.num_replicas)
        size = batch_size // self.process.count
        return self.process.rank * size, size

    def compile(self, step: Step) -> Step:
        """As `Replicas`."""
        run = self._compiled(step)
        return lambda batch: tf.nest.map_structure(
            lambda x: self._local(x)[0], run(batch)
        )

    def compile_map(self, function: Step) -> Map:
        """As `Replicas`."""
        run = self._on_all(function)

        def on_each(batches: Sequence[dict[str, tf.Tensor]]) -> list[Tree]:
            # Devices that would have none do another's.
            spare = self.num_local - len(batches)
            placed = self._distribute([*batches, *[batches[0]] * spare])
            said = run(placed)
            return [
                tf.nest.map_structure(lambda x, i=i: self._local(x)[i], said)
                for i in range(len(batches))
            ]

        return on_each

    def sum(self, tensors: Tree) -> Tree:
        """As `Replicas`."""
        context = tf.distribute.get_replica_context()

        def add(group: Tree) -> Tree:
            return context.all_reduce(tf.distribute.ReduceOp.SUM, group)

        def add_all(group: list[tf.Tensor]) -> list[tf.Tensor]:
            # MirroredStrategy takes no more than one int32 tensor at a time.
            is_int32 = group[0].dtype == tf.int32
            return [add(x) for x in group] if is_int32 else add(group)

        return by_type(add_all, tensors)

    def gather(self, text: str) -> list[str]:
        """As `Replicas`."""
        if self.process.is_alone:
            return [text]
        mine = text.encode()
        lengths = [int(x) for x in self._by_process(len(mine), [])]
        padded = tf.constant(list(mine.ljust(max(lengths))), tf.int32)
        rows = self._by_process(padded, [max(lengths)])
        return [
            bytes(row[:length].tolist()).decode()
            for row, length in zip(rows, lengths, strict=True)
        ]

    def _by_process(self, mine: Any, shape: list[int]) -> Any:
        """Returns a row for each process: what it gave as `mine`."""
        rows = tf.scatter_nd(
            [[self.process.rank]],
            [tf.cast(mine, tf.int32)],
            [self.process.count, *shape],
        )
        return self._from_first_replicas([rows])[0].numpy()

    def broadcast(self, variables: Sequence[keras.Variable]) -> None:
        """As `Replicas`."""
        if self.process.is_alone:
            return
        values = [tf.convert_to_tensor(v.value) for v in variables]
        if not self.process.is_chief:
            values = [tf.zeros_like(x) for x in values]
        for variable, value in zip(
            variables, self._from_first_replicas(values), strict=True
        ):
            variable.assign(value)

    def _from_first_replicas(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Sum over processes what the first replica of each holds."""
        summed = self._sum_firsts(tensors)
        return [self._local(x)[0] for x in summed]

    # Texts and models of all sizes come by.
    @tf.function(autograph=False, reduce_retracing=True)
    def _sum_firsts(self, tensors: list[tf.Tensor]) -> Tree:
        def on_one(tensors: list[tf.Tensor]) -> Tree:
            context = tf.distribute.get_replica_context()
            number = context.replica_id_in_sync_group
            is_first = tf.equal(number % self.num_local, 0)
            return self.sum(
                [tf.where(is_first, x, tf.zeros_like(x)) for x in tensors]
            )

        return self._strategy.run(on_one, (tensors,))

    def _compiled(self, step: Step) -> Step:
        run = self._on_all(step)
        return lambda batch: run(self._distribute(self._parts(batch)))

    def _on_all(self, step: Step) -> Callable[[Tree], Tree]:
        @tf.function(autograph=False)
        def on_all(placed: Tree) -> Tree:
            return self._strategy.run(step, (placed,))

        return on_all

    def _local(self, value: Tree) -> Sequence[tf.Tensor]:
        return self._strategy.experimental_local_results(value)

    def _parts(self, batch: dict[str, tf.Tensor]) -> list[dict[str, tf.Tensor]]:
        """Cut a batch into the local replicas' parts."""
        for x in batch.values():
            check_divides(x.shape[0], self.num_local)
        parts = {k: tf.split(x, self.num_local) for k, x in batch.items()}
        return [
            {k: x[i] for k, x in parts.items()} for i in range(self.num_local)
        ]

    def _distribute(self, parts: Sequence[dict[str, tf.Tensor]]) -> Tree:
        """Give each local replica its own."""

        def own(context: Any, name: str) -> tf.Tensor:
            return parts[context.replica_id_in_sync_group % self.num_local][
                name
            ]

        return {
            name: self._strategy.experimental_distribute_values_from_function(
                lambda context, name=name: own(context, name)
            )
            for name in parts[0]
        }
