"""The batches of a training run: so many examples each, or so many tokens."""

from collections.abc import Callable, Iterator

from tfdistill.config.options import Training
from tfdistill.records import (
    Batch,
    RecordSet,
    check_budget,
    token_batches,
    training_batches,
)
from tfdistill.records.batches import Transform
from tfdistill.replicas import Replicas


def training_stream(
    records: RecordSet,
    training: Training,
    replicas: Replicas,
    *,
    seed: int,
    transform: Transform | None,
) -> Callable[[int], Iterator[Batch]]:
    """Returns what gives this process's parts of batches from a step on.

    Args:
        records: What is read.
        training: How large batches are.
        replicas: What they are dealt out to.
        seed: Fixes their order.
        transform: Applied to them, for instance to mask them.

    Raises:
        ValueError: Batches do not divide, or examples may exceed a budget.
    """
    if training.train_batch_tokens:
        check_budget(records, training.train_batch_tokens)
        return lambda first_step: token_batches(
            records,
            batch_tokens=training.train_batch_tokens,
            window=training.token_window,
            seed=seed,
            shuffle_buffer_size=training.shuffle_buffer_size,
            first_step=first_step,
            process_slice=replicas.process_slice(replicas.num_replicas),
            num_parts=replicas.num_replicas,
            micro_batches=training.accumulation_steps,
            transform=transform,
        )
    process_slice = _divide(training, replicas)
    return lambda first_step: training_batches(
        records,
        batch_size=training.train_batch_size,
        seed=seed,
        shuffle_buffer_size=training.shuffle_buffer_size,
        first_step=first_step,
        process_slice=process_slice,
        transform=transform,
        length_window=training.length_window,
    )


def _divide(training: Training, replicas: Replicas) -> tuple[int, int]:
    """Returns this process's slice of a batch, proving that all divides."""
    process_slice = replicas.process_slice(training.train_batch_size)
    part = training.train_batch_size // replicas.num_replicas
    if part % training.accumulation_steps:
        raise ValueError(
            f"A replica's {part} examples do not divide into "
            f"--accumulation_steps={training.accumulation_steps} parts."
        )
    return process_slice
