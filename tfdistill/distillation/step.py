"""The training step, exact on any number of replicas and micro-batches.

    weights  = replicas.sum(weights of each objective)
    for each micro-batch: loss = sum(values / weights); add up gradients
    replicas.sum(gradients) -> clip by global norm -> optimizer

Sums run over the whole global batch before anything is divided or clipped.
"""

import functools
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
from tfdistill.models.noise import DropoutNoise
from tfdistill.models.outputs import Model
from tfdistill.records import Batch
from tfdistill.replicas import Replicas, gather_rows, sum_compressed

# What memories are to keep, among the results of a step.
_REMEMBERED = "remembered"


class TrainStep:
    """One update of a student, on a replica's part of a global batch."""

    def __init__(
        self,
        *,
        student: Model,
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

    def compiled(self) -> Callable[[Batch], dict[str, tf.Tensor]]:
        """Returns the step as a graph on all replicas.

        It takes this process's part of a batch. There is a graph for every
        set of objectives that count together, so what does not count costs
        nothing. Memories are updated after the graph has run.
        """
        graphs: dict[tuple[int, ...], Callable] = {}

        def step(batch: Batch) -> dict[str, tf.Tensor]:
            number = int(batch["step"][0])
            which = tuple(
                i
                for i, objective in enumerate(self._objectives)
                if objective.start_step <= number < objective.end_step
            )
            objectives = [self._objectives[i] for i in which]
            if which not in graphs:
                graphs[which] = self._replicas.compile(
                    functools.partial(self._step, objectives)
                )
            results = graphs[which](batch)
            remembered = results.pop(_REMEMBERED)
            for memory, (rows, values) in zip(
                _memories(objectives), remembered, strict=True
            ):
                memory.store(rows, values)
            return results

        return step

    def prepare(self, batch: Batch) -> None:
        """Settle memories on the first global batch of a run.

        Args:
            batch: This process's part of it, with `step`.
        """
        objectives = [o for o in self._objectives if o.loss.memory is not None]
        if not objectives:
            return

        def sums(batch: Batch) -> list:
            found: list = []
            for micro_batch in _split(batch, self._accumulation_steps):
                known = self._known(objectives, micro_batch)
                outputs = self._outputs(objectives, micro_batch)
                step = tf.cast(micro_batch["step"][0], tf.float32)
                found.append(
                    [
                        m.first_sums(outputs, known, micro_batch, step)
                        for m in _memories(objectives)
                    ]
                )
            added = tf.nest.map_structure(
                lambda *x: tf.reduce_sum(tf.stack(x)), *found
            )
            return self._replicas.sum(added)

        totals = self._replicas.compile(sums)(batch)
        for memory, total in zip(_memories(objectives), totals, strict=True):
            memory.settle(total)

    def _step(
        self, objectives: list[Objective], batch: Batch
    ) -> dict[str, tf.Tensor]:
        """Update the student.

        Args:
            objectives: Those that count in this step.
            batch: Features, `example_index` and `step`, int64 `[b]`, and
                `is_stopping`, float32 `[b]`: 1 where the process is asked
                to stop.

        Returns:
            Scalars of the global batch: `loss`, these objectives' own
            values by their names, `gradient_norm` before clipping,
            `learning_rate`, `examples`, `tokens`, and `is_stopping`: more
            than 0 if any process is asked to stop.
        """
        counts = self._replicas.sum(
            {
                "weights": [
                    tf.reduce_sum(o.loss.weights(batch)) for o in objectives
                ],
                "examples": tf.reduce_sum(batch["is_real_example"]),
                "is_stopping": tf.reduce_max(batch["is_stopping"]),
                "tokens": count_tokens(batch),
            }
        )
        divisors = [
            weights + o.loss.epsilon
            for weights, o in zip(counts["weights"], objectives, strict=True)
        ]
        step = tf.cast(batch["step"][0], tf.float32)
        factors = [o.ramp(step) for o in objectives]
        gradients, losses, remembered = self._accumulate(
            objectives, batch, step, factors, divisors
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
        return {
            "loss": _weighted(factors, losses),
            **{
                o.name: loss for o, loss in zip(objectives, losses, strict=True)
            },
            "gradient_norm": norm,
            "learning_rate": rate,
            "examples": counts["examples"],
            "tokens": counts["tokens"],
            "is_stopping": counts["is_stopping"],
            _REMEMBERED: [
                gather_rows(
                    self._replicas,
                    batch["example_index"],
                    (batch["record_index"], values),
                )
                for values in remembered
            ],
        }

    def _accumulate(
        self,
        objectives: list[Objective],
        batch: Batch,
        step: tf.Tensor,
        factors: list[tf.Tensor | float],
        divisors: list[tf.Tensor],
    ) -> tuple[list[tf.Tensor], list[tf.Tensor], list[list[tf.Tensor]]]:
        remembered: list[list[list[tf.Tensor]]] = []
        gradients: list[tf.Tensor] | None = None
        losses = [tf.constant(0.0)] * len(objectives)
        for micro_batch in _split(batch, self._accumulation_steps):
            known = self._known(objectives, micro_batch)
            with tf.GradientTape() as tape:
                outputs = self._outputs(objectives, micro_batch)
                parts = [
                    tf.math.divide_no_nan(
                        tf.reduce_sum(
                            o.loss.compute(
                                outputs, known, micro_batch, step
                            ).values
                        ),
                        divisor,
                    )
                    for o, divisor in zip(objectives, divisors, strict=True)
                ]
                total = _weighted(factors, parts)
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
                    for m in _memories(objectives)
                ]
            )
        assert gradients is not None
        joined = tf.nest.map_structure(lambda *x: tf.concat(x, 0), *remembered)
        return gradients, losses, joined

    def _known(self, objectives: list[Objective], batch: Batch) -> Known:
        reads = frozenset[str]().union(
            *(o.loss.teacher_reads for o in objectives)
        )
        if self._teacher is None or not reads:
            return {}
        return self._teacher(batch, reads)

    def _outputs(self, objectives: list[Objective], batch: Batch) -> Outputs:
        noise = DropoutNoise(
            self._seed, batch["step"][0], batch["example_index"][0]
        )
        reads = frozenset[str]().union(
            *(o.loss.student_reads for o in objectives)
        )
        return self._student(batch, reads=reads, noise=noise)


def _memories(objectives: Sequence[Objective]) -> list[Memory]:
    return [o.loss.memory for o in objectives if o.loss.memory is not None]


def count_tokens(batch: Batch) -> tf.Tensor:
    """Returns how many a batch has, those of targets among them: a scalar."""
    masks = [batch["input_mask"]]
    if "target_ids" in batch:
        # Where a masked LM learns, its weights are those of masked places.
        masks.append(batch.get("target_mask", batch["masked_lm_weights"]))
    counts = [tf.reduce_sum(tf.cast(x, tf.float32), axis=1) for x in masks]
    return tf.reduce_sum(tf.add_n(counts) * batch["is_real_example"])


def _weighted(
    factors: list[tf.Tensor | float], losses: list[tf.Tensor]
) -> tf.Tensor:
    """Returns the total loss; 0 where no objective counts."""
    terms = [f * loss for f, loss in zip(factors, losses, strict=True)]
    return tf.add_n([tf.constant(0.0), *terms])


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
