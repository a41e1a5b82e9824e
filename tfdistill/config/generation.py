"""Options on text generation: parallel text, and how text is searched."""

import dataclasses

from tfdistill.config.fields import Options, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParallelText(Options):
    """Which pairs of lines are of use, and what their text is like."""

    max_source_length: int = option(
        150,
        "Pieces of a source; longer pairs are left out.",
        minimum=1,
        maximum=1 << 16,
    )
    max_target_length: int = option(
        150,
        "Pieces of a target, its end included; longer pairs are left out.",
        minimum=2,
        maximum=1 << 16,
    )
    max_words: int = option(
        0,
        "Words of a side of a pair to learn from, at most; 0: any number.",
        minimum=0,
    )
    max_length_ratio: float = option(
        0.0,
        "Words of one side over those of the other, in pairs to learn from, "
        "at most; 0: any.",
        minimum=0.0,
    )
    strip_markup: bool = option(
        False,
        "Text is that of IWSLT: leave out lines about a talk, and drop tags.",
    )
    is_moses_tokenized: bool = option(
        False, "Text is as Moses tokenises it, with its escapes."
    )
    eval_every: int = option(
        0,
        "Every so many pairs, one goes to --eval_records; 0: none.",
        minimum=0,
    )
    cmlm_masked_prob: float = option(
        0.15,
        "Share of the target that --task=cmlm masks, one piece at least; "
        "make_records notes it in the records.",
        minimum=0.001,
        maximum=1.0,
    )
    pairs_per_shard: int = option(8192, "Pairs in a shard.", minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoding(Options):
    """How a text is searched for."""

    beam_size: int = option(
        5, "Hypotheses that are followed; 1: greedy.", minimum=1, maximum=1024
    )
    length_penalty: float = option(
        0.6,
        "Exponent alpha of ((5 + n + 1) / 6), which log-probabilities are "
        "divided by.",
        minimum=0.0,
        maximum=100.0,
    )
    max_decode_length: int = option(
        100,
        "Pieces of a text, at most, its end included.",
        minimum=1,
        maximum=1 << 14,
    )
    replace_unknown: bool = option(
        True, "Copy what is attended to most where a piece is unknown."
    )
