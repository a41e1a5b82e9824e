"""Metrics: sums over examples first, one division at the end."""

from tfdistill.metrics.masked_lm import (
    masked_lm_metrics,
    masked_lm_sums,
    next_sentence_sums,
    teacher_sums,
)

__all__ = [
    "masked_lm_metrics",
    "masked_lm_sums",
    "next_sentence_sums",
    "teacher_sums",
]
