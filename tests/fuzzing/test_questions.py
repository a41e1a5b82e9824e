"""Files of questions that were harmed."""

import json

from hostile import cases, harmed, hostile_reading, retyped
from small_questions import squad

from tfdistill.text.squad import read_questions

WORDS = (b'"answers"', b'"answer_start": 3', b"\\ud800", b'"is_impossible"')


def entries(content):
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                yield paragraph["context"], entry


def check(file, data):
    """Every question is that of the file, every span its answer's."""
    right = list(entries(json.loads(data)))
    for question, (context, entry) in zip(file.questions, right, strict=True):
        assert question.context == context
        assert (question.id, question.text) == (entry["id"], entry["question"])
        given = entry.get("answers") or []
        assert question.answers == tuple(a["text"] for a in given)
        assert question.is_impossible is entry.get("is_impossible", False)
        words = [answer.split() for answer in question.answers]
        for begin, end in question.spans:
            assert context[begin:end].split() in words
    assert len({q.id for q in file.questions}) == len(right)


def test_harmed_bytes(tmp_path):
    path = tmp_path / "squad.json"
    good = json.dumps(squad(range(3), has_impossible=True)).encode()
    with hostile_reading() as found:
        for draw in cases("questions", 2000):
            data = harmed(good, draw, WORDS)
            path.write_bytes(data)
            file = found.of(path, read_questions, path)
            if file is not None:
                check(file, data)
    assert found.read > 50 and found.refused > 1000


def test_values_of_other_types(tmp_path):
    path = tmp_path / "squad.json"
    good = squad(range(2), has_impossible=True)
    with hostile_reading() as found:
        for draw in cases("types", 3000):
            data = json.dumps(retyped(good, draw))
            path.write_text(data, "utf-8")
            file = found.of(path, read_questions, path)
            if file is not None:
                check(file, data)
    assert found.read > 50 and found.refused > 500
