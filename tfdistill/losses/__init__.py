"""Pure maths of the objectives: element-wise values, no reduction.

`LOSSES` maps the name of an objective to its function.
"""

from collections.abc import Callable

import tensorflow as tf

from tfdistill.losses.labels import cross_entropy
from tfdistill.losses.soft_targets import check_tail, soft_targets

LOSSES: dict[str, Callable[..., tf.Tensor]] = {
    "soft_targets": soft_targets,
    "labels": cross_entropy,
    "next_sentence": cross_entropy,
}

__all__ = ["LOSSES", "check_tail", "cross_entropy", "soft_targets"]
