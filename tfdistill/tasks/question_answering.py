"""Questions on texts: where the answer begins and ends in them.

What a model says of the windows of a text is put together in the end, so how
they are batched does not matter.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfdistill.config.question_answering import Answering
from tfdistill.files import sha256_of, write_json
from tfdistill.losses.labels import cross_entropy
from tfdistill.metrics import teacher_sums
from tfdistill.metrics.squad import (
    best_threshold,
    exact_match,
    squad_v1_metrics,
    squad_v2_metrics,
    word_f1,
)
from tfdistill.records import Batch, RecordSet
from tfdistill.tasks.span_decoding import (
    Prediction,
    Rows,
    best_ends,
    predict_spans,
)
from tfdistill.tasks.task import Measured, Target, Task
from tfdistill.text.squad import Question, read_questions

SQUAD_V1, SQUAD_V2 = SQUAD = ("squad_v1", "squad_v2")
# The copy of the questions that is kept beside their records.
QUESTIONS = "questions.json"
_OF_THE_TEACHER = {"teacher_agreement": True, "teacher_kl": False}


def question_task(records: RecordSet, answering: Answering) -> Task:
    """Make the task that records were made for.

    Args:
        records: Of questions.
        answering: How answers are chosen.
    """
    name = records.identity["task"]
    has_null = name == SQUAD_V2
    if answering.find_null_threshold and not has_null:
        raise ValueError(
            f"--find_null_threshold is for --task={SQUAD_V2}: other questions "
            "have an answer."
        )
    target = Target(
        logits="logits",
        labels="answer_positions",
        weights="answer_weights",
        parts=frozenset({"span"}),
        mask="input_mask",
    )
    # A teacher has a say on questions without an answer to compare with too.
    soft_target = dataclasses.replace(target, weights="is_real_example")

    @functools.cache
    def questions() -> tuple[Question, ...]:
        return _questions_of(records)

    def measure(
        outputs: Mapping[str, Any],
        batch: Batch,
        teacher_outputs: Mapping[str, Any] | None,
    ) -> Measured:
        logits = outputs["logits"]
        real = batch["is_real_example"][:, None]
        sums: dict[str, tf.Tensor] = {}
        if "answer_positions" in batch:
            weights = batch["answer_weights"] * real
            losses = cross_entropy(logits, batch["answer_positions"])
            sums = {
                "label_loss": tf.reduce_sum(losses * weights),
                "label_weights": tf.reduce_sum(weights),
            }
        if teacher_outputs is not None:
            both = tf.tile(real, [1, 2])
            sums |= teacher_sums(logits, teacher_outputs["logits"], both)
        return Measured(sums, best_ends(logits, batch, answering.n_best_size))

    def predictions(rows: Rows) -> dict[str, Prediction]:
        contexts = [question.context for question in questions()]
        found = predict_spans(
            rows,
            contexts,
            n_best_size=answering.n_best_size,
            max_answer_length=answering.max_answer_length,
            has_null=has_null,
        )
        return {questions()[i].id: one for i, one in found.items()}

    def finish(
        sums: Mapping[str, float], rows: Mapping[str, np.ndarray]
    ) -> dict[str, float]:
        found = _scores(predictions(rows), questions(), answering, has_null)
        for divisor, names in (
            ("label_weights", ["label_loss"]),
            ("teacher_weights", list(_OF_THE_TEACHER)),
        ):
            if sums.get(divisor):
                found |= {x: sums[x] / sums[divisor] for x in names}
        return found

    def write(rows: Mapping[str, np.ndarray], folder: str) -> dict[str, Any]:
        threshold = answering.null_score_diff_threshold
        return _write(predictions(rows), folder, threshold, has_null)

    return Task(
        name=name,
        heads=("span",),
        num_classes=0,
        targets={"labels": target},
        soft_target=soft_target,
        # Negatives are windows of other questions.
        example_labels="question_numbers",
        metrics=dict.fromkeys(_metrics(has_null), True)
        | {"label_loss": False}
        | _OF_THE_TEACHER,
        best_metric="f1",
        knowledge=("logits",),
        transform=lambda records, tokenizer, seed: None,
        measure=measure,
        finish=finish,
        write=write,
        answering=answering,
    )


def _metrics(has_null: bool) -> list[str]:
    names = ["exact_match", "f1"]
    if not has_null:
        return names
    prefixes = ("", "has_answer_", "no_answer_", "best_")
    return [f"{prefix}{name}" for prefix in prefixes for name in names]


def _scores(
    found: Mapping[str, Prediction],
    questions: tuple[Question, ...],
    answering: Answering,
    has_null: bool,
) -> dict[str, float]:
    """Score the questions that are among the predictions and have labels."""
    answers = {
        q.id: q.answers
        for q in questions
        if q.id in found and (q.answers or q.is_impossible)
    }
    if not answers:
        raise ValueError(
            "The records hold no answers, so there is nothing to compare "
            "with; predict is for these."
        )
    texts = {name: found[name].answer(math.inf) for name in answers}
    if not has_null:
        return squad_v1_metrics(texts, answers)
    odds = {name: found[name].null_odds for name in answers}
    best = {
        "f1": best_threshold(texts, odds, answers, word_f1),
        "exact_match": best_threshold(texts, odds, answers, exact_match),
    }
    threshold = answering.null_score_diff_threshold
    if answering.find_null_threshold:
        threshold = best["f1"].odds
    chosen = {name: found[name].answer(threshold) for name in answers}
    return {
        **squad_v2_metrics(chosen, answers),
        "null_score_diff_threshold": threshold,
        **{f"best_{name}": x.score for name, x in best.items()},
        **{f"best_{name}_threshold": x.odds for name, x in best.items()},
    }


def _write(
    found: Mapping[str, Prediction],
    folder: str,
    threshold: float,
    has_null: bool,
) -> dict[str, Any]:
    """Write predictions in the layout of the published scripts."""
    contents: dict[str, dict[str, Any]] = {
        "predictions": {
            name: one.answer(threshold if has_null else math.inf)
            for name, one in found.items()
        },
        "nbest_predictions": {
            name: [
                {"text": c.text, "probability": float(p)} | c._asdict()
                for c, p in zip(
                    one.candidates, one.probabilities(), strict=True
                )
            ]
            for name, one in found.items()
        },
    }
    if has_null:
        contents["null_odds"] = {n: one.null_odds for n, one in found.items()}
    written: dict[str, Any] = {"questions": len(found)}
    for name, content in contents.items():
        path = pathlib.Path(folder) / f"{name}.json"
        write_json(path, content)
        written[name] = str(path)
    return written


def _questions_of(records: RecordSet) -> tuple[Question, ...]:
    """Read the questions that records were made from.

    Raises:
        ValueError: They are not beside the records, or were changed.
        OSError: They cannot be read.
    """
    path = pathlib.Path(records.path) / QUESTIONS
    if not path.exists():
        raise ValueError(
            f"{records.path} holds no {QUESTIONS}: answers are looked for in "
            "the records that make_records made, not in those with knowledge."
        )
    if sha256_of(path) != records.identity["questions"]:
        raise ValueError(
            f"{path} is not the file that its records were made from."
        )
    return read_questions(path).questions
