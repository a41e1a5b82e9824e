"""Options on questions: windows of texts, and how answers are chosen."""

import dataclasses

from tfdistill.config.fields import Options, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windows(Options):
    """How texts are cut into windows that questions are asked about."""

    doc_stride: int = option(
        128,
        "Tokens from the beginning of one window of a text to that of the "
        "next.",
        minimum=1,
    )
    max_query_length: int = option(
        64, "Tokens of a question; what is beyond is cut off.", minimum=1
    )
    questions_per_shard: int = option(
        1024, "Questions whose windows make a shard.", minimum=1
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answering(Options):
    """How answers are chosen among what a model says."""

    n_best_size: int = option(
        20,
        "Beginnings and ends that are looked at in a window, and answers "
        "that are kept of a question.",
        minimum=1,
        maximum=1 << 10,
    )
    max_answer_length: int = option(
        30, "Tokens of an answer, at most.", minimum=1
    )
    null_score_diff_threshold: float = option(
        0.0,
        "squad_v2: there is no answer where that one scores higher than the "
        "best other by more than this.",
    )
    find_null_threshold: bool = option(
        False,
        "squad_v2: instead, take the threshold with the best F1 on "
        "--eval_records.",
    )
