"""The training step, exact on any number of replicas and micro-batches.

    weights  = replicas.sum(weights of each objective)
    for each micro-batch: loss = sum(objective / weight); add up gradients
    replicas.sum(gradients) -> clip by global norm -> optimizer

Sums run over the whole global batch before anything is divided or clipped.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfdistill.distillation.objective import Objective
from tfdistill.distillation.teachers import Teacher
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.models.noise import DropoutNoise
from tfdistill.records import Batch, Distribution
from tfdistill.replicas import Replicas, sum_compressed


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
            variables: Its variables that are updated; the optimizer is
                built for these.
            objectives: What it learns.
            teacher: Where soft objectives find distributions.
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
        self._reads = frozenset(o.reads for o in objectives)

    def __call__(self, batch: Batch) -> dict[str, tf.Tensor]:
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
                    tf.reduce_sum(batch[o.weights]) for o in self._objectives
                ],
                "examples": tf.reduce_sum(batch["is_real_example"]),
                "is_stopping": tf.reduce_max(batch["is_stopping"]),
                "tokens": tf.reduce_sum(
                    tf.cast(batch["input_mask"], tf.float32)
                ),
            }
        )
        divisors = [
            weights + o.epsilon
            for weights, o in zip(
                counts["weights"], self._objectives, strict=True
            )
        ]
        gradients, losses = self._accumulate(batch, divisors)
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
            [
                o.weight * loss
                for o, loss in zip(self._objectives, losses, strict=True)
            ]
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
        }

    def _accumulate(
        self, batch: Batch, divisors: list[tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        gradients: list[tf.Tensor] | None = None
        losses = [tf.constant(0.0)] * len(self._objectives)
        for micro_batch in _split(batch, self._accumulation_steps):
            known = (
                None if self._teacher is None else self._teacher(micro_batch)
            )
            with tf.GradientTape() as tape:
                parts = self._losses(micro_batch, known, divisors)
                total = tf.add_n(
                    [
                        o.weight * part
                        for o, part in zip(self._objectives, parts, strict=True)
                    ]
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
        assert gradients is not None
        return gradients, losses

    def _losses(
        self,
        batch: Batch,
        known: Distribution | None,
        divisors: list[tf.Tensor],
    ) -> list[tf.Tensor]:
        noise = DropoutNoise(
            self._seed, batch["step"][0], batch["example_index"][0]
        )
        outputs = self._student(batch, reads=self._reads, noise=noise)
        return [
            tf.math.divide_no_nan(
                tf.reduce_sum(
                    o.values(outputs, batch, known) * batch[o.weights]
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
