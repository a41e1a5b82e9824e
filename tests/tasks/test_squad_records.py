"""Records of questions, window by window."""

import json

import numpy as np
import pytest
import small_questions
from absl import logging
from model_folders import roberta_vocabulary, write_byte_pairs
from official.nlp.data import squad_lib
from official.nlp.tools import tokenization

from tfdistill.config.options import Artefacts, Examples, General, Windows
from tfdistill.records import evaluation_batches, open_record_set
from tfdistill.tasks.squad_records import make_squad_records
from tfdistill.tasks.squad_shards import answer_pieces
from tfdistill.text.squad import Question
from tfdistill.text.tokenizer import read_tokenizer

# Of both kinds, and what may be hard on windows, spaces or offsets.
ODD = [
    (" Café\u0301  AU lait,\u202fno? \n Café", "Café"),
    ("日本の cafe\u0301 (1932–1999)", "1999"),
    ("a\u200bb\ufffd map map map", "map"),
    ("İn Zürich’s harbour", "Zürich"),
    ("map", "map"),
    ("    ", "map"),
]
MOST, STRIDE, QUERY = 24, 5, 9


def odd_texts():
    paragraphs = []
    for i, (context, answer) in enumerate(ODD):
        start = max(context.rfind(answer), 0)
        entry = {"id": f"odd-{i}", "question": f"What, {'so ' * i}Zoë?"}
        entry["answers"] = [{"text": answer, "answer_start": start}]
        paragraphs.append({"context": context, "qas": [entry]})
    return [{"paragraphs": paragraphs}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    for name, has_impossible in (("one", False), ("two", True)):
        content = small_questions.squad(
            range(20), has_impossible=has_impossible
        )
        content["data"] += [] if has_impossible else odd_texts()
        (folder / f"{name}.json").write_text(json.dumps(content))
    vocabulary = "\n".join([*small_questions.vocabulary(), "cafe", "’", "b"])
    (folder / "vocab.txt").write_text(vocabulary + "\n")
    return folder


def make(folder, records, *, task="squad_v1", name="one", **changes):
    settings = {
        "vocab_file": str(folder / "vocab.txt"),
        "input": str(folder / f"{name}.json"),
        "records": str(records),
    }
    processes = changes.pop("num_processes", 1)
    artefacts = {k: changes.pop(k) for k in [*changes] if k not in WINDOWS}
    layout = artefacts.pop("record_layout", "packed")
    artefacts = Artefacts(**settings | artefacts)
    return make_squad_records(
        artefacts,
        General(task=task, num_processes=processes),
        Examples(max_seq_length=MOST, record_layout=layout),
        Windows(**WINDOWS | changes),
        read_tokenizer(artefacts.vocab_file, {}),
    )


WINDOWS = {
    "doc_stride": STRIDE,
    "max_query_length": QUERY,
    "questions_per_shard": 30,
}


def examples_of(path):
    """All examples without their padding."""
    records = open_record_set(str(path))
    found = []
    for batch in evaluation_batches(
        records, batch_size=16, process_slice=(0, 16)
    ):
        batch = {name: x.numpy() for name, x in batch.items()}
        for row in range(16):
            if batch["is_real_example"][row]:
                length = batch["input_mask"][row].sum()
                found.append(
                    {
                        name: x[row][:length] if x.ndim == 2 else x[row]
                        for name, x in batch.items()
                    }
                )
    return found


@pytest.mark.parametrize(
    ("task", "name"), [("squad_v1", "one"), ("squad_v2", "two")]
)
def test_windows_are_those_of_the_published_code(folder, tmp_path, task, name):
    made = make(folder, tmp_path / "records", task=task, name=name)
    ours = examples_of(tmp_path / "records")
    path = str(folder / f"{name}.json")
    logging.set_verbosity(logging.ERROR)
    examples = squad_lib.read_squad_examples(path, True, task == "squad_v2")
    questions = [
        entry
        for article in json.loads((folder / f"{name}.json").read_text())["data"]
        for paragraph in article["paragraphs"]
        for entry in paragraph["qas"]
    ]
    numbers = {entry["id"]: i for i, entry in enumerate(questions)}
    # It drops what it cannot find.
    lost = {"odd-5"} if task == "squad_v1" else set()
    assert {e.qas_id for e in examples} == set(numbers) - lost
    theirs = []
    squad_lib.convert_examples_to_features(
        examples,
        tokenization.FullTokenizer(str(folder / "vocab.txt")),
        MOST,
        STRIDE,
        QUERY,
        True,
        theirs.append,
    )
    kept = [
        x for x in ours if questions[x["question_numbers"]]["id"] not in lost
    ]
    assert made["examples"] == len(ours) > 2 * len(questions)
    assert len(kept) == len(theirs)
    for example, feature in zip(kept, theirs, strict=True):
        question = examples[feature.example_index]
        assert example["question_numbers"] == numbers[question.qas_id]
        size = len(example["input_ids"])
        assert size == sum(feature.input_mask)
        assert example["input_ids"].tolist() == feature.input_ids[:size]
        assert example["segment_ids"].tolist() == feature.segment_ids[:size]
        marks = {
            i: mark == 2
            for i, mark in enumerate(example["context_marks"])
            if mark
        }
        assert marks == feature.token_is_max_context
        positions = [feature.start_position, feature.end_position]
        assert example["answer_positions"].tolist() == positions
        assert example["answer_weights"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("task", "name"), [("squad_v1", "one"), ("squad_v2", "two")]
)
def test_every_answer_comes_back(folder, tmp_path, task, name):
    """Cut out of the text by the windows that hold it."""
    make(folder, tmp_path / "records", task=task, name=name)
    content = json.loads((folder / f"{name}.json").read_text())
    questions = [
        (paragraph["context"], entry)
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for entry in paragraph["qas"]
    ]
    found = {}
    for example in examples_of(tmp_path / "records"):
        number = int(example["question_numbers"])
        first, last = example["answer_positions"]
        assert (first == 0) == (last == 0)
        if first:
            assert example["context_marks"][first : last + 1].all()
            begin = example["character_starts"][first]
            end = example["character_ends"][last]
            text = questions[number][0][begin:end]
            found.setdefault(number, set()).add(text)
    for number, (context, entry) in enumerate(questions):
        expected = {answer["text"] for answer in entry["answers"]}
        if context.strip():
            assert found.get(number, set()) == expected, entry


def test_questions_in_another_layout(folder, tmp_path):
    """RoBERTa has two separators, one kind of segment, and other pieces."""
    pieces = roberta_vocabulary(["Ġ Z", "m a", "ma p"])
    write_byte_pairs(tmp_path, pieces, ["Ġ Z", "m a", "ma p"])
    vocabulary = str(tmp_path / "vocab.json")
    make(
        folder,
        tmp_path / "records",
        vocab_file=vocabulary,
        max_query_length=3,
    )
    tokenizer = read_tokenizer(vocabulary, {})
    names = np.array(tokenizer.vocabulary)
    example = next(
        x
        for x in examples_of(tmp_path / "records")
        if x["answer_positions"][0] and x["question_numbers"] == 80 + 4
    )
    assert "".join(names[example["input_ids"]]) == "<s>Wha</s></s>map</s>"
    assert example["context_marks"].tolist() == [0] * 6 + [2, 0]
    assert example["answer_positions"].tolist() == [6, 6]
    assert not example["segment_ids"].any()


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_bytes_do_not_depend_on_the_number_of_processes(folder, tmp_path):
    one = make(folder, tmp_path / "one")
    two = make(folder, tmp_path / "two", num_processes=2)
    assert one["shards"] == two["shards"] == 3
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    # A shard that was lost is made anew, and says the same.
    before = contents(tmp_path / "one")
    shards = sorted((tmp_path / "one").glob("*.tfrecord"))
    manifest = json.loads((tmp_path / "one/manifest.json").read_text())
    (tmp_path / "one/manifest.json").unlink()
    (tmp_path / "one/unfinished.json").write_text(
        json.dumps({"wanted": manifest["wanted"]})
    )
    shards[1].unlink()
    kept = shards[0].stat().st_mtime_ns
    assert make(folder, tmp_path / "one") == one
    assert contents(tmp_path / "one") == before
    assert shards[0].stat().st_mtime_ns == kept


def test_two_files_at_once(folder, tmp_path):
    made = make(
        folder,
        tmp_path / "train",
        task="squad_v2",
        eval_input=str(folder / "two.json"),
        eval_records=str(tmp_path / "dev"),
    )
    assert (made["questions"], made["eval_questions"]) == (86, 80)
    assert made["task"] == "squad_v2"
    records = open_record_set(str(tmp_path / "dev"))
    assert records.examples == made["eval_examples"]
    assert records.identity["task"] == "squad_v2"
    copy = (tmp_path / "dev/questions.json").read_bytes()
    assert copy == (folder / "two.json").read_bytes()


def questions_on(context, *answers):
    """A file of a question for each answer and place."""
    qas = [
        {
            "id": f"q{i}",
            "question": "what " * (8 * i),
            "answers": [{"text": text, "answer_start": start}] * bool(text),
        }
        for i, (text, start) in enumerate(answers)
    ]
    return {"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}


def test_what_is_odd_is_counted_and_named(folder, tmp_path, monkeypatch):
    context = "the map was in the harbour, and the map came to Lima today"
    answers = [
        ("map", 4),  # right
        ("map", 5),  # off by one; the question is within the limit
        ("coin", 4),  # nowhere
        ("map was in the harbour, and the map came to Lima", 4),  # too long
        ("", 0),  # none is known
        # In a window as a whole, but another has more before its beginning.
        ("harbour, and the map came to Lima today", 19),
        ("bour", 22),  # a part of a token
    ]
    path = folder / "odd.json"
    path.write_text(json.dumps(questions_on(context, *answers)))
    warnings = []
    monkeypatch.setattr(
        logging, "warning", lambda text, *a: warnings.append(text % a)
    )
    made = make(folder, tmp_path / "records", name="odd")
    assert {n: x for n, x in made.items() if n.endswith("answers")} == {
        "moved_answers": 1,
        "lost_answers": 1,
        "split_answers": 2,
        "inexact_answers": 1,
        "missing_answers": 1,
    }
    # Sixteen words and more, of which nine stay.
    assert made["cut_questions"] == 5
    named = [warning.rpartition(": ")[2] for warning in warnings]
    assert named == [
        *("q1.", "q2.", "q4.", "q3, q5.", "q6."),
        "q2, q3, q4, q5, q6.",
    ]
    assert all(warning.startswith(f"{path}: ") for warning in warnings)
    # None of them was dropped; those without a label have no weight.
    labels = {}
    for example in examples_of(tmp_path / "records"):
        number = int(example["question_numbers"])
        labels.setdefault(number, []).append(
            (tuple(example["answer_positions"]), example["answer_weights"][0])
        )
    assert sorted(labels) == [0, 1, 2, 3, 4, 5, 6]
    for number, found in labels.items():
        assert {weight for _, weight in found} == {float(number not in (2, 4))}
        is_answered = any(first for (first, _), _ in found)
        assert is_answered == (number in (0, 1, 5, 6))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["the harbour", "harbour"], "the harbour"),
        # The first that is whole pieces.
        (["bour", "e harbour", "the harbour", "map"], "the harbour"),
        ([" harbour "], "harbour"),
        # None is.
        (["bour ,", "ap"], "harbour ,"),
        ([], None),
    ],
)
def test_answer_to_learn(folder, answers, expected):
    context = "The map was in the harbour , it seems"
    tokenizer = read_tokenizer(str(folder / "vocab.txt"), {})
    (located,) = tokenizer.tokenize_with_offsets([context])
    spans = tuple(
        (context.index(text), context.index(text) + len(text))
        for text in answers
    )
    question = Question("q", "What?", context, tuple(answers), False, spans)
    found = answer_pieces(question, located)
    if expected is None:
        assert found is None
    else:
        first, last = found
        cut = context[located.starts[first] : located.ends[last]]
        assert cut == expected


def test_questions_without_any_answer_have_no_labels(folder, tmp_path):
    content = questions_on("the map", ("", 0), ("coin", 0))
    (folder / "unknown.json").write_text(json.dumps(content))
    made = make(folder, tmp_path / "records", name="unknown")
    assert (made["missing_answers"], made["lost_answers"]) == (1, 1)
    for example in examples_of(tmp_path / "records"):
        assert example["question_numbers"] in (0, 1)
        assert not {"answer_positions", "answer_weights"} & set(example)


WRONG = [
    ({"record_layout": "plain"}, "plain is not for questions"),
    ({"max_query_length": 21}, "=21 leaves no room for texts in --max_seq_l"),
    ({"name": "two"}, r"qas\[0\] is_impossible, .*--task=squad_v2 is for it"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG)
def test_what_does_not_do_is_refused(folder, tmp_path, changes, says):
    with pytest.raises(ValueError, match=says):
        make(folder, tmp_path / "records", **changes)
    assert not list(tmp_path.iterdir())


def test_no_folder_is_made_if_one_is_refused(folder, tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/other").touch()
    with pytest.raises(ValueError, match="dev is not empty and holds no reco"):
        make(
            folder,
            tmp_path / "train",
            eval_input=str(folder / "one.json"),
            eval_records=str(tmp_path / "dev"),
        )
    assert not (tmp_path / "train").exists()
