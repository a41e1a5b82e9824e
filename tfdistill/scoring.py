"""Scores models on held-out records."""

import itertools
import math
import time
from collections.abc import Callable

import tensorflow as tf

from tfdistill.agreement import check_length
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.records import RecordSet, evaluation_batches
from tfdistill.replicas import Replicas, round_up
from tfdistill.tasks import Task
from tfdistill.text.tokenizer import Tokenizer
from tfdistill.training import evaluate

_TIMED_BATCHES = 20


def score(
    model: MaskedLM,
    parts: frozenset[str],
    teacher: MaskedLM | None,
    records: RecordSet,
    tokenizer: Tokenizer,
    task: Task,
    replicas: Replicas,
    *,
    batch_size: int,
    seed: int,
    max_batches: int = 0,
) -> Callable[..., dict[str, float]]:
    """Returns a function that evaluates a model on held-out records.

    The step is compiled once, so the function may be called while the model
    is trained. It takes a number of batches to stop after, if need be.

    Raises:
        ValueError: The records do not fit the models.
    """
    records = records.with_vocabulary(len(tokenizer.vocabulary))
    check_length(model, records)
    if teacher is not None:
        check_length(teacher, records, "teacher")
    rows = round_up(replicas, batch_size)
    reads = frozenset({"logits"})
    if "next_sentence" in parts:
        reads |= {"next_sentence_logits"}
    num_batches = math.ceil(records.examples / batch_size)
    if max_batches:
        num_batches = min(num_batches, max_batches)

    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        theirs = None
        if teacher is not None:
            theirs = teacher(batch, reads=frozenset({"logits"}), noise=None)
        ours = model(batch, reads=reads, noise=None)
        return replicas.sum(task.sums(ours, batch, theirs))

    compiled = replicas.compile(step)

    def run(most: int = num_batches) -> dict[str, float]:
        batches = evaluation_batches(
            records,
            batch_size=batch_size,
            process_slice=replicas.process_slice(rows),
            rows=rows,
            transform=task.transform(records, tokenizer, seed),
        )
        return evaluate(
            compiled,
            batches,
            task.finish,
            num_batches=min(most, num_batches),
            shown=replicas.process.is_chief,
        )

    return run


def measure_speed(
    model: MaskedLM,
    records: RecordSet,
    tokenizer: Tokenizer,
    task: Task,
    replicas: Replicas,
    *,
    batch_size: int,
    seed: int,
) -> float:
    """Returns examples per second of inference, the graph's making left out.

    Only the model's own logits are computed, for at most `_TIMED_BATCHES`
    batches of the records, once these are in memory.
    """
    rows = round_up(replicas, batch_size)
    batches = list(
        itertools.islice(
            evaluation_batches(
                records,
                batch_size=batch_size,
                process_slice=replicas.process_slice(rows),
                rows=rows,
                transform=task.transform(records, tokenizer, seed),
            ),
            _TIMED_BATCHES,
        )
    )

    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        logits = model(batch, reads=frozenset({"logits"}), noise=None)
        # Reading one number waits for all of them.
        return tf.reduce_max(logits["logits"])

    compiled = replicas.compile(step)
    float(compiled(batches[0]))
    started = time.perf_counter()
    for batch in batches:
        float(compiled(batch))
    seconds = time.perf_counter() - started
    return len(batches) * batch_size / seconds
