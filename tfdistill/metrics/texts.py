"""Metrics of texts that models write: BLEU, chrF and ROUGE."""

import re
from collections.abc import Sequence
from typing import Any

import sacrebleu

_ROUGE = ("rouge1", "rouge2", "rougeL")


def translation_metrics(
    texts: Sequence[str],
    references: Sequence[str],
    *,
    is_lower_case: bool,
    is_tokenized: bool,
) -> dict[str, Any]:
    """Compare translations with a reference each, as a whole.

    Args:
        texts: What was written.
        references: What was to be written.
        is_lower_case: Whether case does not count.
        is_tokenized: Whether words and marks have spaces between them; if
            not, sacreBLEU's own tokenizer splits them.

    Returns:
        `bleu` and `chrf`, from 0 to 100, the `signature` of sacreBLEU that
        says how `bleu` was computed, `chrf_signature`, and
        `tokenized_lowercase_bleu`: that of words and marks without case or
        smoothing, which is what `multi-bleu.perl -lc` computes of tokenized
        text.

    Raises:
        ValueError: There are none, or not as many texts as references.
    """
    _check(texts, references)
    words = "none" if is_tokenized else "13a"
    bleu = sacrebleu.BLEU(lowercase=is_lower_case, tokenize=words)
    chrf = sacrebleu.CHRF(lowercase=is_lower_case)
    published = sacrebleu.BLEU(
        lowercase=True, tokenize=words, smooth_method="none", force=True
    )
    given = list(texts), [list(references)]
    return {
        "bleu": bleu.corpus_score(*given).score,
        "signature": str(bleu.get_signature()),
        "chrf": chrf.corpus_score(*given).score,
        "chrf_signature": str(chrf.get_signature()),
        "tokenized_lowercase_bleu": published.corpus_score(*given).score,
    }


def summary_metrics(
    texts: Sequence[str], references: Sequence[str]
) -> dict[str, Any]:
    """Compare summaries with a reference each.

    Returns:
        `rouge1`, `rouge2` and `rougeL`: means over summaries of the F1 of
        words, pairs of words and longest common subsequences, from 0 to 100,
        without case and stemming. Words are letters and digits of any script
        that stand together; those of ASCII text are the published ones.

    Raises:
        ValueError: There are none, or not as many texts as references.
    """
    # It takes long to import, and every command would wait for it.
    from rouge_score.rouge_scorer import RougeScorer

    _check(texts, references)
    scorer = RougeScorer(_ROUGE, tokenizer=_Words())
    scores = [
        scorer.score(reference, text)
        for reference, text in zip(references, texts, strict=True)
    ]
    return {
        name: 100 * sum(score[name].fmeasure for score in scores) / len(scores)
        for name in _ROUGE
    }


class _Words:
    """What ROUGE counts; its own tokenizer drops all but a to z and digits."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())


def _check(texts: Sequence[str], references: Sequence[str]) -> None:
    if not texts or len(texts) != len(references):
        raise ValueError(
            f"{len(texts)} texts cannot be compared with {len(references)} "
            "references."
        )
