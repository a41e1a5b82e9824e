"""Evaluations on held-out records while a student is trained."""

import functools

import numpy as np
from absl import logging

from tfdistill.agreement import check_labels, check_words
from tfdistill.assembly import Assembly
from tfdistill.records import open_record_set
from tfdistill.replicas import Replicas
from tfdistill.scoring import examine
from tfdistill.tasks import Task, find_task
from tfdistill.text.words import Words


class HeldOut:
    """Evaluations of the student on held-out records.

    Attributes:
        samples: Shows some answers of the newest evaluation; None where the
            task has nothing to show.
    """

    def __init__(
        self,
        assembly: Assembly,
        parts: frozenset[str],
        task: Task,
        replicas: Replicas,
        path: str,
        *,
        batch_size: int,
        max_batches: int,
    ) -> None:
        """Open the records and check that they fit.

        Raises:
            ValueError: They are of another vocabulary or other labels.
        """
        records = open_record_set(path)
        records.check_tokenizer(
            assembly.tokenizer.fingerprint, assembly.records.path
        )
        if isinstance(assembly.vocabulary, Words):
            check_words(assembly.vocabulary, records, "student")
        check_labels(records, assembly.records)
        self._task = find_task(task.name, records, task.answering)
        self._find_out = examine(
            assembly.student,
            parts,
            assembly.live,
            records,
            assembly.tokenizer,
            task,
            replicas,
            batch_size=batch_size,
            max_batches=max_batches,
        )
        self._newest: dict[str, np.ndarray] = {}
        self.samples = self._task.samples and functools.partial(
            self._task.samples, self._newest, assembly.tokenizer
        )

    def evaluate(self, *most: int) -> dict[str, float]:
        """Returns metrics by name, of all batches or of so many."""
        findings = self._find_out(*most)
        self._newest.update(findings.rows)
        return self._task.finish(*findings)


def watched_metric(asked: str, task: Task, held_out: HeldOut | None) -> str:
    """Returns the metric that chooses the best step; empty: the last one.

    Args:
        asked: A metric, `auto` for the task's own, or nothing.
        task: The task.
        held_out: What is evaluated.

    Raises:
        ValueError: Evaluations do not give it.
    """
    watched = task.best_metric if asked == "auto" else asked
    if not watched:
        return watched
    if held_out is None:
        raise ValueError(f"--early_stop_metric={watched} needs --eval_records.")
    logging.info("One batch is evaluated to see whether it has %s.", watched)
    found = held_out.evaluate(1)
    if watched not in found:
        raise ValueError(
            f"--early_stop_metric={watched} is not in what evaluations give "
            f"here: {', '.join(found)}."
        )
    return watched
