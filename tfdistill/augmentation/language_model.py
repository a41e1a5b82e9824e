"""Transfer sets that a language model of the task's sentences makes up.

Reference: Tang et al., "Natural Language Generation for Effective Knowledge
    Distillation", 2019, section 3.
"""

from collections.abc import Sequence

from tfdistill.augmentation.parts import Make
from tfdistill.augmentation.sampling import (
    Prefixes,
    Sampling,
    sample,
    stepping,
)
from tfdistill.models.causal import LanguageModel
from tfdistill.text.causal import CausalTokenizer, num_given

Sentences = tuple[str, ...]


def language_samples(
    model: LanguageModel,
    tokenizer: CausalTokenizer,
    originals: Sequence[Sentences],
    sampling: Sampling,
    *,
    seed: int,
    batch_size: int,
) -> Make:
    """Returns what makes the samples of some numbers.

    A sample begins with the first token of one of the originals, that of a
    conditional model with its first sentence. It is a text with tabs between
    its sentences, or None if it did not come to its end.

    Args:
        model: The language model.
        tokenizer: Its tokenizer.
        originals: The task's sentences or pairs.
        sampling: How tokens are drawn.
        seed: Decides all draws.
        batch_size: Samples at a time; of other sizes the last bits may be
            others.

    Raises:
        ValueError: There are no originals, or a conditional model is to make
            single sentences.
    """
    if tokenizer.is_conditional and len(originals[0]) == 1:
        raise ValueError(
            "The language model writes second sentences of pairs; the task "
            "has single sentences."
        )
    prefixes = Prefixes(
        ids[: num_given(tokenizer, ids)] for ids in tokenizer.encode(originals)
    )
    step = stepping(model, sampling)
    ends = tokenizer.ends(len(originals[0]))

    def make(numbers: range) -> list[str | None]:
        found: list[str | None] = []
        for start in range(0, len(numbers), batch_size):
            drawn = sample(
                model,
                step,
                numbers[start : start + batch_size],
                prefixes=prefixes,
                sampling=sampling,
                seed=seed,
                end_id=tokenizer.end_id,
                ends=ends,
            )
            found += [None if x is None else tokenizer.decode(x) for x in drawn]
        return found

    return make
