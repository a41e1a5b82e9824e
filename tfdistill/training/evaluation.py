"""Evaluation: sums over every example once, then one division."""

from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf

from tfdistill.progress import Progress

Batch = dict[str, tf.Tensor]


def evaluate(
    eval_step: Callable[[Batch], dict[str, tf.Tensor]],
    batches: Iterator[Batch],
    finish: Callable[[Mapping[str, float]], dict[str, float]],
    *,
    num_batches: int,
    shown: bool,
) -> dict[str, float]:
    """Run a step over batches and turn its sums into metrics.

    Args:
        eval_step: Returns sums over a batch, the same on all replicas.
        batches: What to go through.
        finish: From the sums over all batches to metrics.
        num_batches: How many there are, or how many to use.
        shown: Whether to show progress.
    """
    sums: dict[str, float] = {}
    with Progress(
        "evaluating", num_batches, unit=" batches", shown=shown, leave=False
    ) as progress:
        for _, batch in zip(range(num_batches), batches, strict=False):
            # Sums of a large set need more digits than float32 has.
            for name, value in eval_step(batch).items():
                sums[name] = sums.get(name, 0.0) + float(value)
            progress.advance(1)
    return finish(sums)
