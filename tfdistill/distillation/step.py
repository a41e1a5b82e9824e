"""The training step, exact on any number of replicas and micro-batches.

    weights  = replicas.sum(weights of each objective)
    for each micro-batch: loss = sum(values / weights); add up gradients
    replicas.sum(gradients) -> clip by global norm -> optimizer

Sums run over the whole global batch before anything is divided or clipped.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfdistill.distillation.objectives import (
    Known,
    Memory,
    Objective,
    Outputs,
)
from tfdistill.distillation.teachers import Teacher
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.models.noise import DropoutNoise
from tfdistill.records import Batch
from tfdistill.replicas import Replicas, sum_compressed

# What memories are to keep, among the results of a step.
_REMEMBERED = "remembered"


class TrainStep:
    """One update of a student, on a replica's part of a global batch."""

    def __init__(
        self,
        *,
        student: MaskedLM,
        variables: Sequence[keras.Variable],
        objectives: Sequence[Objective],
        teacher: Teacher | None,
        optimizer: keras.optimizers.Optimizer,
        replicas: Replicas,
        accumulation_steps: int,
        clip_norm: float,
        seed: int,
        compression: str = "none",
    ) -> None:
        """Bind everything that a step needs.

        Args:
            student: What is trained.
            variables: Its variables that are updated, and those of the
                objectives; the optimizer is built for these.
            objectives: What it learns.
            teacher: Where objectives find what the teacher says.
            optimizer: Applied once a step.
            replicas: Where the step runs.
            accumulation_steps: Micro-batches of a replica's part.
            clip_norm: Global norm of the gradients, at most; 0: no limit.
            seed: Of dropout.
            compression: How gradients travel, one of `COMPRESSIONS`.
        """
        self._student = student
        self._variables = list(variables)
        self._objectives = list(objectives)
        self._teacher = teacher
        self._optimizer = optimizer
        self._replicas = replicas
        self._accumulation_steps = accumulation_steps
        self._clip_norm = clip_norm
        self._seed = seed
        self._compression = compression
        self._reads = frozenset[str]().union(
            *(o.loss.student_reads for o in objectives)
        )

    def compiled(self) -> Callable[[Batch], dict[str, tf.Tensor]]:
        """Returns the step as a graph on all replicas.

        It takes this process's part of a batch. Memories are updated after
        the graph has run.
        """
        run = self._replicas.compile(self._step)

        def step(batch: Batch) -> dict[str, tf.Tensor]:
            results = run(batch)
            remembered = results.pop(_REMEMBERED)
            for memory, (rows, values) in zip(
                self._memories(), remembered, strict=True
            ):
                memory.store(rows, values)
            return results

        return step

    def prepare(self, batch: Batch) -> None:
        """Settle memories on the first global batch of a run.

        Args:
            batch: This process's part of it, with `step`.
        """
        if not self._memories():
            return

        def sums(batch: Batch) -> list:
            found: list = []
            for micro_batch in _split(batch, self._accumulation_steps):
                known = self._known(micro_batch)
                outputs = self._outputs(micro_batch)
                step = tf.cast(micro_batch["step"][0], tf.float32)
                found.append(
                    [
                        m.first_sums(outputs, known, micro_batch, step)
                        for m in self._memories()
                    ]
                )
            added = tf.nest.map_structure(
                lambda *x: tf.reduce_sum(tf.stack(x)), *found
            )
            return self._replicas.sum(added)

        for memory, total in zip(
            self._memories(), self._replicas.compile(sums)(batch), strict=True
        ):
            memory.settle(total)

    def _memories(self) -> list[Memory]:
        return [
            o.loss.memory for o in self._objectives if o.loss.memory is not None
        ]

    def _step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Update the student.

        Args:
            batch: Features, `example_index` and `step`, int64 `[b]`, and
                `is_stopping`, float32 `[b]`: 1 where the process is asked
                to stop.

        Returns:
            Scalars of the global batch: `loss`, every objective's own
            value by its name, `gradient_norm` before clipping,
            `learning_rate`, `examples`, `tokens`, and `is_stopping`: more
            than 0 if any process is asked to stop.
        """
        counts = self._replicas.sum(
            {
                "weights": [
                    tf.reduce_sum(o.loss.weights(batch))
                    for o in self._objectives
                ],
                "examples": tf.reduce_sum(batch["is_real_example"]),
                "is_stopping": tf.reduce_max(batch["is_stopping"]),
                "tokens": tf.reduce_sum(
                    tf.cast(batch["input_mask"], tf.float32)
                ),
            }
        )
        divisors = [
            weights + o.loss.epsilon
            for weights, o in zip(
                counts["weights"], self._objectives, strict=True
            )
        ]
        step = tf.cast(batch["step"][0], tf.float32)
        factors = [o.weight(step) for o in self._objectives]
        gradients, losses, remembered = self._accumulate(
            batch, step, factors, divisors
        )
        gradients = sum_compressed(self._replicas, gradients, self._compression)
        losses = self._replicas.sum(losses)
        norm = tf.linalg.global_norm(gradients)
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self._clip_norm, use_norm=norm
            )
        # Read before the update, which advances the schedule.
        rate = tf.identity(self._optimizer.learning_rate)
        self._optimizer.apply(gradients, self._variables)
        total = tf.add_n(
            [f * loss for f, loss in zip(factors, losses, strict=True)]
        )
        return {
            "loss": total,
            **{
                o.name: loss
                for o, loss in zip(self._objectives, losses, strict=True)
            },
            "gradient_norm": norm,
            "learning_rate": rate,
            "examples": counts["examples"],
            "tokens": counts["tokens"],
            "is_stopping": counts["is_stopping"],
            _REMEMBERED: [
                self._globally(batch, values) for values in remembered
            ],
        }

    def _globally(
        self, batch: Batch, values: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Gather records' numbers and values of the whole global batch."""
        places = batch["example_index"][:, None]
        size = places.shape[0] * self._replicas.num_replicas

        def placed(x: tf.Tensor) -> tf.Tensor:
            return tf.scatter_nd(places, x, [size, *x.shape[1:]])

        rows = placed(batch["record_index"])
        return self._replicas.sum((rows, [placed(x) for x in values]))

    def _accumulate(
        self,
        batch: Batch,
        step: tf.Tensor,
        factors: list[tf.Tensor],
        divisors: list[tf.Tensor],
    ) -> tuple[list[tf.Tensor], list[tf.Tensor], list[list[tf.Tensor]]]:
        remembered: list[list[list[tf.Tensor]]] = []
        gradients: list[tf.Tensor] | None = None
        losses = [tf.constant(0.0)] * len(self._objectives)
        for micro_batch in _split(batch, self._accumulation_steps):
            known = self._known(micro_batch)
            with tf.GradientTape() as tape:
                outputs = self._outputs(micro_batch)
                parts = self._losses(
                    outputs, known, micro_batch, step, divisors
                )
                total = tf.add_n(
                    [f * part for f, part in zip(factors, parts, strict=True)]
                )
            new = tape.gradient(
                total,
                [v.value for v in self._variables],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            # Lookups give sparse gradients; the tied table needs a dense one.
            new = [tf.convert_to_tensor(g) for g in new]
            if gradients is None:
                gradients = new
            else:
                gradients = [a + b for a, b in zip(gradients, new, strict=True)]
            losses = [a + b for a, b in zip(losses, parts, strict=True)]
            remembered.append(
                [
                    m.remember(outputs, known, micro_batch)
                    for m in self._memories()
                ]
            )
        assert gradients is not None
        joined = tf.nest.map_structure(lambda *x: tf.concat(x, 0), *remembered)
        return gradients, losses, joined

    def _known(self, batch: Batch) -> Known:
        return {} if self._teacher is None else self._teacher(batch)

    def _outputs(self, batch: Batch) -> Outputs:
        noise = DropoutNoise(
            self._seed, batch["step"][0], batch["example_index"][0]
        )
        return self._student(batch, reads=self._reads, noise=noise)

    def _losses(
        self,
        outputs: Outputs,
        known: Known,
        batch: Batch,
        step: tf.Tensor,
        divisors: list[tf.Tensor],
    ) -> list[tf.Tensor]:
        return [
            tf.math.divide_no_nan(
                tf.reduce_sum(
                    o.loss.compute(outputs, known, batch, step).values
                ),
                divisor,
            )
            for o, divisor in zip(self._objectives, divisors, strict=True)
        ]


def _split(batch: Batch, parts: int) -> list[Batch]:
    size = next(iter(batch.values())).shape[0]
    if size % parts:
        raise ValueError(
            f"A replica's {size} examples do not divide into {parts} "
            "micro-batches (--accumulation_steps)."
        )
    step = size // parts
    return [
        {name: x[i : i + step] for name, x in batch.items()}
        for i in range(0, size, step)
    ]
