"""Files of questions, and what may be wrong with them."""

import copy
import json
import re

import pytest
import small_questions

from tfdistill.text.squad import locate, read_questions

CONTEXT = "Cafés in Orléans:  two\tcafés, one café.  日本の café"


@pytest.fixture
def write(tmp_path):
    def to_file(content):
        path = tmp_path / "squad.json"
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        path.write_bytes(content)
        return path

    return to_file


def of_answers(*answers, context=CONTEXT, **more):
    """A file with one question on `CONTEXT`."""
    given = [{"text": text, "answer_start": start} for text, start in answers]
    question = {"id": "q", "question": "What?", "answers": given, **more}
    return {"data": [{"paragraphs": [{"context": context, "qas": [question]}]}]}


@pytest.mark.parametrize("has_impossible", [False, True])
def test_everything_is_read(write, has_impossible):
    content = small_questions.squad(range(9), has_impossible=has_impossible)
    file = read_questions(write(content), allows_impossible=has_impossible)
    assert len(file.questions) == 9 * 4
    assert (file.moved, file.lost) == ((), ())
    entries = [
        (paragraph["context"], entry)
        for paragraph in content["data"][0]["paragraphs"]
        for entry in paragraph["qas"]
    ]
    for question, (context, entry) in zip(file.questions, entries, strict=True):
        assert (question.id, question.text) == (entry["id"], entry["question"])
        assert question.context == context
        assert question.is_impossible == entry.get("is_impossible", False)
        right = [answer["text"] for answer in entry["answers"]]
        assert question.answers == tuple(right)
        if right:
            (span,) = question.spans
            assert context[slice(*span)] == right[0]
        else:
            assert not question.spans and question.is_impossible
    assert sum(q.is_impossible for q in file.questions) == 7 * has_impossible


# An answer, where the file says it begins, and what is found of CONTEXT.
LOCATED = [
    ("café", 34, (34, 38)),
    # Off by one, and far off.
    ("café", 35, (34, 38)),
    ("café", 9999, (45, 49)),
    ("café", -1, (23, 27)),
    ("Cafés", 7, (0, 5)),
    ("two cafés", 19, (19, 28)),
    ("Orléans: two", 9, (9, 22)),
    ("日本の", 41, (41, 44)),
    ("the café", 34, None),
    ("CAFÉ", 34, None),
    ("café.", 34, (34, 39)),
    # Dots are no patterns.
    ("caf.", 34, None),
    (" ", 5, None),
    ("", 5, None),
]


@pytest.mark.parametrize(("answer", "start", "expected"), LOCATED)
def test_locate(answer, start, expected):
    assert locate(CONTEXT, answer, start) == expected


@pytest.mark.parametrize(
    ("answers", "spans", "moved", "lost"),
    [
        ([("café", 34)], [(34, 38)], False, False),
        ([("café", 33)], [(34, 38)], True, False),
        ([("two cafés", 19)], [(19, 28)], False, False),
        ([("tea", 0)], [], False, True),
        # Those that are there count.
        (
            [("tea", 0), ("café", 45), ("two", 19)],
            [(45, 49), (19, 22)],
            False,
            False,
        ),
        ([("café", 45), ("two", 18)], [(45, 49), (19, 22)], True, False),
        ([], [], False, False),
    ],
)
def test_answers_are_found_or_counted(write, answers, spans, moved, lost):
    file = read_questions(write(of_answers(*answers)))
    (question,) = file.questions
    assert list(question.spans) == spans
    assert question.answers == tuple(text for text, _ in answers)
    assert file.moved == (("q",) if moved else ())
    assert file.lost == (("q",) if lost else ())
    assert file.is_labelled == bool(spans)


def changed(*path_and_value):
    """The file of `of_answers` with another value at a path."""
    content = copy.deepcopy(of_answers(("café", 34)))
    *path, last, value = path_and_value
    entry = content
    for key in path:
        entry = entry[key]
    if value is None:
        del entry[last]
    else:
        entry[last] = value
    return content


QUESTION = ("data", 0, "paragraphs", 0, "qas", 0)
AT = r"squad\.json: data\[0\]\.paragraphs\[0\]"
WRONG = [
    (b"", "is not JSON: Expecting value in line 1, byte 0 of the file"),
    ('{"data": "日本", x'.encode(), "line 1, byte 19 of the file"),
    (b'{"data": "\xff', "is not UTF-8: byte 10 cannot be decoded"),
    (b"[]", "holds a JSON list, expected an object"),
    ({}, r"squad\.json lacks 'data'"),
    ({"data": {}}, r"squad\.json: 'data' is \{\}, expected a list"),
    ({"data": []}, "holds no questions"),
    ({"data": [1]}, r"data\[0\] is 1, expected an object"),
    (changed(*QUESTION[:3], 0, "qas", None), rf"{AT} lacks 'qas'"),
    (changed(*QUESTION[:3], 0, "context", 7), rf"{AT}: 'context' is 7, exp"),
    (changed(*QUESTION, "id", None), rf"{AT}\.qas\[0\] lacks 'id'"),
    (changed(*QUESTION, "id", 7), rf"{AT}\.qas\[0\]: 'id' is 7, expected te"),
    (changed(*QUESTION, "question", []), "'question' is .*, expected text"),
    (
        changed(*QUESTION, "answers", [{"text": "café"}]),
        rf"{AT}\.qas\[0\]\.answers\[0\] lacks 'answer_start'",
    ),
    (
        changed(*QUESTION, "answers", 0, "answer_start", "34"),
        "'answer_start' is '34', expected a whole number",
    ),
    (
        changed(*QUESTION, "answers", 0, "answer_start", True),
        "'answer_start' is True, expected a whole number",
    ),
    (
        changed(*QUESTION, "is_impossible", 1),
        "'is_impossible' is 1, expected true or false",
    ),
    (changed(*QUESTION, "is_impossible", True), "is_impossible, but has answ"),
    (changed(*QUESTION, "question", "\ud800?"), "character 0 of .* is half of"),
    (
        changed(
            *QUESTION[:-1],
            [of_answers()["data"][0]["paragraphs"][0]["qas"][0]] * 2,
        ),
        rf"{AT}\.qas\[1\]: there is another question 'q'",
    ),
]


@pytest.mark.parametrize(("content", "says"), WRONG)
def test_what_is_wrong_is_named(write, content, says):
    path = write(content)
    with pytest.raises(ValueError, match=says) as caught:
        read_questions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_impossible_questions_are_those_of_2_0(write):
    path = write(of_answers(is_impossible=True))
    assert read_questions(path).questions[0].is_impossible
    with pytest.raises(ValueError, match=re.escape("--task=squad_v2")):
        read_questions(path, allows_impossible=False)
