"""More examples for a student, made of those of a task.

By rules (`rule_samples`, which need a tagger), by a language model
(`language_model`), by a masked LM alone (`masked_words`) or with word vectors
(`tinybert_variants`).
"""

from tfdistill.augmentation.candidates import Ask
from tfdistill.augmentation.cleaning import Left, distinct
from tfdistill.augmentation.rules import (
    PAIR_ROUNDS,
    SINGLE_ROUNDS,
    Rules,
    Sample,
    rule_samples,
)
from tfdistill.augmentation.tagging import Tagged, WordsByTag, tag_sources
from tfdistill.augmentation.tinybert import (
    REPLACE_PROB,
    ROUNDS,
    tinybert_variants,
)
from tfdistill.augmentation.words import split_words

# Of words, by a masked LM alone, as published.
MASK_PROB = 0.2

__all__ = [
    "MASK_PROB",
    "PAIR_ROUNDS",
    "REPLACE_PROB",
    "ROUNDS",
    "SINGLE_ROUNDS",
    "Ask",
    "Left",
    "Rules",
    "Sample",
    "Tagged",
    "WordsByTag",
    "distinct",
    "rule_samples",
    "split_words",
    "tag_sources",
    "tinybert_variants",
]
