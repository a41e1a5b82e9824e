"""More examples for a student, made of those of a task.

By rules (`rule_samples`, which need a tagger) or by a masked LM and word
vectors (`tinybert_variants`).
"""

from tfdistill.augmentation.candidates import Ask
from tfdistill.augmentation.rules import Rules, Sample, rule_samples
from tfdistill.augmentation.tagging import Tagged, WordsByTag, tag_sources
from tfdistill.augmentation.tinybert import (
    REPLACE_PROB,
    ROUNDS,
    tinybert_variants,
)
from tfdistill.augmentation.words import split_words

__all__ = [
    "REPLACE_PROB",
    "ROUNDS",
    "Ask",
    "Rules",
    "Sample",
    "Tagged",
    "WordsByTag",
    "rule_samples",
    "split_words",
    "tag_sources",
    "tinybert_variants",
]
