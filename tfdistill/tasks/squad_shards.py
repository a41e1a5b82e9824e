"""Windows of texts that questions are asked about, written to shards.

A shard depends on its questions and the settings alone, so it does not matter
which process writes it.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfdistill.config.question_answering import Windows
from tfdistill.records import Schema
from tfdistill.records.spans import CONTEXT, MOST_CONTEXT, NO_CONTEXT
from tfdistill.records.writer import ShardWriter
from tfdistill.text.offsets import LocatedPieces, covering
from tfdistill.text.squad import Question
from tfdistill.text.tokenizer import Tokenizer, shared_tokenizer
from tfdistill.text.windows import most_context, sliding_windows

Example = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """One shard to write: everything that a process needs for it."""

    questions: Sequence[Question]
    first_number: int
    path: Path
    vocab_file: str
    tokenizer_settings: dict[str, Any]
    schema: Schema
    windows: Windows


def write_shard(job: ShardJob) -> int:
    """Write one shard; returns the number of its questions."""
    tokenizer = shared_tokenizer(job.vocab_file, job.tokenizer_settings)
    contexts = list(dict.fromkeys(q.context for q in job.questions))
    located = tokenizer.tokenize_with_offsets(contexts)
    pieces = dict(zip(contexts, located, strict=True))
    ids = tokenizer.tokenize([q.text for q in job.questions])
    has_answers = job.schema.feature("answer_positions") is not None
    with ShardWriter(job.path, job.schema) as out:
        for i, question in enumerate(job.questions):
            for example in windowed(
                question,
                ids[i][: job.windows.max_query_length],
                pieces[question.context],
                tokenizer,
                max_seq_length=job.schema.max_seq_length,
                doc_stride=job.windows.doc_stride,
            ):
                number = np.array([job.first_number + i])
                example["question_numbers"] = number
                if not has_answers:
                    del example["answer_positions"]
                out.add(example)
    return len(job.questions)


def places_of(
    question_ids: Sequence[int], tokenizer: Tokenizer, max_seq_length: int
) -> tuple[int, int]:
    """Returns where a text begins behind a question, and its room in tokens."""
    framed, _ = tokenizer.join(question_ids, [], len(question_ids) + 16)
    return len(framed) - 1, max_seq_length - len(framed)


def answer_pieces(
    question: Question, context: LocatedPieces
) -> tuple[int, int] | None:
    """Find the answer to learn: the first one that is whole pieces.

    Where all of them begin or end inside a piece it is the first one, with
    these pieces as a whole.

    Returns:
        Indices of the first and last piece; None where no answer has any.
    """
    found = [(covering(context, *span), span) for span in question.spans]
    some = [(pieces, span) for pieces, span in found if pieces]
    for (first, last), (start, end) in some:
        cut = question.context[context.starts[first] : context.ends[last]]
        if cut == question.context[start:end].strip():
            return first, last
    return some[0][0] if some else None


def windowed(
    question: Question,
    question_ids: Sequence[int],
    context: LocatedPieces,
    tokenizer: Tokenizer,
    *,
    max_seq_length: int,
    doc_stride: int,
) -> Iterator[Example]:
    """Yield the examples of a question, one for each window of its text.

    Args:
        question: The question.
        question_ids: Its ids, cut to what is asked for at most.
        context: Its text as pieces.
        tokenizer: What lays them out.
        max_seq_length: Tokens of an example, at most.
        doc_stride: As `sliding_windows`.

    Yields:
        The features of `span_features`, but `question_numbers`. The answer
        stands where the pieces of `answer_pieces` do; in windows that do not
        hold all of these, at the first token, as where there is no answer.
        Where none is known, there are no positions.
    """
    first, room = places_of(question_ids, tokenizer, max_seq_length)
    answer = answer_pieces(question, context)
    windows = sliding_windows(len(context.ids), room, doc_stride)
    best = most_context(windows, len(context.ids))
    for i, (start, length) in enumerate(windows):
        own = slice(start, start + length)
        ids, segments = tokenizer.join(
            question_ids, context.ids[own], max_seq_length
        )
        placed = slice(first, first + length)
        marks = np.full(len(ids), NO_CONTEXT)
        marks[placed] = np.where(best[own] == i, MOST_CONTEXT, CONTEXT)
        starts, ends = np.zeros((2, len(ids)), np.int64)
        starts[placed], ends[placed] = context.starts[own], context.ends[own]
        positions: Sequence[int] = []
        if question.is_impossible:
            positions = [0, 0]
        elif answer is not None:
            is_whole = start <= answer[0] and answer[1] < start + length
            shift = first - start
            positions = [x + shift if is_whole else 0 for x in answer]
        yield {
            "input_ids": np.array(ids),
            "segment_ids": np.array(segments),
            "answer_positions": np.array(positions, np.int64),
            "context_marks": marks,
            "character_starts": starts,
            "character_ends": ends,
        }
