"""Scores of answers against golden numbers and the published scorers."""

import random

import pytest
from golden import golden
from official.nlp.tools import squad_evaluate_v1_1, squad_evaluate_v2_0

from tfdistill.metrics.squad import (
    best_threshold,
    exact_match,
    normalize_answer,
    squad_v1_metrics,
    squad_v2_metrics,
    word_f1,
)

GOLDEN = golden("ckd_losses")["squad_metrics"]
WORDS = ["cat", "The", "a", "dog", "Élan", "24–10", "$1.2", "日本", "!", "an,"]


@pytest.mark.parametrize(("text", "expected"), GOLDEN["normalize_answer"])
def test_normalize_answer(text, expected):
    assert normalize_answer(text) == expected


@pytest.mark.parametrize("case", GOLDEN["exact_and_f1"])
def test_exact_match_and_f1(case):
    assert exact_match(case["pred"], case["gold"]) == case["exact"]
    assert word_f1(case["pred"], case["gold"]) == pytest.approx(case["f1"])


@pytest.mark.parametrize("score", [squad_v1_metrics, squad_v2_metrics])
def test_golden_set(score):
    expected = GOLDEN["evaluate"]
    found = score(expected["predictions"], expected["answers"])
    assert found["exact_match"] == pytest.approx(expected["exact"])
    assert found["f1"] == pytest.approx(expected["f1"])


def drawn(seed, *, impossible):
    """Answers, predictions and odds, some of them strange."""
    draw = random.Random(seed)

    def text(most=4):
        return " ".join(draw.choices(WORDS, k=draw.randrange(most)))

    answers, predictions, odds = {}, {}, {}
    for i in range(60):
        is_impossible = impossible and draw.random() < 0.4
        right = [
            text() or "x" for _ in range(0 if is_impossible else 1 + i % 3)
        ]
        name = f"q{i}"
        answers[name] = right
        known = [*right, text(), text()]
        predictions[name] = draw.choice(known)
        # Some are the same.
        odds[name] = draw.randrange(-40, 40) / 4
    return answers, predictions, odds


def published(answers):
    qas = [
        {"id": name, "answers": [{"text": text} for text in right]}
        for name, right in answers.items()
    ]
    return [{"paragraphs": [{"qas": qas[:20]}, {"qas": qas[20:]}]}]


@pytest.mark.parametrize("seed", range(5))
def test_squad_v1_as_published(seed):
    answers, predictions, _ = drawn(seed, impossible=False)
    del predictions["q7"]
    found = squad_v1_metrics(predictions, answers)
    theirs = squad_evaluate_v1_1.evaluate(published(answers), predictions)
    assert found["exact_match"] == pytest.approx(100 * theirs["exact_match"])
    assert found["f1"] == pytest.approx(100 * theirs["final_f1"])
    assert 20 < found["exact_match"] < 90 and 20 < found["f1"] < 90


@pytest.mark.parametrize("seed", range(5))
def test_squad_v2_as_published(seed):
    answers, predictions, _ = drawn(seed, impossible=True)
    predictions |= dict.fromkeys(list(predictions)[::3], "")
    found = squad_v2_metrics(predictions, answers)
    theirs = squad_evaluate_v2_0.evaluate(published(answers), predictions)
    for ours, other in (
        ("exact_match", "exact"),
        ("f1", "f1"),
        ("has_answer_exact_match", "HasAns_exact"),
        ("has_answer_f1", "HasAns_f1"),
        ("no_answer_exact_match", "NoAns_exact"),
        ("no_answer_f1", "NoAns_f1"),
    ):
        assert found.pop(ours) == pytest.approx(theirs[other]), ours
    assert not found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("score", [word_f1, exact_match])
def test_best_threshold_as_published(seed, score):
    answers, predictions, odds = drawn(seed, impossible=True)
    # The published scorer does not foresee texts without words.
    predictions = {n: f"{text} x" for n, text in predictions.items()}
    answers = {n: [f"{x} x" for x in right] for n, right in answers.items()}
    # It goes through questions of the same odds one by one.
    odds = {
        name: value + i * 1e-3 for i, (name, value) in enumerate(odds.items())
    }
    theirs = squad_evaluate_v2_0.evaluate(published(answers), predictions, odds)
    kind = {word_f1: "f1", exact_match: "exact"}[score]
    found = best_threshold(predictions, odds, answers, score)
    assert found.score == pytest.approx(theirs[f"final_{kind}"])
    assert found.odds == pytest.approx(theirs[f"final_{kind}_thresh"])


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_best(seed):
    answers, predictions, odds = drawn(seed, impossible=True)

    def f1_at(threshold):
        kept = {
            name: "" if odds[name] > threshold else text
            for name, text in predictions.items()
        }
        return squad_v2_metrics(kept, answers)["f1"]

    best = best_threshold(predictions, odds, answers)
    assert f1_at(best.odds) == pytest.approx(best.score)
    lowest = min(odds.values()) - 1
    for threshold in [lowest, *odds.values()]:
        assert f1_at(threshold) <= best.score + 1e-9


def test_no_answers_at_all_can_be_best():
    answers = {"a": [], "b": [], "c": ["cat"]}
    odds = {"a": 1.0, "b": 2.0, "c": 3.0}
    best = best_threshold(dict.fromkeys(answers, "cat"), odds, answers)
    assert best.score == pytest.approx(200 / 3)
    assert best.odds < 1.0


@pytest.mark.parametrize("score", [squad_v1_metrics, squad_v2_metrics])
def test_nothing_to_score(score):
    with pytest.raises(ValueError, match="no questions to score"):
        score({}, {})


def test_squad_v1_needs_answers():
    with pytest.raises(ValueError, match="question 'b' has no answers"):
        squad_v1_metrics({}, {"a": ["x"], "b": []})
