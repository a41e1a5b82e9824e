"""What a model says of windows, put together into answers and scores."""

import dataclasses
import json
import math
import types

import pytest
import small_questions
import tensorflow as tf
from golden import golden
from mirrored import two_mirrored
from official.nlp.data import squad_lib
from official.nlp.tools import (
    squad_evaluate_v1_1,
    squad_evaluate_v2_0,
    tokenization,
)

from tfdistill.config.options import (
    Answering,
    Artefacts,
    Examples,
    General,
    Windows,
)
from tfdistill.models.configuration import BertConfig
from tfdistill.records import open_record_set
from tfdistill.records.spans import rule_out_padding
from tfdistill.replicas import OneDevice
from tfdistill.scoring import examine
from tfdistill.tasks import find_task
from tfdistill.tasks.span_decoding import best_ends, predict_spans
from tfdistill.tasks.squad_records import make_squad_records
from tfdistill.text.word_pieces import WordPiece, normalize

GOLDEN = golden("ckd_losses")["squad_metrics"]
# A text that is hard on whoever joins pieces, and answers from all over it.
HARD = (
    "Élan  vital,\tÉLAN\u00a0vital — l'élan\u202fvital. Cafe\u0301 «São  Paulo»: "
    "東京タワー、東京。 5.5 % of 5.5 %; İstanbul (a.k.a. ISTANBUL) naïve co\u00adop!"
)
HARD_ANSWERS = (
    "Élan  vital",
    "ÉLAN\u00a0vital",
    "l'élan\u202fvital.",
    "Cafe\u0301",
    "«São  Paulo»",
    "東京タワー、東京",
    "京",
    "5.5 %",
    "İstanbul (a.k.a. ISTANBUL",
    "naïve co\u00adop",
)
WINDOWS = Windows(doc_stride=4, max_query_length=6, questions_per_shard=30)
# Windows hold an answer wherever it has most context in one.
MOST = 28


def content(has_impossible):
    """Generated questions, and ones on the hard text, everywhere in it."""
    made = small_questions.squad(range(9), has_impossible=has_impossible)
    qas = []
    for i, answer in enumerate(HARD_ANSWERS):
        # Of what is there twice the second one.
        start = HARD.rindex(answer)
        given = [{"text": answer, "answer_start": start}]
        qas.append({"id": f"hard-{i}", "question": "What?", "answers": given})
    made["data"].append({"paragraphs": [{"context": HARD, "qas": qas}]})
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records of both kinds, in both casings."""
    folder = tmp_path_factory.mktemp("questions")
    words = [*small_questions.vocabulary(), "elan", "vital", "istanbul", "coop"]
    letters = "élavitcfso5%.—(naïe)İ「、。"
    vocabulary = list(
        dict.fromkeys([*words, *letters, *(f"##{c}" for c in "aelnitv")])
    )
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    for task, has_impossible in (("squad_v1", False), ("squad_v2", True)):
        path = folder / f"{task}.json"
        path.write_text(json.dumps(content(has_impossible)))
        for is_uncased in (True, False):
            name = f"{task}_{'un' * is_uncased}cased"
            make_squad_records(
                Artefacts(
                    input=str(path),
                    records=str(folder / name),
                    vocab_file=str(folder / "vocab.txt"),
                ),
                General(task=task, num_processes=1),
                Examples(max_seq_length=MOST),
                WINDOWS,
                WordPiece(vocabulary, do_lower_case=is_uncased),
            )
    return folder


class Says:
    """A model that has a way to make logits of a batch."""

    config = BertConfig(vocabulary_size=200, max_sequence_length=MOST)

    def __init__(self, logits):
        self._logits = logits

    def __call__(self, batch, reads, noise):
        assert reads == {"logits"} and noise is None
        logits = self._logits(batch)
        return {"logits": rule_out_padding(logits, batch["input_mask"])}


def oracle(batch):
    """Knows where the answer is."""
    length = batch["input_ids"].shape[1]
    return 9.0 * tf.one_hot(batch["answer_positions"], length)


def noise(batch):
    """Draws logits that depend on the example and the token alone."""
    places = tf.range(batch["input_ids"].shape[1], dtype=tf.float32)
    numbers = tf.cast(batch["record_index"], tf.float32)
    x = tf.sin(numbers[:, None, None] * 7.3 + places * 1.7 + [[[0.0], [2.0]]])
    # Some are the same.
    return tf.round(x * 40) / 8


def find_out(folder, says, task="squad_v1_uncased", **settings):
    """Returns the task and what is found of all records."""
    records = open_record_set(str(folder / task))
    batch_size = settings.pop("batch_size", 7)
    replicas = settings.pop("replicas", OneDevice())
    most = settings.pop("most", ())
    made = find_task(task[:8], records, Answering(**settings))
    find = examine(
        Says(says),
        frozenset({"encoder", "span"}),
        None,
        records,
        WordPiece(
            (folder / task / "vocab.txt").read_text().split(),
            do_lower_case="uncased" in task,
        ),
        made,
        replicas,
        batch_size=batch_size,
    )
    return made, find(*most)


@pytest.mark.parametrize("casing", ["uncased", "cased"])
@pytest.mark.parametrize("task", ["squad_v1", "squad_v2"])
def test_oracle_scores_100(folder, tmp_path, task, casing):
    made, found = find_out(folder, oracle, f"{task}_{casing}")
    metrics = made.finish(*found)
    assert metrics["exact_match"] == metrics["f1"] == 100
    assert metrics["label_loss"] < 0.1
    # Not only by the scorer's rules: the very characters come back.
    written = made.write(found.rows, str(tmp_path))
    predictions = json.loads((tmp_path / "predictions.json").read_text())
    assert written["questions"] == len(predictions) == 9 * 4 + 10
    for article in content(task == "squad_v2")["data"]:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                right = [answer["text"] for answer in entry["answers"]]
                assert predictions[entry["id"]] == (right or [""])[0]
    if task == "squad_v2":
        for name in metrics:
            if not name.endswith(("_threshold", "label_loss")):
                assert metrics[name] == 100, name
        odds = json.loads((tmp_path / "null_odds.json").read_text())
        assert set(odds) == set(predictions)
        assert {x > 0 for n, x in odds.items() if not predictions[n]} == {True}
        assert {x < 0 for n, x in odds.items() if predictions[n]} == {True}


@pytest.mark.parametrize("task", ["squad_v1", "squad_v2"])
def test_batches_and_replicas_do_not_matter(folder, tmp_path, task):
    written = []
    for settings in (
        {"batch_size": 64},
        {"batch_size": 5},
        {"batch_size": 9, "replicas": two_mirrored()},
    ):
        made, found = find_out(folder, noise, f"{task}_uncased", **settings)
        to = tmp_path / str(len(written))
        made.write(found.rows, str(to))
        files = {path.name: path.read_bytes() for path in to.iterdir()}
        written.append((files, made.finish(*found)))
    (files, metrics), *others = written
    assert len(files) == (3 if task == "squad_v2" else 2)
    for same_files, same_metrics in others:
        assert same_files == files
        assert same_metrics == pytest.approx(metrics)


@pytest.mark.parametrize("task", ["squad_v1", "squad_v2"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"n_best_size": 3}, {"max_answer_length": 2, "n_best_size": 6}],
)
def test_predictions_are_those_of_the_published_code(
    folder, tmp_path, monkeypatch, task, settings
):
    made, found = find_out(folder, noise, f"{task}_uncased", **settings)
    made.write(found.rows, str(tmp_path))
    # It aligns texts after the fact, which goes wrong at odd spaces; here it
    # says what the pieces say, and ours is compared with that.
    monkeypatch.setattr(
        squad_lib, "get_final_text", lambda pieces, *_, **__: pieces
    )
    names = ["predictions", "nbest_predictions", "null_odds"]
    theirs = dict(zip(names, published(folder, task, settings), strict=True))
    ours = {
        path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()
    }
    if task == "squad_v1":
        assert not theirs.pop("null_odds")
    for name, of_questions in theirs.items():
        assert list(ours[name]) == list(of_questions)
        for question, expected in of_questions.items():
            # The vocabulary lacks some of the hard text.
            if not question.startswith("hard"):
                assert plain(ours[name][question]) == plain(expected)


def plain(found):
    """What may be compared with what is published: pieces, rounded."""
    if isinstance(found, list):
        return [plain(x) for x in found]
    if isinstance(found, dict):
        if found["text"] in ("", "empty") and found["probability"] == 1:
            # Where it finds nothing, its logits are made up.
            return ""
        return {name: plain(x) for name, x in found.items()}
    if isinstance(found, str):
        # What it says where it finds nothing.
        text = found.removeprefix("empty")
        return "".join(normalize(text, True).split())
    return round(found, 5)


def published(folder, task, settings):
    """Predictions of tf-models-official from the same logits."""
    examples = squad_lib.read_squad_examples(
        str(folder / f"{task}.json"), False, task == "squad_v2"
    )
    features = []

    def keep(feature, is_padding=False):
        if not is_padding:
            features.append(feature)

    squad_lib.convert_examples_to_features(
        examples,
        tokenization.FullTokenizer(str(folder / "vocab.txt")),
        MOST,
        WINDOWS.doc_stride,
        WINDOWS.max_query_length,
        False,
        keep,
        batch_size=1,
    )
    results = []
    for number, feature in enumerate(features):
        batch = {
            "input_ids": tf.zeros([1, sum(feature.input_mask)], tf.int32),
            "record_index": tf.constant([number]),
        }
        start, end = noise(batch).numpy()[0].tolist()
        results.append(
            types.SimpleNamespace(
                unique_id=feature.unique_id, start_logits=start, end_logits=end
            )
        )
    return squad_lib.postprocess_output(
        examples,
        features,
        results,
        settings.get("n_best_size", 20),
        settings.get("max_answer_length", 30),
        do_lower_case=True,
        version_2_with_negative=task == "squad_v2",
    )


def test_golden_candidates():
    """Texts and probabilities of the published code, on one window."""
    case = GOLDEN["nbest"]
    context = " ".join(case["doc_tokens"])
    words = [(0, 5), (6, 11), (13, 17), (18, 22)]
    assert [context[a:b] for a, b in words] == [
        "Steve",
        "Smith",
        "went",
        "home",
    ]
    starts, ends = ([0, 0, 0, *(word[i] for word in words), 0] for i in (0, 1))
    batch = {
        "context_marks": tf.constant([[0, 0, 0, 2, 2, 2, 2, 0]]),
        "character_starts": tf.constant([starts]),
        "character_ends": tf.constant([ends]),
        "question_numbers": tf.constant([0]),
    }
    logits = tf.constant([[case["start_logits"], case["end_logits"]]])
    rows = best_ends(logits, batch, case["n_best_size"])
    found = predict_spans(
        {name: x.numpy() for name, x in rows.items()},
        [context],
        n_best_size=case["n_best_size"],
        max_answer_length=case["max_answer_length"],
        has_null=False,
    )[0]
    assert found.answer(math.inf) == case["prediction"]
    for candidate, probability, expected in zip(
        found.candidates, found.probabilities(), case["nbest"], strict=True
    ):
        assert candidate.text == expected["text"]
        assert probability == pytest.approx(expected["probability"])
        assert candidate.start_logit == pytest.approx(expected["start_logit"])
        assert candidate.end_logit == pytest.approx(expected["end_logit"])


def test_golden_texts():
    """Cut by places, where the published code aligns texts as well as it can.

    Where it finds no alignment it takes whole words; pieces know better.
    """
    better = {"$1.2 million,": "1.2 million"}
    pieces = [*"$1.24', ", "million", "steve", "smith", "levi", "stadium", "s"]
    pieces += ["in", "the", "beyonce", "(", "born", "cafe"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = WordPiece([*special, *pieces], do_lower_case=True)
    checked = 0
    for case in GOLDEN["final_text"]:
        whole = case["orig_text"]
        (located,) = tokenizer.tokenize_with_offsets([whole])
        (wanted,) = tokenizer.tokenize([case["pred_text"]])
        for i in range(len(located.ids)):
            last = i + len(wanted) - 1
            if located.ids[i : last + 1] == wanted:
                cut = whole[located.starts[i] : located.ends[last]]
                assert cut == better.get(case["final"], case["final"])
                checked += 1
    assert checked == len(GOLDEN["final_text"])


def test_metrics_are_those_of_the_published_scorers(folder, tmp_path):
    for task in ("squad_v1", "squad_v2"):
        for threshold in (0.0, 1.5):
            made, found = find_out(
                folder,
                lambda batch: oracle(batch) + 2 * noise(batch),
                f"{task}_uncased",
                null_score_diff_threshold=threshold,
            )
            metrics = made.finish(*found)
            made.write(found.rows, str(tmp_path))
            predictions = json.loads(
                (tmp_path / "predictions.json").read_text()
            )
            data = content(task == "squad_v2")["data"]
            if task == "squad_v1":
                theirs = squad_evaluate_v1_1.evaluate(data, predictions)
                assert metrics["f1"] == pytest.approx(100 * theirs["final_f1"])
                assert metrics["exact_match"] == pytest.approx(
                    100 * theirs["exact_match"]
                )
            else:
                theirs = squad_evaluate_v2_0.evaluate(data, predictions)
                assert metrics["f1"] == pytest.approx(theirs["f1"])
                assert metrics["no_answer_f1"] == pytest.approx(
                    theirs["NoAns_f1"]
                )
                assert metrics["best_f1"] >= metrics["f1"]
            assert 5 < metrics["exact_match"] <= metrics["f1"] < 95


def test_threshold_is_found(folder):
    def eager(batch):
        """Knows the answer, but rates no answer 6 higher than that."""
        at_first = tf.one_hot(0, batch["input_ids"].shape[1])
        return oracle(batch) + 12.0 * at_first

    task = "squad_v2_uncased"
    made, found = find_out(folder, eager, task)
    metrics = made.finish(*found)
    assert metrics["no_answer_f1"] == metrics["best_f1"] == 100
    # Nothing but what is in every window is found.
    assert metrics["f1"] < 60 and metrics["null_score_diff_threshold"] == 0
    made, _ = find_out(folder, eager, task, find_null_threshold=True, most=(1,))
    tuned = made.finish(*found)
    assert tuned["f1"] == tuned["exact_match"] == 100
    threshold = tuned["null_score_diff_threshold"]
    assert (
        threshold == tuned["best_f1_threshold"] == metrics["best_f1_threshold"]
    )
    made, _ = find_out(
        folder, eager, task, null_score_diff_threshold=threshold, most=(1,)
    )
    assert made.finish(*found)["f1"] == 100


def test_some_batches_score_their_own_questions(folder):
    made, found = find_out(folder, oracle, batch_size=20, most=(1,))
    assert len(found.rows["null_logits"]) == 20
    metrics = made.finish(*found)
    # The windows of the last question may be cut off.
    assert metrics["exact_match"] > 80


def test_no_valid_span(folder):
    """Where every beginning is behind every end, there is no text."""

    def backwards(batch):
        places = tf.range(batch["input_ids"].shape[1], dtype=tf.float32)
        both = tf.stack([places, -places])
        return tf.tile(both[None], [batch["input_ids"].shape[0], 1, 1])

    for task in ("squad_v1", "squad_v2"):
        made, found = find_out(
            folder, backwards, f"{task}_uncased", n_best_size=1
        )
        assert made.finish(*found)["exact_match"] < 100


def test_knowledge_of_others_is_refused(folder, tmp_path):
    _, found = find_out(folder, oracle)
    records = open_record_set(str(folder / "squad_v1_uncased"))
    elsewhere = dataclasses.replace(records, path=str(tmp_path))
    with pytest.raises(ValueError, match=r"holds no questions\.json"):
        find_task("squad_v1", elsewhere).finish(*found)
    (tmp_path / "questions.json").write_text("{}")
    with pytest.raises(ValueError, match="is not the file that its records"):
        find_task("squad_v1", elsewhere).finish(*found)
    with pytest.raises(ValueError, match="is for --task=squad_v2"):
        find_task("squad_v1", records, Answering(find_null_threshold=True))
    with pytest.raises(ValueError, match="made for --task=squad_v1, not for"):
        find_task("squad_v2", records)
