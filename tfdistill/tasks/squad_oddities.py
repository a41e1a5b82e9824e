"""What is not as questions and answers should be, counted and named."""

import itertools

import numpy as np
from absl import logging

from tfdistill.records import RecordSet, evaluation_batches
from tfdistill.records.spans import MOST_CONTEXT
from tfdistill.text.squad import QuestionFile
from tfdistill.text.tokenizer import Tokenizer

_MOST_NAMED = 10
_BATCH = 1024


def count_oddities(
    file: QuestionFile,
    records: RecordSet,
    tokenizer: Tokenizer,
    *,
    max_query_length: int,
) -> dict[str, int]:
    """Count what is odd about questions, and name those in the log.

    What is said of answers is read back from the records.

    Args:
        file: The questions.
        records: Their windows.
        tokenizer: What made their ids.
        max_query_length: Tokens that questions were cut to.

    Returns:
        How many questions there are of each kind: `moved_answers`,
        `lost_answers`, `missing_answers`, `split_answers`, `inexact_answers`,
        `cut_questions`.
    """
    questions = file.questions
    lengths = tokenizer.tokenize([q.text for q in questions])
    is_known, given_back = _answers_of(records, file)
    ids = np.array([q.id for q in questions])
    has_answers = np.array([bool(q.answers) for q in questions])
    is_missing = [not q.answers and not q.is_impossible for q in questions]
    is_spanned = np.array([bool(q.spans) for q in questions]) & is_known
    is_found = np.array([text is not None for text in given_back])
    is_exact = np.array(
        [
            text in [answer.strip() for answer in question.answers]
            for text, question in zip(given_back, questions, strict=True)
        ]
    )
    is_cut = np.array([len(x) > max_query_length for x in lengths])
    odd = {
        "moved_answers": (
            list(file.moved),
            "have an answer elsewhere in the text than the file says",
        ),
        "lost_answers": (
            ids[has_answers & ~is_known],
            "have an answer that is not in the text, and so no label",
        ),
        "missing_answers": (
            ids[is_missing],
            "have no answers in the file, and so no label",
        ),
        "split_answers": (
            ids[is_spanned & ~is_found],
            "have an answer that no window holds as a whole, with most of the "
            "context where it begins, so it cannot be predicted",
        ),
        "inexact_answers": (
            ids[is_spanned & is_found & ~is_exact],
            "have an answer that begins or ends inside a token, all of which "
            "is learnt",
        ),
        "cut_questions": (
            ids[is_cut],
            f"are longer than --max_query_length={max_query_length} tokens, "
            "and are cut",
        ),
    }
    for names, what in odd.values():
        if len(names):
            logging.warning(
                "%s: %d of %d questions %s: %s%s.",
                file.path,
                len(names),
                len(questions),
                what,
                ", ".join(itertools.islice(names, _MOST_NAMED)),
                ", …" if len(names) > _MOST_NAMED else "",
            )
    return {name: len(names) for name, (names, _) in odd.items()}


def _answers_of(
    records: RecordSet, file: QuestionFile
) -> tuple[np.ndarray, list[str | None]]:
    """Returns which questions have a label, and the answers that windows give.

    These are cut out of the texts; None where a window without an answer, or
    with less context than another where it begins, is all there is.
    """
    is_known = np.zeros(len(file.questions), bool)
    given_back: list[str | None] = [None] * len(file.questions)
    if records.schema.feature("answer_positions") is None:
        return is_known, given_back
    size = min(_BATCH, records.examples)
    for batch in evaluation_batches(
        records, batch_size=size, process_slice=(0, size)
    ):
        batch = {name: x.numpy() for name, x in batch.items()}
        rows = np.arange(size)
        first, last = batch["answer_positions"].T
        numbers = batch["question_numbers"]
        is_real = batch["is_real_example"] > 0
        is_known[numbers[is_real & (batch["answer_weights"] > 0).any(1)]] = True
        marks = batch["context_marks"][rows, first]
        starts = batch["character_starts"][rows, first]
        ends = batch["character_ends"][rows, last]
        for i in np.flatnonzero(
            is_real & (first > 0) & (marks == MOST_CONTEXT)
        ):
            context = file.questions[numbers[i]].context
            given_back[numbers[i]] = context[starts[i] : ends[i]]
    return is_known, given_back
