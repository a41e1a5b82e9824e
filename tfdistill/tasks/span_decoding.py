"""Answers from logits: the best spans of all windows of a question.

Reference: Devlin et al., 2019, the published `run_squad.py`.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdistill.records import Batch
from tfdistill.records.spans import CONTEXT, MOST_CONTEXT

Rows = Mapping[str, np.ndarray]


class Candidate(NamedTuple):
    """An answer that a model takes into account.

    Attributes:
        text: Cut out of the text as it was given; "" for no answer.
        start_logit: Of its first token.
        end_logit: Of its last one.
    """

    text: str
    start_logit: float
    end_logit: float

    @property
    def score(self) -> float:
        """The sum of both logits."""
        return self.start_logit + self.end_logit


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model predicts for a question.

    Attributes:
        candidates: Different texts, the best first; among them "", if no
            answer is one.
        best: The best of them that is a text; None if there is none.
        null_odds: By how much no answer scores higher than that.
    """

    candidates: list[Candidate]
    best: Candidate | None
    null_odds: float

    def answer(self, threshold: float) -> str:
        """Returns the text, "" where the odds are above a threshold."""
        if self.best is None or self.null_odds > threshold:
            return ""
        return self.best.text

    def probabilities(self) -> np.ndarray:
        """Returns the softmax of the candidates' scores, `[n]`."""
        scores = np.array([c.score for c in self.candidates])
        odds = np.exp(scores - scores.max())
        return odds / odds.sum()


def best_ends(
    logits: tf.Tensor, batch: Batch, n_best_size: int
) -> dict[str, tf.Tensor]:
    """Choose the best tokens of windows to begin or end an answer.

    Args:
        logits: `[B, 2, L]`, of beginning and end.
        batch: Decoded features.
        n_best_size: Tokens to choose of each, K.

    Returns:
        `end_logits` float32, `end_positions`, `end_marks` and
        `end_characters` int32, all `[B, 2, K]`, the best first: logits, where
        the tokens are, their `context_marks`, and the first character of
        beginnings, the one behind the last of ends. Where windows have fewer
        tokens marks say that they are no context. `null_logits` float32
        `[B, 2]` are those of no answer; `question_numbers` int32 `[B]`.
    """
    size = min(n_best_size, logits.shape[-1])
    best, positions = tf.math.top_k(logits, size)
    marks, starts, ends = (
        tf.gather(batch[name], positions, batch_dims=1)
        for name in ("context_marks", "character_starts", "character_ends")
    )
    found = {
        "end_logits": best,
        "end_positions": positions,
        "end_marks": marks,
        "end_characters": tf.stack([starts[:, 0], ends[:, 1]], axis=1),
    }
    missing = [[0, 0], [0, 0], [0, n_best_size - size]]
    return {name: tf.pad(x, missing) for name, x in found.items()} | {
        "null_logits": logits[:, :, 0],
        "question_numbers": batch["question_numbers"],
    }


def predict_spans(
    rows: Rows,
    contexts: Sequence[str],
    *,
    n_best_size: int,
    max_answer_length: int,
    has_null: bool,
) -> dict[int, Prediction]:
    """Choose the answers of questions among all of their windows.

    Spans begin and end in the text, begin where a token has the most context,
    and are of `max_answer_length` tokens at most. Of spans with the same text
    the best one counts; equal scores keep the order of windows, beginnings
    and ends.

    Args:
        rows: What `best_ends` gives, `[N, …]`, the windows of a question one
            after another.
        contexts: The text of each question.
        n_best_size: Candidates of a question, at most.
        max_answer_length: Tokens of an answer, at most.
        has_null: Whether no answer is a candidate. It has the logits of the
            window where it scores least.

    Returns:
        By number of the question, for those that have windows among the rows.
    """
    return {
        number: _choose(
            {name: values[own] for name, values in rows.items()},
            contexts[number],
            n_best_size,
            max_answer_length,
            has_null,
        )
        for number, own in _by_question(rows["question_numbers"])
    }


def _by_question(numbers: np.ndarray) -> Iterator[tuple[int, slice]]:
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1), len(numbers)]
    for start, end in itertools.pairwise(bounds):
        yield int(numbers[start]), slice(start, end)


def _choose(
    rows: Rows, context: str, most: int, max_length: int, has_null: bool
) -> Prediction:
    null = rows["null_logits"][rows["null_logits"].sum(-1).argmin()]
    nothing = Candidate("", float(null[0]), float(null[1]))
    candidates: dict[str, Candidate] = {}
    for candidate in _spans(rows, context, max_length):
        if has_null and nothing.score > candidate.score:
            candidates.setdefault("", nothing)
        if len(candidates) >= most:
            break
        candidates.setdefault(candidate.text, candidate)
    if has_null or not candidates:
        candidates.setdefault("", nothing)
    found = list(candidates.values())
    best = next((c for c in found if c.text), None)
    odds = nothing.score - (best.score if best else 0.0)
    return Prediction(found, best, odds)


def _spans(rows: Rows, context: str, max_length: int) -> Iterator[Candidate]:
    """Yield the spans of all windows of a question, the best first."""
    starts, ends = (
        {
            name: rows[f"end_{name}"][:, side]
            for name in ("logits", "positions", "marks", "characters")
        }
        for side in (0, 1)
    )
    # All beginnings with all ends, [windows, K, K].
    lengths = ends["positions"][:, None] - starts["positions"][..., None] + 1
    is_span = (starts["marks"] == MOST_CONTEXT)[..., None]
    is_span = is_span & (ends["marks"] >= CONTEXT)[:, None]
    is_span &= (lengths >= 1) & (lengths <= max_length)
    scores = starts["logits"].astype(np.float64)[..., None]
    scores = scores + ends["logits"].astype(np.float64)[:, None]
    places = np.argwhere(is_span)
    order = np.argsort(-scores[is_span], kind="stable")
    for window, i, j in places[order]:
        begin = starts["characters"][window, i]
        text = context[begin : ends["characters"][window, j]].strip()
        if text:
            yield Candidate(
                text,
                float(starts["logits"][window, i]),
                float(ends["logits"][window, j]),
            )
