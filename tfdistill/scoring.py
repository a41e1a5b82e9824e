"""Runs models over held-out records: metrics, predictions, speed."""

import itertools
import math
import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from tfdistill.agreement import check_length
from tfdistill.models.outputs import Model
from tfdistill.records import Batch, RecordSet, evaluation_batches
from tfdistill.replicas import Replicas, gather_rows, round_up
from tfdistill.tasks import Task
from tfdistill.text.tokenizer import Pieces
from tfdistill.training import Findings, go_through

_TIMED_BATCHES = 20
# Whatever seed a run has, held-out text is masked in the same places.
_SEED = 12345


def examine(
    model: Model,
    parts: frozenset[str],
    teacher: Model | None,
    records: RecordSet,
    tokenizer: Pieces,
    task: Task,
    replicas: Replicas,
    *,
    batch_size: int,
    max_batches: int = 0,
) -> Callable[..., Findings]:
    """Returns a function that runs a model over records, each one once.

    The step is compiled once, so the function may be called while the model
    is trained. It takes a number of batches to stop after, if need be.

    Raises:
        ValueError: The records do not fit the models.
    """
    records = records.with_vocabulary(len(tokenizer.vocabulary))
    check_length(model, records)
    if teacher is not None:
        check_length(teacher, records, "teacher")
    reads = frozenset({"logits"})
    if "next_sentence" in parts:
        reads |= {"next_sentence_logits"}
    num_batches = math.ceil(records.examples / batch_size)
    if max_batches:
        num_batches = min(num_batches, max_batches)

    def step(batch: Batch) -> tuple:
        theirs = None
        if teacher is not None:
            theirs = teacher(batch, reads=frozenset({"logits"}), noise=None)
        ours = model(batch, reads=reads, noise=None)
        sums, rows = task.measure(ours, batch, theirs)
        if rows:
            rows = gather_rows(
                replicas,
                batch["example_index"],
                rows
                | {n: batch[n] for n in ("is_real_example", "record_index")},
            )
        return replicas.sum(sums), rows

    compiled = replicas.compile(step)

    def run(most: int = num_batches) -> Findings:
        return go_through(
            compiled,
            _batches(records, tokenizer, task, replicas, batch_size),
            num_batches=min(most, num_batches),
            shown=replicas.process.is_chief,
        )

    return run


def measure_speed(
    model: Model,
    records: RecordSet,
    tokenizer: Pieces,
    task: Task,
    replicas: Replicas,
    *,
    batch_size: int,
) -> float:
    """Returns examples per second of inference, the graph's making left out.

    Only the model's own logits are computed, for at most `_TIMED_BATCHES`
    batches of the records, once these are in memory.
    """
    batches = list(
        itertools.islice(
            _batches(records, tokenizer, task, replicas, batch_size),
            _TIMED_BATCHES,
        )
    )

    def step(batch: Batch) -> tf.Tensor:
        logits = model(batch, reads=frozenset({"logits"}), noise=None)
        # Reading one number waits for all of them.
        return tf.reduce_max(logits["logits"])

    compiled = replicas.compile(step)
    # A graph for each shape that comes by.
    shapes = {tuple(tuple(x.shape) for x in b.values()): b for b in batches}
    for batch in shapes.values():
        float(compiled(batch))
    started = time.perf_counter()
    for batch in batches:
        float(compiled(batch))
    seconds = time.perf_counter() - started
    return len(batches) * batch_size / seconds


def _batches(
    records: RecordSet,
    tokenizer: Pieces,
    task: Task,
    replicas: Replicas,
    batch_size: int,
) -> Iterator[Batch]:
    rows = round_up(replicas, batch_size)
    return evaluation_batches(
        records,
        batch_size=batch_size,
        process_slice=replicas.process_slice(rows),
        rows=rows,
        transform=task.transform(records, tokenizer, _SEED),
    )
