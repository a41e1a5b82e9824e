"""Questions on texts, as SQuAD 1.1 and 2.0 publish them.

    {"data": [{"paragraphs": [{"context": …, "qas": [{"id": …, "question": …,
        "answers": [{"text": …, "answer_start": …}], "is_impossible": …}]}]}]}

Reference: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine
    Comprehension of Text", 2016, and "Know What You Don't Know", 2018.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from tfdistill.files import StrPath, read_json, sha256_of

_Value = TypeVar("_Value")
_KINDS = {str: "text", int: "a whole number", list: "a list", dict: "an object"}


@dataclasses.dataclass(frozen=True)
class Question:
    """A question on a text.

    Attributes:
        id: Its name in the file, which no other question has.
        text: The question.
        context: The text.
        answers: All that count as right, as they are given; empty where
            there is none in the text or none is known.
        is_impossible: Whether the text is known to hold no answer.
        spans: First character of each answer that is in the text, and the
            one behind its last.
    """

    id: str
    text: str
    context: str
    answers: tuple[str, ...]
    is_impossible: bool
    spans: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class QuestionFile:
    """A file of questions that was read and checked.

    Attributes:
        path: Where it is.
        questions: In its order.
        moved: Ids of questions of which an answer does not begin where the
            file says; it was found elsewhere in the text.
        lost: Ids of questions none of whose answers is in the text.
        fingerprint: SHA-256 of the file.
    """

    path: str
    questions: tuple[Question, ...]
    moved: tuple[str, ...]
    lost: tuple[str, ...]
    fingerprint: str

    @property
    def is_labelled(self) -> bool:
        """Whether it says of any question what is right."""
        return any(q.spans or q.is_impossible for q in self.questions)


def read_questions(
    path: StrPath, *, allows_impossible: bool = True
) -> QuestionFile:
    """Read a file of questions, checking everything in it.

    Args:
        path: The file.
        allows_impossible: Whether questions may have no answer in the text,
            as in SQuAD 2.0.

    Raises:
        ValueError: It is no such file. The message names it and the place:
            the byte or, as `data[0].paragraphs[2].qas[1]`, the entry.
        OSError: It cannot be read.
    """
    questions: list[Question] = []
    moved, lost = [], []
    seen: set[str] = set()
    for where, context, entry in _entries(path):
        own_id = _get(where, entry, "id", str)
        if own_id in seen:
            raise ValueError(f"{where}: there is another question {own_id!r}.")
        seen.add(own_id)
        question = _get(where, entry, "question", str)
        for text in (own_id, context, question):
            _check_encodable(where, text)
        is_impossible = _get(where, entry, "is_impossible", bool, default=False)
        answers = []
        for i, answer in enumerate(
            _get(where, entry, "answers", list, default=[])
        ):
            at = f"{where}.answers[{i}]"
            given = _get(at, answer, "text", str)
            _check_encodable(at, given)
            answers.append((given, _get(at, answer, "answer_start", int)))
        if is_impossible and not allows_impossible:
            raise ValueError(
                f"{where} is_impossible, as there is in SQuAD 2.0 alone: "
                "--task=squad_v2 is for it."
            )
        if is_impossible and answers:
            raise ValueError(f"{where} is_impossible, but has answers.")
        located = [(locate(context, *answer), answer[1]) for answer in answers]
        spans = tuple(span for span, _ in located if span)
        if any(span and span[0] != start for span, start in located):
            moved.append(own_id)
        if answers and not spans:
            lost.append(own_id)
        questions.append(
            Question(
                own_id,
                question,
                context,
                tuple(given for given, _ in answers),
                is_impossible,
                spans,
            )
        )
    if not questions:
        raise ValueError(f"{path} holds no questions.")
    return QuestionFile(
        str(path),
        tuple(questions),
        tuple(moved),
        tuple(lost),
        sha256_of(path),
    )


def locate(context: str, answer: str, start: int) -> tuple[int, int] | None:
    """Find an answer in a text.

    Args:
        context: The text.
        answer: What is looked for; where it has blanks, the text may have
            others.
        start: Where it should begin.

    Returns:
        Its first character and the one behind its last. Where it does not
        begin at `start`, that is the occurrence which is nearest to it; None
        if there is none.
    """
    if not answer.strip():
        return None
    if start >= 0 and context.startswith(answer, start):
        return start, start + len(answer)
    words = r"\s+".join(map(re.escape, answer.split()))
    found = [match.span() for match in re.finditer(f"(?={words})", context)]
    if not found:
        return None
    begin, _ = min(found, key=lambda span: abs(span[0] - start))
    match = re.compile(words).match(context, begin)
    assert match is not None
    return match.span()


def _entries(path: StrPath) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield where each question is, its context and its entry."""
    articles = _get(str(path), read_json(path), "data", list)
    for i, article in enumerate(articles):
        at = f"{path}: data[{i}]"
        for j, paragraph in enumerate(_get(at, article, "paragraphs", list)):
            within = f"{at}.paragraphs[{j}]"
            context = _get(within, paragraph, "context", str)
            for k, entry in enumerate(_get(within, paragraph, "qas", list)):
                yield f"{within}.qas[{k}]", context, entry


def _get(
    where: str,
    entry: Any,
    key: str,
    kind: type[_Value],
    *,
    default: _Value | None = None,
) -> _Value:
    """Returns a value of an object of JSON.

    Raises:
        ValueError: It is missing or of another type.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"{where} is {entry!r:.60}, expected an object.")
    value = entry.get(key, default)
    if value is None:
        raise ValueError(f"{where} lacks {key!r}.")
    # A truth value is an int as well.
    if type(value) is not kind:
        raise ValueError(
            f"{where}: {key!r} is {value!r:.60}, expected "
            f"{_KINDS.get(kind, 'true or false')}."
        )
    return value


def _check_encodable(where: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: character {error.start} of {text!r:.60} is half of a "
            "surrogate pair."
        ) from None
