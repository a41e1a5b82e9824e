"""Squared differences of what two models predict, before any softmax.

Element-wise: one value per example or position. Summing, weighting and
dividing are the caller's.
"""

import tensorflow as tf

from tfdistill.losses.reduction import widened


def logit_mse(
    student: tf.Tensor,
    teacher: tf.Tensor,
    *,
    temperature: float | tf.Tensor = 1.0,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Mean squared difference of logits.

    With one output, C = 1, it is the loss of regression.

    Args:
        student: `[..., C]`.
        teacher: `[..., C]`.
        temperature: T > 0, by which both sides are divided, as CKD does
            for regression; a scalar tensor where it changes in training.
        mask: `[..., C]`, or what broadcasts to that: 1 for the classes that
            count; None: all do.

    Returns:
        `[...]` float32, or float64 as the student's. At least 0, which a
        student equal to its teacher reaches; 0 where no class counts.

    Raises:
        ValueError: Shapes differ or the temperature is not positive.

    Reference: Ba and Caruana, "Do Deep Nets Really Need to be Deep?", 2014.
    """
    errors = squared_error(student, teacher, temperature=temperature)
    if mask is None:
        return tf.reduce_mean(errors, axis=-1)
    is_counted = tf.broadcast_to(tf.cast(mask, tf.bool), tf.shape(errors))
    errors = tf.where(is_counted, errors, tf.zeros_like(errors))
    counts = tf.reduce_sum(tf.cast(is_counted, errors.dtype), axis=-1)
    return tf.math.divide_no_nan(tf.reduce_sum(errors, axis=-1), counts)


def squared_error(
    student: tf.Tensor,
    teacher: tf.Tensor,
    *,
    temperature: float | tf.Tensor = 1.0,
) -> tf.Tensor:
    """Squared difference of scores, for regression.

    Args:
        student: `[...]`, such as one score for each example.
        teacher: `[...]`, the teacher's scores or the labels.
        temperature: as `logit_mse`.

    Returns:
        `[...]`, as `logit_mse`.

    Raises:
        ValueError: as `logit_mse`.
    """
    if not tf.is_tensor(temperature) and temperature <= 0:
        raise ValueError(f"temperature={temperature} is not positive.")
    student = widened(student)
    teacher = tf.stop_gradient(tf.cast(teacher, student.dtype))
    if not student.shape.is_compatible_with(teacher.shape):
        raise ValueError(
            "Student and teacher need predictions of one shape. Received: "
            f"{student.shape} and {teacher.shape}."
        )
    temperature = tf.cast(temperature, student.dtype)
    return tf.math.squared_difference(student, teacher) / temperature**2
