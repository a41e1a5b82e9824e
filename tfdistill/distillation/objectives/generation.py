"""The objective of Distill-BERT-Textgen: labels and teacher in one loss."""

import tensorflow as tf

from tfdistill.distillation.objectives.objective import (
    Bind,
    CheckedBind,
    Context,
    Known,
    Loss,
    Outputs,
)
from tfdistill.distillation.objectives.predictions import labels, soft_targets
from tfdistill.losses.reduction import Parts
from tfdistill.records import Batch


def text_generation(
    *,
    alpha: float = 0.5,
    temperature: float = 10.0,
    k: int = 8,
    label_smoothing: float = 0.1,
    smoothing: str = "original",
    tail: str = "renormalised",
    sides: str = "teacher",
    scale_by_temperature: bool = False,
) -> Bind:
    """Learn labels and the teacher: `(1 - alpha) XE + alpha KD`, over tokens.

    The defaults are the published ones: the teacher's K best pieces at a
    temperature that the student does not have, and without its square.

    Args:
        alpha: Share of the teacher, in [0, 1].
        temperature: T > 0 of the teacher.
        k: Pieces of the teacher's that are used; 0: all that there are.
        label_smoothing: See `labels`.
        smoothing: See `labels`.
        tail: See `soft_targets`.
        sides: See `soft_targets`; `both` gives the student T as well.
        scale_by_temperature: Multiply the teacher's part by T squared.

    Reference: Chen et al., "Distilling Knowledge Learned in BERT for Text
        Generation", 2020, and its code.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha} is not in [0, 1].")
    hard = labels(label_smoothing=label_smoothing, smoothing=smoothing)
    soft = soft_targets(
        temperature=temperature,
        tail=tail,
        scale_by_temperature=scale_by_temperature,
        sides=sides,
        k=k,
    )

    def bind(context: Context) -> Loss:
        xe, kd = hard(context), soft(context)

        def compute(
            student: Outputs, known: Known, batch: Batch, step: tf.Tensor
        ) -> Parts:
            of_labels = xe.compute(student, known, batch, step)
            of_teacher = kd.compute(student, known, batch, step)
            values = (1 - alpha) * of_labels.values + alpha * of_teacher.values
            return Parts(values, of_labels.weights)

        return Loss(
            compute=compute,
            weights=xe.weights,
            student_reads=xe.student_reads | kd.student_reads,
            teacher_reads=kd.teacher_reads,
            batch_reads=xe.batch_reads | kd.batch_reads,
            trains=xe.trains | kd.trains,
        )

    return CheckedBind(bind, soft.check)
