"""States of matched layers, as losses on relations read them."""

import tensorflow as tf

from tfdistill.losses.reduction import widened


def matched_states(
    student: tf.Tensor, teacher: tf.Tensor, is_read: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Check states and bring them to one type.

    Args:
        student: `[B, N, L, Ds]`.
        teacher: `[B, N, L, Dt]`.
        is_read: bool `[B, L]`.

    Returns:
        The student's and the teacher's states, 0 where they are not read,
        the teacher's without a gradient.

    Raises:
        ValueError: They do not have the same B, N and L.
    """
    student = widened(student)
    teacher = tf.stop_gradient(tf.cast(teacher, student.dtype))
    shape = is_read.shape[:1] + student.shape[1:2] + is_read.shape[1:]
    for states in (student, teacher):
        if states.shape.rank != 4 or not shape.is_compatible_with(
            states.shape[:3]
        ):
            raise ValueError(
                "States [B, N, L, D] of both models and the mask [B, L] need "
                f"the same B, N and L. Received: {student.shape} of the "
                f"student, {teacher.shape} of the teacher, and a mask "
                f"{is_read.shape}."
            )
    is_read = is_read[:, None, :, None]
    return tf.where(is_read, student, 0.0), tf.where(is_read, teacher, 0.0)
