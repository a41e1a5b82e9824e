"""Metrics: sums over examples first, one division at the end.

Metrics of sentence tasks need the whole set of predictions instead.
"""

from tfdistill.metrics.causal_lm import causal_lm_metrics, causal_lm_sums
from tfdistill.metrics.masked_lm import (
    masked_lm_metrics,
    masked_lm_sums,
    next_sentence_sums,
    teacher_sums,
)
from tfdistill.metrics.sentences import SENTENCE_METRICS, sentence_metrics

__all__ = [
    "SENTENCE_METRICS",
    "causal_lm_metrics",
    "causal_lm_sums",
    "masked_lm_metrics",
    "masked_lm_sums",
    "next_sentence_sums",
    "sentence_metrics",
    "teacher_sums",
]
