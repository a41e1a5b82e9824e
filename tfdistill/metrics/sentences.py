"""Metrics of sentence tasks, over a whole set at once."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats
from sklearn import metrics

Metric = Callable[[np.ndarray, np.ndarray], float]

# Scores that differ by less, relative to their size, differ by rounding.
_ROUNDING = 1e-12


def sentence_metrics(
    names: Sequence[str], predictions: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Compare predictions with labels.

    Of classes: `accuracy` in [0, 1]; `f1` of class 1 in [0, 1], 0 if nothing
    is or is predicted to be of class 1; `mcc`, Matthews' correlation in
    [-1, 1], 0 if all labels or all predictions are the same; and
    `accuracy_and_f1`, their mean. Of scores: `pearson` and `spearman`, the
    correlations in [-1, 1], 0 if all labels or all predictions are the same;
    and `pearson_and_spearman`, their mean.

    Args:
        names: Names of metrics, keys of `SENTENCE_METRICS`.
        predictions: `[N]`, int classes or float scores.
        labels: `[N]`, likewise.

    Returns:
        The metrics by name, none of them NaN.

    Raises:
        ValueError: A name is not known; the arrays are empty, of different
            lengths or not of one axis; there are numbers that are not
            finite; or a metric of classes is asked of floats.
    """
    if predictions.ndim != 1 or predictions.shape != labels.shape:
        raise ValueError(
            "Predictions and labels must be arrays [N] of one length, not "
            f"{predictions.shape} and {labels.shape}."
        )
    if not predictions.size:
        raise ValueError("There are no predictions to measure.")
    for name in names:
        if name not in SENTENCE_METRICS:
            raise ValueError(
                f"Unknown metric {name!r}. "
                f"Known: {', '.join(SENTENCE_METRICS)}."
            )
    for values, what in (predictions, "predictions"), (labels, "labels"):
        if not np.isfinite(values).all():
            raise ValueError(f"Not all {what} are finite numbers.")
        for name in names:
            if name in _OF_CLASSES and values.dtype.kind not in "iu":
                raise ValueError(
                    f"{name} compares classes, but the {what} are "
                    f"{values.dtype}."
                )
    return {
        name: float(SENTENCE_METRICS[name](predictions, labels))
        for name in names
    }


def _accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return metrics.accuracy_score(labels, predictions)


def _f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    # Of more than two classes, all others together are the negative one.
    return metrics.f1_score(labels == 1, predictions == 1, zero_division=0.0)


def _mcc(predictions: np.ndarray, labels: np.ndarray) -> float:
    if np.ptp(predictions) == 0 or np.ptp(labels) == 0:
        return 0.0
    return metrics.matthews_corrcoef(labels, predictions)


def _correlation(correlate: Callable) -> Metric:
    def metric(predictions: np.ndarray, labels: np.ndarray) -> float:
        scores = predictions.astype(np.float64), labels.astype(np.float64)
        for values in scores:
            if np.ptp(values) <= _ROUNDING * np.abs(values).max():
                return 0.0
        return correlate(*scores).statistic

    return metric


def _mean(first: Metric, second: Metric) -> Metric:
    return lambda predictions, labels: (
        (first(predictions, labels) + second(predictions, labels)) / 2
    )


_pearson = _correlation(stats.pearsonr)
_spearman = _correlation(stats.spearmanr)
_OF_CLASSES: dict[str, Metric] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "mcc": _mcc,
    "accuracy_and_f1": _mean(_accuracy, _f1),
}
SENTENCE_METRICS: dict[str, Metric] = {
    **_OF_CLASSES,
    "pearson": _pearson,
    "spearman": _spearman,
    "pearson_and_spearman": _mean(_pearson, _spearman),
}
