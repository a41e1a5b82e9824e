"""Scores of pairs, and models that no run has made: exports and streams."""

import json

import numpy as np
import pytest
import tensorflow as tf
from small_chain import call

from tfdistill.exporting import FORMATS
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import LoadedModel, load_model
from tfdistill.models.formats.run_directory import save_model
from tfdistill.models.words import (
    BiLstmConfig,
    RecurrentModel,
    SiameseBiLstmConfig,
)
from tfdistill.text.byte_pairs import BytePair, parse_merges
from tfdistill.text.word_pieces import WordPiece
from tfdistill.text.words import Words

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "film", "was", "fine", "grim", "so", "very"]
ROWS = 40
TABLES = (
    "--task=regression --data_dir={c}/tables --text_column=a --pair_column=b "
    "--label_column=y "
)
RECORDS = TABLES + "--vocab_file={c}/vocab.txt --max_seq_length=16 "


def sentence(seed, most):
    draw = np.random.default_rng(seed)
    return " ".join(draw.choice(WORDS, draw.integers(0, most) + 1))


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    """Tables and records of pairs with scores, and a model of them."""
    c = tmp_path_factory.mktemp("pairs")
    (c / "tables").mkdir()
    for split, first in (("train", 0), ("dev", 100)):
        lines = ["y\ta\tb"]
        for i in range(first, first + ROWS):
            # Some are longer than 16 tokens, and are cut.
            lines.append(
                f"{i % 7}.5\t{sentence(i, 12)}\t{sentence(-i % 997, 9)}"
            )
        (c / f"tables/{split}.tsv").write_text("\n".join(lines) + "\n")
    (c / "vocab.txt").write_text("\n".join([*PIECES, *WORDS]) + "\n")
    run(
        c,
        "make_records",
        RECORDS + "--records={c}/train --eval_records={c}/dev",
    )
    model = random_model(len(PIECES) + len(WORDS))
    tokenizer = WordPiece([*PIECES, *WORDS], do_lower_case=True)
    save_model(model, tokenizer, parts=model.parts, path=c / "model")
    return c


def random_model(vocabulary_size, **fields):
    config = BertConfig(
        vocabulary_size=vocabulary_size,
        num_layers=2,
        hidden_dim=16,
        num_heads=2,
        max_sequence_length=32,
        initializer_range=0.5,
        **{"num_classes": 1, **fields},
    )
    return Bert(config, heads=("classifier",))


def run(c, command, flags):
    done = call(command, flags.format(c=c).split())
    assert done.status == 0, done.stderr
    return json.loads(done.stdout)


EXPORT = TABLES + "--run_dir={c}/model --eval_records={c}/dev "


@pytest.mark.parametrize(
    "format", ["preset", "saved_model", "tflite_int8", "onnx"]
)
def test_scores_of_pairs_are_exported(c, format):
    flags = f"{EXPORT} --format={format} --output={{c}}/{format}"
    made = run(c, "export", flags)
    assert made["examples"] == ROWS and made["labels"] == []
    assert "same_predictions" not in made
    if format != "tflite_int8":
        assert made["largest_difference"] < 1e-4
    assert made["exported_pearson"] == pytest.approx(made["pearson"], abs=0.01)
    card = (c / format / "README.md").read_text()
    assert "What it was trained on is not known." in card
    assert "Classes:" not in card


def test_a_saved_model_of_pairs_gives_scores(c):
    folder = c / "saved_model"
    if not folder.exists():
        run(c, "export", f"{EXPORT} --format=saved_model --output={folder}")
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    found = serve(
        text=tf.constant(["the film", ""]), pair=tf.constant(["so", "very"])
    )
    assert found.keys() == {"logits", "score"}
    np.testing.assert_array_equal(found["score"], found["logits"][:, 0])
    other = serve(text=tf.constant(["so"]), pair=tf.constant(["the film"]))
    # Which sentence is which matters.
    assert abs(float(other["score"][0] - found["score"][0])) > 1e-6


def test_a_stream_of_pairs_has_their_scores(c):
    flags = (
        "--run_dir={c}/model --input={c}/tables/dev.tsv --text_column=a "
        "--pair_column=b --max_seq_length=16 --output={c}/scores.tsv "
    )
    assert run(c, "predict", flags)["examples"] == ROWS
    lines = (c / "scores.tsv").read_text().splitlines()
    assert lines[0] == "line\tprediction"
    run(
        c,
        "predict",
        "--task=regression --run_dir={c}/model --test_records={c}/dev "
        "--predictions={c}/predictions",
    )
    records = (c / "predictions/predictions.tsv").read_text().splitlines()
    for line, expected in zip(lines[1:], records[1:], strict=True):
        ours, theirs = (float(x.split("\t")[1]) for x in (line, expected))
        assert ours == pytest.approx(theirs, abs=6e-4)


@pytest.fixture(scope="module")
def of_words(c):
    """The folder of a model of words."""
    words = Words(["[PAD]", "[UNK]", "[MASK]", *WORDS], do_lower_case=True)
    config = BiLstmConfig(
        vocabulary_size=len(words.vocabulary),
        vector_dim=4,
        hidden_dim=4,
        num_classes=3,
    )
    model = RecurrentModel(config, 0, ("classifier",))
    save_model(model, words, parts=model.parts, path=c / "words")
    return c / "words"


def test_models_of_words_are_not_exported(c):
    words = Words(["[PAD]", "[UNK]", "[MASK]", *WORDS], do_lower_case=True)
    config = SiameseBiLstmConfig(
        vocabulary_size=len(words.vocabulary),
        vector_dim=4,
        hidden_dim=4,
        num_classes=1,
    )
    model = RecurrentModel(config, 0, ("classifier",))
    save_model(model, words, parts=model.parts, path=c / "siamese")
    flags = f"{EXPORT} --run_dir={{c}}/siamese --output={{c}}/x"
    done = call("export", flags.format(c=c).split())
    assert done.status == 1
    assert "siamese reads whole words; models of the BERT" in done.stderr
    assert not (c / "x").exists()


def test_byte_level_vocabularies_have_no_graph(tmp_path):
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "t", "h", "th"]
    merges = parse_merges(["t h"], "the test")
    loaded = LoadedModel(
        model=random_model(len(pieces), num_segments=1),
        tokenizer=BytePair(pieces, merges),
        parts=frozenset(),
        fingerprint="",
    )
    with pytest.raises(ValueError, match="is for WordPiece vocabularies"):
        FORMATS["saved_model"].write(loaded, tmp_path / "x", 16, False)
    assert not list(tmp_path.iterdir())


def test_words_are_predicted_from_text(c, of_words):
    texts = ["the film was fine", "so", "some grim thing", ""]
    (c / "lines.txt").write_text("\n".join([*texts, ""]))
    flags = f"--run_dir={of_words} --input={{c}}/lines.txt --output={{c}}/w.tsv"
    assert run(c, "predict", flags)["labels"] == ["0", "1", "2"]
    head, *rows = (c / "w.tsv").read_text().splitlines()
    assert head.split("\t")[2] == "probability of 0"
    loaded = load_model(
        str(of_words), heads=("classifier",), needs=("classifier",)
    )
    for row, text in zip(rows, texts, strict=True):
        ids, segments = loaded.tokenizer.join(
            loaded.tokenizer.tokenize([text])[0], None, 128
        )
        # No words at all are one of padding.
        ids, mask, segments = (
            tf.constant([x or [0]], tf.int32)
            for x in (ids, [1] * len(ids), segments)
        )
        features = {
            "word_ids": ids,
            "word_mask": mask,
            "word_segments": segments,
        }
        logits = loaded.model(features, reads=frozenset({"logits"}))["logits"]
        odds = [float(x) for x in row.split("\t")[2:]]
        assert odds == pytest.approx(tf.nn.softmax(logits[0]).numpy(), abs=1e-5)
