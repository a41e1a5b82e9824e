"""Exact match and F1 of answers, by the rules of SQuAD's own scorers.

Scores are in percent. Of the right answers to a question the one counts that
is nearest to what was predicted.

Reference: `evaluate-v1.1.py` and `evaluate-v2.0.py` of Rajpurkar et al.
"""

import collections
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

Answers = Mapping[str, Sequence[str]]
Score = Callable[[str, str], float]


class Threshold(NamedTuple):
    """Odds of no answer above which none is best given, and what this scores.

    Attributes:
        odds: The threshold: there is no answer where odds are greater.
        score: Mean of the score over all questions, in percent.
    """

    odds: float
    score: float


def normalize_answer(text: str) -> str:
    """Drop case, ASCII punctuation, articles and superfluous blanks."""
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(prediction: str, answer: str) -> float:
    """Returns 1.0 if both are the same once normalised, else 0.0."""
    return float(normalize_answer(prediction) == normalize_answer(answer))


def word_f1(prediction: str, answer: str) -> float:
    """Returns the harmonic mean of precision and recall of words, in [0, 1].

    Where neither has words it is 1, as in SQuAD 2.0.
    """
    predicted = normalize_answer(prediction).split()
    right = normalize_answer(answer).split()
    if not predicted or not right:
        return float(predicted == right)
    both = collections.Counter(predicted) & collections.Counter(right)
    return 2 * both.total() / (len(predicted) + len(right))


def squad_v1_metrics(
    predictions: Mapping[str, str], answers: Answers
) -> dict[str, float]:
    """Score predictions as SQuAD 1.1 does.

    Args:
        predictions: By question.
        answers: All right ones by question, at least one each; a question
            without a prediction scores 0.

    Returns:
        `exact_match` and `f1`, in percent.

    Raises:
        ValueError: There are no questions, or one has no answers.
    """
    _check(answers)
    empty = [name for name, right in answers.items() if not right]
    if empty:
        raise ValueError(f"The question {empty[0]!r} has no answers.")

    def f1(prediction: str, answer: str) -> float:
        # Here it is 0 where neither has words.
        return word_f1(prediction, answer) * bool(normalize_answer(answer))

    return {
        name: _mean(_scores(score, predictions, answers), answers)
        for name, score in (("exact_match", exact_match), ("f1", f1))
    }


def squad_v2_metrics(
    predictions: Mapping[str, str], answers: Answers
) -> dict[str, float]:
    """Score predictions as SQuAD 2.0 does.

    Args:
        predictions: By question, "" for no answer.
        answers: All right ones by question, none where there is no answer.

    Returns:
        `exact_match` and `f1`, in percent, and as far as there are such
        questions the same behind `has_answer_` and `no_answer_`.

    Raises:
        ValueError: There are no questions.
    """
    _check(answers)
    groups = {
        "": answers,
        "has_answer_": {n: right for n, right in answers.items() if right},
        "no_answer_": {n: right for n, right in answers.items() if not right},
    }
    right = _references(answers)
    found = {}
    for name, score in (("exact_match", exact_match), ("f1", word_f1)):
        scores = _scores(score, predictions, right)
        for prefix, group in groups.items():
            if group:
                found[f"{prefix}{name}"] = _mean(scores, group)
    return found


def best_threshold(
    predictions: Mapping[str, str],
    null_odds: Mapping[str, float],
    answers: Answers,
    score: Score = word_f1,
) -> Threshold:
    """Find the odds above which it is best to give no answer.

    Args:
        predictions: By question, the best answers other than none.
        null_odds: By question, the more the less likely is that answer.
        answers: As for `squad_v2_metrics`.
        score: `word_f1` or `exact_match`.

    Returns:
        The threshold, of several that are as good the lowest. It is one of
        the odds, or below all of them where no answers at all score best,
        for which the published scorer says 0.

    Raises:
        ValueError: There are no questions.
    """
    _check(answers)
    names = sorted(answers, key=null_odds.__getitem__)
    odds = np.array([null_odds[name] for name in names])
    right = _references(answers)
    given = _scores(score, predictions, right)
    withheld = _scores(score, dict.fromkeys(answers, ""), right)
    none_at_all = sum(withheld.values())
    gains = np.array([given[name] - withheld[name] for name in names])
    totals = none_at_all + np.cumsum(gains)
    # Questions of the same odds go together.
    totals[:-1][odds[:-1] == odds[1:]] = -np.inf
    best = int(totals.argmax())
    if none_at_all >= totals[best]:
        return Threshold(
            float(odds[0]) - 1.0, 100.0 * none_at_all / len(answers)
        )
    return Threshold(
        float(odds[best]), 100.0 * float(totals[best]) / len(answers)
    )


def _check(answers: Answers) -> None:
    if not answers:
        raise ValueError("There are no questions to score.")


def _references(answers: Answers) -> Answers:
    """Returns right answers that have words; "" where there are none."""
    return {
        name: [text for text in right if normalize_answer(text)] or [""]
        for name, right in answers.items()
    }


def _scores(
    score: Score, predictions: Mapping[str, str], answers: Answers
) -> dict[str, float]:
    return {
        name: max(score(predictions[name], text) for text in right)
        if name in predictions
        else 0.0
        for name, right in answers.items()
    }


def _mean(scores: Mapping[str, float], names: Answers) -> float:
    return 100.0 * sum(scores[name] for name in names) / len(names)
