"""Evaluation: every example once, sums and rows, no division."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.progress import Progress

Batch = dict[str, tf.Tensor]
Tensors = dict[str, tf.Tensor]
# From a batch to sums over it and to rows of its examples, the same on all
# replicas. Rows hold `is_real_example` and `record_index`.
EvalStep = Callable[[Batch], tuple[Tensors, Tensors]]


class Findings(NamedTuple):
    """What was found out about a set of records.

    Attributes:
        sums: Over all examples.
        rows: `[N, …]`, one for each example, in the order of the records.
    """

    sums: dict[str, float]
    rows: dict[str, np.ndarray]


def go_through(
    eval_step: EvalStep,
    batches: Iterator[Batch],
    *,
    num_batches: int,
    shown: bool,
) -> Findings:
    """Run a step over batches and add up what it finds.

    Args:
        eval_step: See `EvalStep`.
        batches: What to go through.
        num_batches: How many there are, or how many to use.
        shown: Whether to show progress.
    """
    sums: dict[str, float] = {}
    found: list[dict[str, np.ndarray]] = []
    with Progress(
        "evaluating", num_batches, unit=" batches", shown=shown, leave=False
    ) as progress:
        for _, batch in zip(range(num_batches), batches, strict=False):
            of_batch, rows = eval_step(batch)
            # Sums of a large set need more digits than float32 has.
            for name, value in of_batch.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            found.append({name: x.numpy() for name, x in rows.items()})
            progress.advance(1)
    if not found[0]:
        return Findings(sums, {})
    whole = {n: np.concatenate([x[n] for x in found]) for n in found[0]}
    is_real = whole.pop("is_real_example") > 0
    order = np.argsort(whole.pop("record_index")[is_real], kind="stable")
    return Findings(sums, {n: x[is_real][order] for n, x in whole.items()})
