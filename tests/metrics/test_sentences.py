"""Metrics of sentences: published numbers, formulas, and what is undefined."""

import math
import warnings

import numpy as np
import pytest
from golden import golden

from tfdistill.metrics import SENTENCE_METRICS, sentence_metrics

GOLDEN = golden("ckd_losses")["glue_metrics"]
OF_CLASSES = ["accuracy", "f1", "mcc", "accuracy_and_f1"]
OF_SCORES = ["pearson", "spearman", "pearson_and_spearman"]


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("case", GOLDEN)
def test_golden(case):
    numbers = dict(GOLDEN[case])
    predictions = np.array(numbers.pop("preds"))
    labels = np.array(numbers.pop("labels"))
    assert numbers
    found = sentence_metrics(list(numbers), predictions, labels)
    assert found == pytest.approx(numbers, abs=1e-9)


def counts(predictions, labels):
    pairs = list(zip(predictions == 1, labels == 1, strict=True))
    return [
        pairs.count((predicted, true))
        for predicted, true in ((1, 1), (1, 0), (0, 1), (0, 0))
    ]


@pytest.mark.parametrize("seed", range(5))
def test_two_classes_by_formula(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 50)
    predictions = np.where(rng.random(50) < 0.6, labels, 1 - labels)
    tp, fp, fn, tn = counts(predictions, labels)
    accuracy = (tp + tn) / 50
    f1 = 2 * tp / (2 * tp + fp + fn)
    mcc = (tp * tn - fp * fn) / math.sqrt(
        (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    )
    found = sentence_metrics(OF_CLASSES, predictions, labels)
    assert found == pytest.approx(
        {
            "accuracy": accuracy,
            "f1": f1,
            "mcc": mcc,
            "accuracy_and_f1": (accuracy + f1) / 2,
        }
    )
    assert all(type(value) is float for value in found.values())


def test_three_classes_by_formula():
    predictions = np.array([0, 1, 2, 2, 1, 0, 1])
    labels = np.array([0, 1, 2, 1, 0, 0, 2])
    found = sentence_metrics(OF_CLASSES, predictions, labels)
    # Gorodkin's R3: covariances of one-hot predictions and labels.
    x, y = np.eye(3)[predictions], np.eye(3)[labels]
    x, y = x - x.mean(0), y - y.mean(0)
    r3 = (x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum())
    assert found["accuracy"] == pytest.approx(4 / 7)
    assert found["f1"] == pytest.approx(2 / (2 + 2 + 1))
    assert found["mcc"] == pytest.approx(r3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_correlations_by_formula(dtype):
    rng = np.random.default_rng(0)
    labels = rng.random(40).astype(dtype)
    predictions = (labels + rng.random(40)).astype(dtype)

    def correlation(x, y):
        x, y = x - x.mean(), y - y.mean()
        return (x @ y) / math.sqrt((x @ x) * (y @ y))

    pearson = correlation(predictions.astype(float), labels.astype(float))
    spearman = correlation(
        predictions.argsort().argsort().astype(float),
        labels.argsort().argsort().astype(float),
    )
    assert sentence_metrics(OF_SCORES, predictions, labels) == pytest.approx(
        {
            "pearson": pearson,
            "spearman": spearman,
            "pearson_and_spearman": (pearson + spearman) / 2,
        },
        abs=1e-9,
    )


def test_f1_is_of_class_1():
    labels = np.array([0, 0, 0, 1])
    predictions = np.array([0, 0, 0, 0])
    assert sentence_metrics(["f1"], predictions, labels) == {"f1": 0.0}
    found = sentence_metrics(["f1"], 1 - predictions, 1 - labels)
    assert found["f1"] == pytest.approx(6 / 7)


@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("num", [1, 3])
def test_one_class_only(label, num):
    labels = np.full(num, label)
    found = sentence_metrics(OF_CLASSES, labels, labels)
    f1 = float(label == 1)
    assert found == {
        "accuracy": 1.0,
        "f1": f1,
        "mcc": 0.0,
        "accuracy_and_f1": (1 + f1) / 2,
    }
    found = sentence_metrics(OF_CLASSES, labels + 5, labels)
    assert (found["accuracy"], found["mcc"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    "constant",
    [
        np.zeros(4, np.float32),
        np.full(4, 0.1),
        np.full(4, 3),
        1 + 1e-15 * np.arange(4),
    ],
    ids=["zero", "tenth", "int", "rounding"],
)
def test_constant_scores_do_not_correlate(constant):
    scores = np.array([0.5, 1.0, 3.0, 2.0])
    for pair in ((constant, scores), (scores, constant), (constant, constant)):
        found = sentence_metrics(OF_SCORES, *pair)
        assert found == dict.fromkeys(OF_SCORES, 0.0)


def test_large_scores_of_a_diverged_model():
    labels = np.array([0.5, 1.0, 3.0, 2.0], np.float32)
    predictions = labels * np.float32(1e38)
    found = sentence_metrics(OF_SCORES, predictions, labels)
    assert found == pytest.approx(dict.fromkeys(OF_SCORES, 1.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("names", [["spearman"], ["accuracy"]])
def test_not_finite(bad, names):
    good, broken = np.array([1.0, 2.0]), np.array([1.0, bad])
    with pytest.raises(ValueError, match="Not all predictions are finite"):
        sentence_metrics(names, broken, good)
    with pytest.raises(ValueError, match="Not all labels are finite"):
        sentence_metrics(["spearman"], good, broken)


def test_refusals():
    two, three = np.array([0, 1]), np.array([0, 1, 1])
    with pytest.raises(ValueError, match=r"not \(2,\) and \(3,\)"):
        sentence_metrics(["accuracy"], two, three)
    with pytest.raises(ValueError, match=r"not \(1, 2\) and"):
        sentence_metrics(["accuracy"], two[None], two[None])
    with pytest.raises(ValueError, match="no predictions"):
        sentence_metrics(["accuracy"], two[:0], two[:0])
    with pytest.raises(ValueError, match=r"'bleu'\. Known: accuracy, f1"):
        sentence_metrics(["bleu"], two, two)
    for name in OF_CLASSES:
        with pytest.raises(ValueError, match="predictions are float64"):
            sentence_metrics([name], two * 0.5, two)
        with pytest.raises(ValueError, match="labels are float64"):
            sentence_metrics([name], two, two * 1.0)
    assert set(SENTENCE_METRICS) == {*OF_CLASSES, *OF_SCORES}


def test_worked_confusion():
    """M5 of D-BERT: two hits of each class, one miss of each."""
    predictions, labels = (
        np.array([1, 1, 0, 0, 1, 0]),
        np.array([1, 0, 0, 1, 1, 0]),
    )
    found = sentence_metrics(["accuracy", "mcc"], predictions, labels)
    assert found == pytest.approx({"accuracy": 4 / 6, "mcc": 1 / 3})
